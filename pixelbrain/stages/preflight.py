"""Before any work: is all there that the stages need? One list of checks, in one order, cheap ones first.

A check starts no server, writes nothing that stays, and fetches nothing; what it has to read anyway, as the first
images of the source, the stage then need not read again. What is not there is a named error of one line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from pixelbrain.stages.filters import check_filters

if TYPE_CHECKING:
    from pixelbrain.stages.context import Context


def _key(context: Context) -> None:
    for module in context.asking():
        module.settings.server.read_key()


def _asked(context: Context) -> None:
    from pixelbrain.asking.look import look_at

    for module in context.asking():
        look_at(module.settings.server, module.settings.model)


def _weights(context: Context) -> None:
    for module in context.modules():
        module.check_weights()


def _ray(context: Context) -> None:
    # one that is not named is looked for, or started, when it is needed
    if os.environ.get("RAY_ADDRESS") and _on_ray(context):
        from pixelbrain.engine.cluster.session import find_ray, quiet_ray

        if not context.debug:
            quiet_ray()
        find_ray()


def _on_ray(context: Context) -> bool:
    """Whether a Ray that is named is needed: to ask, and for all else unless this machine alone was asked for."""
    return context.config.executor != "local" or bool(context.asking())


def _servers(context: Context) -> None:
    from pixelbrain.engine.plan.nodes import count_nodes
    from pixelbrain.stores.address import require_servers

    require_servers(count_nodes() if _on_ray(context) else 1, mongo=context.config.mongo, chroma=context.config.chroma)


#: In this order. Whether a Ray has room is seen when it is known what is left to do, and before one is started.
CHECKS: Mapping[str, Callable[[Context], object]] = MappingProxyType(
    {
        "source": lambda context: context.look_first(),  # it is there, can be listed, and holds an image
        "out": lambda context: context.storage.check_writable(),
        "filters": check_filters,  # their names are known, or will be when they are asked for
        "mongo": lambda context: context.unopened().check("mongo"),
        "mongo to read": lambda context: context.unopened().check("mongo to read"),
        "chroma": lambda context: context.unopened().check("chroma"),
        "key": _key,  # for the questions
        "weights": _weights,  # here, or to be fetched
        "ray": _ray,  # the one that is named answers
        "asked": _asked,  # the server of the questions is there, and speaks the API
        "servers": _servers,  # on a cluster, stores are no folders of one node
    }
)

#: Over the network, when all that is here is known.
LOOK = "look at who is asked"
_STORES = ("mongo", "chroma", "servers")
#: What each stage needs.
NEEDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "extract": ("source", "out", "filters", "weights", "ray"),
        "ask": ("out", "key", "ray"),
        "ask --batch": ("out", "key"),
        LOOK: ("asked",),
        "load": ("out", *_STORES),
        "identify": ("out", *_STORES),
        "group": ("out", *_STORES),
        "verify": ("out", "mongo to read", "chroma", "servers"),  # changes nothing; --repair is a load
        "duplicates": ("out",),
        "map": ("out",),
        "report": ("out",),
        "compact": ("out",),
        "search": ("chroma", "servers"),
        "status": ("servers",),  # it says itself which store does not answer
    }
)


def preflight(context: Context, names: Iterable[str]) -> None:
    """Look through what these stages need. What was there once is not looked at again for the same `context`.

    Raises:
        PixelbrainError: of the first thing that is missing.
    """
    wanted = {need for name in names for need in NEEDS[name]} - context.checked
    for need, check in CHECKS.items():
        if need in wanted:
            check(context)
            context.checked.add(need)

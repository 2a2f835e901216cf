"""The options that say where on a cluster the work goes."""

from __future__ import annotations

from typing import Any

import click

from pixelbrain.config import LAYOUTS

__all__ = ["placement_options"]


def _by_pool(separator: str) -> Any:
    """A callback that makes `NAME<separator>VALUE`, or `VALUE` for all pools, to a mapping; None: not given."""

    def parse(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, Any] | None:
        found: dict[str, Any] = {}
        for value in values:
            name, there, rest = value.partition(separator)
            pool, wanted = (name, rest) if there else ("", value)
            if option.name in ("gpus_per_actor", "cpus_per_actor"):
                try:
                    found[pool] = float(wanted)
                except ValueError:
                    raise click.BadParameter(f"{value!r}: write 0.5, or NAME=0.5") from None
            else:
                found[pool] = wanted
        return found or None

    return parse


#: None means: not given, so that a --config file or a default decides.
placement_options = [
    click.option(
        "--layout",
        type=click.Choice(LAYOUTS),
        help="fused: each actor does all; staged: CPU nodes decode for GPU nodes. [default: auto]",
    ),
    click.option(
        "--actors",
        metavar="[POOL=]MIN[:MAX]",
        multiple=True,
        callback=_by_pool("="),
        help="Actors of the modules, or of one pool: resnet=1:4, decode=8. [default: what fits]",
    ),
    click.option(
        "--gpus-per-actor",
        metavar="[MODULE=]N",
        multiple=True,
        callback=_by_pool("="),
        help="0.5: two actors share a card. [default: a card each, or equal parts of one]",
    ),
    click.option(
        "--cpus-per-actor",
        metavar="POOL=N",
        multiple=True,
        callback=_by_pool("="),
        help="CPUs and threads of each actor of a pool: decode=4. [default: what fits]",
    ),
    click.option(
        "--node-labels",
        metavar="[POOL:]KEY=VALUE",
        multiple=True,
        callback=_by_pool(":"),
        help="Only on nodes with this label (`ray start --labels`): decode:tier=cpu.",
    ),
    click.option(
        "--autoscale", is_flag=True, default=None, help="Nodes start when they are asked for: take more than is there."
    ),
]  # fmt: skip

"""Before a run on several nodes: can each of them import this, read the images, and write to OUT?"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from pixelbrain.engine.plan.nodes import Node
from pixelbrain.errors import EngineError, LandingError, SourceError
from pixelbrain.sources import local_path
from pixelbrain.storage.base import Storage

_PROBE = "work/probe"
_ANSWER_S = 120.0  # a node's first worker takes some seconds to start; on a busy one many


@dataclass(frozen=True, kw_only=True)
class _Sight:
    """What one node sees."""

    python: tuple[int, int]
    probe: bytes | None  # OUT's file; None: not there
    source: bool


def check_shared(nodes: Sequence[Node], storage: Storage, source: str, image_id: str) -> None:
    """Look from every node that could be given work for OUT and one of the source's images; a node alone has both.

    Raises:
        LandingError: OUT is on the disk of one node.
        SourceError: the images are.
        EngineError: a node has no Pixelbrain, or another Python, or does not answer.
    """
    if len(nodes) < 2:
        return
    import ray
    from ray.exceptions import GetTimeoutError, RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nonce = uuid.uuid4().hex.encode()
    storage.write(_PROBE, nonce)
    image = local_path(image_id)
    look = ray.remote(_look)
    asked = []
    for node in (node for node in nodes if node.cpus > 0 or node.gpus > 0):
        there = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        on_node = look.options(num_cpus=0, max_retries=1, scheduling_strategy=there)
        asked.append((node.name, on_node.remote(storage if storage.is_local else None, image)))
    try:
        for name, answer in asked:
            try:
                seen: _Sight = ray.get(answer, timeout=_ANSWER_S)
            except GetTimeoutError:
                raise EngineError(f"node {name} has not started a worker after {_ANSWER_S:g} s: `ray status`") from None
            except RayError as error:
                reason = str(error).strip().splitlines()[-1]
                raise EngineError(
                    f"node {name} cannot run this: {reason}; the same Pixelbrain has to be installed there, see "
                    "jobs/runtime_env.yaml"
                ) from None
            _judge(name, seen, nonce, storage, source, image)
    finally:
        storage.delete(_PROBE)


def _look(storage: Storage | None, image: str | None) -> _Sight:
    """On a node: what is there."""
    return _Sight(
        python=sys.version_info[:2],
        probe=storage.read(_PROBE) if storage is not None else None,
        source=image is None or os.path.exists(image),
    )


def _judge(name: str, seen: _Sight, nonce: bytes, storage: Storage, source: str, image: str | None) -> None:
    if seen.python != sys.version_info[:2]:
        theirs, ours = (".".join(map(str, version)) for version in (seen.python, sys.version_info[:2]))
        raise EngineError(f"node {name} has Python {theirs}, and this is {ours}: they have to be the same")
    if storage.is_local and seen.probe != nonce:
        raise LandingError(
            f"OUT is {storage.uri}, and node {name} does not see what is written there: with several nodes, OUT is "
            "s3://bucket/prefix, or a folder that all of them mount"
        )
    if not seen.source:
        raise SourceError(
            f"{source} is here, and not on node {name}: with several nodes, SOURCE is s3://bucket/prefix, or a "
            f"folder that all of them mount ({image})"
        )

"""Placement: which actors, how many, and what of the cluster each reserves, from the nodes that there are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from pixelbrain.config import Placement
from pixelbrain.engine.plan import staged
from pixelbrain.engine.plan.fused import FUSED, LEAST_ROWS, fused_pools
from pixelbrain.engine.plan.nodes import Node, describe_nodes
from pixelbrain.engine.plan.pools import Plan, find_shortage
from pixelbrain.errors import ConfigError, EngineError
from pixelbrain.modules.base import Resources, with_actors

#: Images a block: large enough that handing it over costs nothing, and that decoding threads seldom wait for the first
#: photos of the next one. A crash loses no more of a large one, which lands every two seconds.
_MAX_BLOCK_ROWS = 1024
_MAX_BLOCK_ROWS_OF_UNKNOWN = 256  # where nobody knows how many there are: actors are to end together
_MANY = 10**9
_BLOCKS_PER_ACTOR = 24  # at least so many, that the display moves and actors end together

#: Bytes of an image in a block of the listing: its URI, version and size.
_LISTED_BYTES = 300
#: The nodes that are planned for where they are still to come: a card with four CPUs, and four CPUs to feed it.
_TO_COME = (Node(cpus=4, gpus=1), Node(cpus=4))


def make_plan(
    images: int | None, nodes: Sequence[Node], needs: Mapping[str, Resources], placement: Placement | None = None
) -> Plan:
    """The plan for so many images on these nodes; `check_fit` says whether they have room for it.

    Args:
        images: how many are to do; None: nobody knows yet, but many.
        needs: of the modules, by name, in the order in which they run.

    Raises:
        EngineError: there is no CPU, or no GPU that was asked for.
        ConfigError: a wish about a pool that is none.
    """
    wishes = placement or Placement()
    most_rows = _MAX_BLOCK_ROWS_OF_UNKNOWN if images is None else _MAX_BLOCK_ROWS
    images = _MANY if images is None else max(1, images)  # of nothing, too, it is said what would do it
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    if wishes.device == "cuda" and not gpus and not wishes.autoscale:
        raise EngineError(
            f"--device cuda, but Ray reports no GPU ({cpus:g} CPUs): use --device cpu, or auto; "
            "or --autoscale, if nodes with GPUs start when they are asked for"
        )
    if cpus <= 0 and not wishes.autoscale:
        raise EngineError("Ray reports no CPU: start it with at least one (`ray start --head --num-cpus 2`)")
    device = "cuda" if wishes.device == "cuda" or (gpus > 0 and wishes.device == "auto") else "cpu"
    layout = _choose_layout(nodes, wishes, device)
    models = with_actors(needs)
    beside = tuple(name for name in needs if name not in models)
    needs = models if layout == "staged" else needs
    _check_pool_names(layout, needs, wishes)
    if wishes.autoscale:
        # with all labels that are asked for
        labels = {key: value for pool in wishes.node_labels for key, value in wishes.label_selector(pool).items()}
        to_come = _TO_COME[: 1 if layout == "fused" else 2]
        nodes = [dataclasses.replace(node, labels=labels) for node in to_come]
    if layout == "fused":
        pools = fused_pools(nodes, needs, wishes, device, images=images)
        step, chunk, waiting = max(need.batch_size for need in models.values()), 0, 0
    else:
        chunk = step = staged.chunk_rows(nodes, needs)
        pools = staged.staged_pools(nodes, needs, wishes, device, most=-(-images // max(chunk, LEAST_ROWS)))
        waiting = staged.waiting_bytes(pools, needs, chunk)
        if beside:
            pools = (dataclasses.replace(pools[0], modules=beside, batch_size=chunk), *pools[1:])
    if len(nodes) == 1 and not wishes.autoscale:
        pools = tuple(dataclasses.replace(pool, max_actors=pool.max_actors or pool.min_actors) for pool in pools)
    workers = pools[0].min_actors
    rows = _block_rows(min(most_rows, images // (workers * _BLOCKS_PER_ACTOR)), step)
    return Plan(
        layout=layout,
        pools=pools,
        block_rows=rows,
        chunk_rows=chunk,
        object_store_bytes=waiting + workers * staged.QUEUED_PER_ACTOR * rows * _LISTED_BYTES,
    )


def check_fit(plan: Plan, nodes: Sequence[Node]) -> None:
    """Raises `EngineError`, with the numbers, for a plan of which some actor would wait for ever."""
    if (shortage := find_shortage(plan.pools, nodes)) is not None:
        pool, room = shortage
        fewer = f"--actors {pool.name}={room}" if room else None
        shared = f"--gpus-per-actor {pool.name}=0.5" if pool.gpus > 0.5 else None
        fused = "--layout fused" if plan.layout == "staged" else None
        ways = ", ".join(way for way in (fewer, shared, fused, "--autoscale if nodes are still to come") if way)
        raise EngineError(
            f"this plan would wait for ever: the pool {pool.name} wants {pool.min_actors} x ({pool.needs()}), and on "
            f"{describe_nodes(nodes)} there is room for {room} beside the others; `pixelbrain plan` shows all. "
            f"Try {ways}"
        )
    held = sum(node.object_store_bytes for node in nodes)
    if plan.object_store_bytes > held:
        raise EngineError(
            f"this plan keeps {plan.object_store_bytes / 1e6:,.0f} MB in the object store, which has {held / 1e6:,.0f} "
            "MB: fewer --actors, --layout fused, or nodes with more --object-store-memory"
        )


def _choose_layout(nodes: Sequence[Node], wishes: Placement, device: str) -> str:
    """Staged where some pool is named, or where CPU nodes would stand beside busy GPUs."""
    if wishes.layout != "auto":
        return wishes.layout
    if wishes.pools - {FUSED}:
        return "staged"
    feeders = any(node.cpus >= 1 and not node.gpus for node in nodes)
    return "staged" if device == "cuda" and feeders else "fused"


def _check_pool_names(layout: str, needs: Mapping[str, Resources], wishes: Placement) -> None:
    known = [FUSED] if layout == "fused" else [staged.DECODE, *needs, staged.LAND]
    for name in sorted(wishes.pools):
        if name not in known:
            raise ConfigError(f"there is no pool {name!r} in the {layout} layout; it has {', '.join(known)}")


def _block_rows(wanted: int, step: int) -> int:
    """Near `wanted`, and not too few; whole batches where it is more than one, as half a batch costs nearly a whole."""
    rows = max(LEAST_ROWS, wanted)
    return rows if rows < step else -(-rows // step) * step

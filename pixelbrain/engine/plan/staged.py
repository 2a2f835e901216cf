"""The staged layout: a pool that decodes on CPUs, one for each module, on GPUs if there are any, and one that lands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from pixelbrain.config import Placement
from pixelbrain.engine.plan.fused import SPARE, THREADS, actor_memory
from pixelbrain.engine.plan.nodes import Node
from pixelbrain.engine.plan.pools import Pool, count_room
from pixelbrain.modules.base import Resources

DECODE = "decode"
LAND = "land"

#: Batches that wait before an actor, the one in its hands included.
QUEUED_PER_ACTOR = 2
_WAITING_SHARE = 0.5  # of the object stores, for these

#: Inputs of one chunk: large enough that handing it over costs little, small enough that several wait everywhere.
_CHUNK_BYTES = 64 * 1024**2
_STORE_SHARE = 16  # chunks that the smallest object store has room for

_GPU_ACTOR_CPUS = 1.0  # it unpacks inputs and starts kernels; less where a GPU node has fewer
_LANDING_CPUS = 0.25  # of an actor that compresses and writes rows as several others make them
_ACTORS_PER_LANDING = 8  # on CPUs; a card does as much as many of these, and has one of its own where there is room


def chunk_rows(nodes: Sequence[Node], needs: Mapping[str, Resources]) -> int:
    """Images that travel together."""
    each = sum(need.input_bytes for need in needs.values())
    store = min((node.object_store_bytes for node in nodes), default=float("inf"))
    room = min(_CHUNK_BYTES, store / _STORE_SHARE)
    return max(1, min(int(room // each), max(need.batch_size for need in needs.values())))


def staged_pools(
    nodes: Sequence[Node], needs: Mapping[str, Resources], wishes: Placement, device: str, *, most: int
) -> tuple[Pool, ...]:
    """The pools, in the order in which an image passes them; none of more actors than `most`, the chunks there are."""
    cpus = sum(node.cpus for node in nodes)
    shares = _gpu_shares(nodes, needs, wishes, device)
    shared = sum(share for share in shares.values() if share)
    cards = sum(int(node.gpus) for node in nodes)
    on_cpu = sum(not share for share in shares.values())
    models = []
    for name, need in needs.items():
        share = shares[name]
        if share:
            actors, threads, each = int(cards // shared + 1e-6) or 1, 1, _gpu_actor_cpus(nodes, shares)
        else:  # three quarters of the CPUs compute, as decoding is less work than a model without a GPU
            threads = max(1, min(THREADS, int(cpus * 0.75 / on_cpu), int(_smallest(nodes))))
            actors = max(1, int(cpus * 0.75 / on_cpu / threads))
            each = min(threads, cpus * 0.75 / on_cpu) * SPARE
        reserved = {"gpus": share, "memory_bytes": actor_memory(nodes, [need]), "threads": threads}
        runs = {"modules": (name,), "device": "cuda" if share else "cpu", "batch_size": need.batch_size}
        models.append(_pool(name, actors, each, wishes, most, **reserved, **runs))
    landing = _landing(nodes, models, wishes, most)
    models = [_bounded(pool, list(needs.values())[number:], models, nodes) for number, pool in enumerate(models)]
    return (_decoders(nodes, [*models, landing], wishes, most), *models, landing)


def _landing(nodes: Sequence[Node], models: Sequence[Pool], wishes: Placement, most: int) -> Pool:
    """One for each card's actor where there is room beside the least of decoders, or for eight actors on CPUs."""
    least = -(-sum(pool.min_actors for pool in models) // _ACTORS_PER_LANDING)
    pool = _pool(LAND, least, _LANDING_CPUS, wishes, most)
    on_cards = sum(pool.min_actors for pool in models if pool.gpus)
    if on_cards <= least:
        return pool
    decoder = _pool(DECODE, 1, THREADS * SPARE, wishes, most, memory_bytes=actor_memory(nodes, []))
    room = count_room(pool, [*models, decoder], nodes, most=on_cards)
    return _sized(pool, max(least, room), wishes, most)


def _decoders(nodes: Sequence[Node], others: Sequence[Pool], wishes: Placement, most: int) -> Pool:
    """As many as there is room for: on nodes without GPUs where there are such, as Ray prefers these."""
    feeders = [node for node in nodes if node.cpus >= 1 and not node.gpus] or [node for node in nodes if node.cpus]
    threads = max(1, min(THREADS, int(_smallest(feeders))))
    memory = actor_memory(nodes, [])
    for each in (threads, 1, 0.5, 0.25):
        its = {"memory_bytes": memory, "threads": max(1, min(threads, int(each)))}
        pool = _pool(DECODE, 1, each * SPARE, wishes, most, **its)
        if room := count_room(pool, others, nodes, most=min(most, int(sum(node.cpus for node in nodes)) + 1)):
            return _sized(pool, room, wishes, most)
    return pool


def _smallest(nodes: Sequence[Node]) -> float:
    """CPUs of the smallest node that has a whole one: all actors of a pool are equal, and each fits on one node."""
    return min((node.cpus for node in nodes if node.cpus >= 1), default=1.0)


def _bounded(pool: Pool, needs: Sequence[Resources], models: Sequence[Pool], nodes: Sequence[Node]) -> Pool:
    """The pool with batches of which the object store holds those that wait; `needs` are the modules from it on."""
    each = sum(need.input_bytes for need in needs)
    room = sum(node.object_store_bytes for node in nodes) * _WAITING_SHARE
    rows = room / (len(models) * pool.min_actors * QUEUED_PER_ACTOR * each)
    return dataclasses.replace(pool, batch_size=max(1, int(min(pool.batch_size, rows))))


def _pool(name: str, actors: int, cpus: float, wishes: Placement, most: int, **more: object) -> Pool:
    wished = wishes.cpu_share(name)
    # what is wished for without a name is meant for the modules
    labels = wishes.label_selector(name) if "modules" in more or name in wishes.node_labels else {}
    pool = Pool(
        name=name, min_actors=1, max_actors=None, cpus=round(max(0.1, cpus if wished is None else wished * SPARE), 3),
        labels=labels, **more,  # type: ignore[arg-type]
    )  # fmt: skip
    if wished is not None:
        pool = dataclasses.replace(pool, threads=max(1, int(wished)))
    return _sized(pool, actors, wishes, most)


def _sized(pool: Pool, actors: int, wishes: Placement, most: int) -> Pool:
    """The pool with as many actors as were asked for, or as fit and have work."""
    asked = wishes.actor_range(pool.name) if pool.modules or pool.name in wishes.actors else None
    if asked is None:
        least = min(actors, most)
        asked = (1 if wishes.autoscale else least), (None if most > actors else least)
    return dataclasses.replace(pool, min_actors=asked[0], max_actors=asked[1])


def _gpu_actor_cpus(nodes: Sequence[Node], shares: Mapping[str, float]) -> float:
    """CPUs of an actor on a GPU, such that every GPU node has enough for all that share its cards."""
    a_card = sum(1 for share in shares.values() if share) / sum(shares.values())
    there = [node.cpus / (node.gpus * a_card) for node in nodes if node.gpus]
    return min([_GPU_ACTOR_CPUS, *there]) * SPARE


def _gpu_shares(
    nodes: Sequence[Node], needs: Mapping[str, Resources], wishes: Placement, device: str
) -> dict[str, float]:
    """GPUs of each module's actors: as wished, as it says itself, or equal parts; a card each if there are enough."""
    if device != "cuda":
        return dict.fromkeys(needs, 0.0)
    cards = sum(int(node.gpus) for node in nodes)
    wished = {name: wishes.gpu_share(name) for name in needs}
    said = {name: need.num_gpus if wished[name] is None else wished[name] for name, need in needs.items()}
    silent = sum(share is None for share in said.values())
    equal = 1.0 if cards >= len(needs) else int(100 / silent) / 100 if silent else 1.0
    return {name: equal if share is None else share for name, share in said.items()}


def waiting_bytes(pools: Sequence[Pool], needs: Mapping[str, Resources], chunk: int) -> int:
    """What waits in the object store at most: a chunk with each decoder, and batches of chunks before each model."""
    each = [need.input_bytes for need in needs.values()]
    total = pools[0].min_actors * chunk * sum(each)
    for number, pool in enumerate(pools[1:-1]):
        rows = -(-pool.batch_size // chunk) * chunk
        total += pool.min_actors * QUEUED_PER_ACTOR * rows * sum(each[number:])
    return total

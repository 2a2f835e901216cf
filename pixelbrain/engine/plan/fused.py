"""The fused layout: equal actors that each do all of an image's work, one a GPU, or one for about four CPUs.

Where no module has a model to speak of, one a CPU: then a third and more of what is done to an image is Python's, which
the threads of a process do one at a time, and another process costs its start and 300 MB.

Pixels never leave an actor: it is the laptop's, and that of clusters whose GPU nodes have the CPUs to feed them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pixelbrain.config import Placement
from pixelbrain.engine.plan.nodes import Node
from pixelbrain.engine.plan.pools import Pool
from pixelbrain.errors import EngineError
from pixelbrain.modules.base import Resources, with_actors

FUSED = "images"

#: Images at least for an actor.
LEAST_ROWS = 8

#: A model's matrix products gain little from more threads than this; further CPUs get an actor of their own.
THREADS = 4
#: Modules whose memory is no more than this together have no model.
_LIGHT_BYTES = 32 * 1024**2
_LIGHT_ROWS = 1024  # images at least for an actor of such: its start costs as much as 3,000 small ones
#: Decoding for a GPU does gain.
_GPU_THREADS = 16
#: A little is left over: what else Ray runs must not wait for the actors, which never give theirs back.
SPARE = 0.9
#: An actor's Python, Ray, Arrow and the photos in its hands: peaks of benchmarks/soak.py, 248 MB, rounded up.
_ACTOR_BYTES = 300 * 1024**2


def fused_pools(
    nodes: Sequence[Node], needs: Mapping[str, Resources], wishes: Placement, device: str, *, images: int
) -> tuple[Pool, ...]:
    """The one pool of the fused layout; of no more actors than there is work for with so many images."""
    labels = wishes.label_selector(FUSED)
    usable = [node for node in nodes if node.has_labels(labels)]
    if not usable and not wishes.autoscale:
        raise EngineError(f"no node has the label {wishes.node_labels}: see `ray start --labels`")
    memory = actor_memory(usable, needs.values())
    share = _share(needs, wishes) if device == "cuda" else 0.0
    light = device != "cuda" and sum(need.memory_bytes for need in needs.values()) <= _LIGHT_BYTES
    most = -(-images // (_LIGHT_ROWS if light else LEAST_ROWS))
    wanted = 1 if light else THREADS
    counts = [
        _actors_by_gpus(node, share) if device == "cuda" else _actors_by_cpus(node, usable, memory, wanted)
        for node in usable
    ]
    working = [(node, count) for node, count in zip(usable, counts, strict=True) if count]
    asked = wishes.actor_range(FUSED)
    actors = asked[0] if asked else 1 if wishes.autoscale else min(max(1, sum(counts)), most)
    if len(working) == 1:  # fewer or more than there is room for share what there is
        each = working[0][0].cpus / actors
    else:
        each = min((node.cpus / count for node, count in working), default=0.0)
    each = wishes.cpu_share(FUSED) or each
    threads = max(1, int(min(each, _GPU_THREADS if device == "cuda" else each)))
    return (
        Pool(
            name=FUSED,
            min_actors=actors,
            max_actors=asked[1] if asked else None if most > actors else actors,
            cpus=round(max(0.1, min(threads, each) * SPARE), 3),
            gpus=share,
            memory_bytes=memory,
            threads=threads,
            modules=tuple(needs),
            device=device,
            batch_size=max(need.batch_size for need in with_actors(needs).values()),
            labels=labels,
        ),
    )


def actor_memory(nodes: Sequence[Node], needs: Iterable[Resources]) -> int:
    """Bytes that an actor with these modules reserves; where no node has as much, what a small one can give."""
    wanted = _ACTOR_BYTES + sum(need.memory_bytes for need in needs)
    return int(min(wanted, SPARE * max((node.memory_bytes for node in nodes), default=wanted)))


def _share(needs: Mapping[str, Resources], wishes: Placement) -> float:
    """GPUs of an actor: as wished, or as its modules want together, at most one whole."""
    if (wished := wishes.gpu_share(FUSED)) is not None:
        return wished
    wanted = [need.num_gpus for need in needs.values() if need.num_gpus is not None]
    return min(1.0, sum(wanted)) if len(wanted) == len(needs) and sum(wanted) > 0 else 1.0


def _actors_by_gpus(node: Node, share: float) -> int:
    if not share:
        return 0
    return int(node.gpus) * int(1 / share) if share < 1 else int(node.gpus // share)


def _actors_by_cpus(node: Node, nodes: Sequence[Node], memory: int, wanted: int) -> int:
    """Actors of a node. All are equal, of about `wanted` CPUs, and such that the smallest node is filled, too."""
    useful = [other for other in nodes if other.cpus >= 1] or nodes
    if node not in useful:
        return 0
    each = min(other.cpus / max(1, round(other.cpus / wanted)) for other in useful)
    return max(1, int(min(node.cpus / each, node.memory_bytes / memory) + 1e-6))

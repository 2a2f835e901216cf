"""What a plan is made of, pools of equal actors, and whether these fit the nodes: each is put on one in thought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pixelbrain.engine.plan.nodes import Node

_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Equal actors of a plan, each on one node, for as long as the plan runs."""

    name: str
    min_actors: int
    max_actors: int | None  # None: as many as there is room for
    cpus: float  # that one actor reserves, as the next two
    gpus: float = 0.0
    memory_bytes: int = 0
    threads: int = 1
    modules: tuple[str, ...] = ()
    device: str = "cpu"  # of the modules
    batch_size: int = 1  # images that go through a module together
    labels: Mapping[str, str] = field(default_factory=dict)  # that its nodes have

    def needs(self) -> str:
        """What one actor reserves, in words."""
        parts = [f"{self.cpus:g} CPU"]
        if self.gpus:
            parts.append(f"{self.gpus:g} GPU")
        if self.memory_bytes:
            parts.append(f"{self.memory_bytes / 1e9:.1f} GB")
        labels = "".join(f" on nodes labelled {key}={value}" for key, value in self.labels.items())
        return ", ".join(parts) + labels


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The pools of actors of a run."""

    layout: str  # fused or staged
    pools: tuple[Pool, ...]  # in the order in which an image passes them
    block_rows: int  # images that are handed out together
    chunk_rows: int  # staged: images that travel together
    object_store_bytes: int  # in use at most, on all nodes together, as an estimate


class _Room:
    """What is left of a node; GPUs one by one, as a part of one cannot be had from two."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.cpus, self.memory = node.cpus, node.memory_bytes
        self.cards = [1.0] * int(node.gpus)

    def holds(self, pool: Pool) -> bool:
        fits = self.cpus >= pool.cpus - _TOLERANCE and self.memory >= pool.memory_bytes
        return fits and self.node.has_labels(pool.labels) and (not pool.gpus or self._cards(pool.gpus) is not None)

    def take(self, pool: Pool) -> None:
        self.cpus -= pool.cpus
        self.memory -= pool.memory_bytes
        for card in self._cards(pool.gpus) or ():
            self.cards[card] -= min(1.0, pool.gpus)

    def _cards(self, share: float) -> list[int] | None:
        if not share:
            return []
        wanted, each = max(1, int(share)), min(1.0, share)
        free = [card for card, left in enumerate(self.cards) if left >= each - _TOLERANCE]
        # the fullest that has room, as Ray packs them, so that whole cards stay whole
        free.sort(key=lambda card: self.cards[card])
        return free[:wanted] if len(free) >= wanted else None

    def spare(self, pool: Pool) -> tuple[bool, float]:
        """Sorts nodes for a pool: those without GPUs first where it wants none, then the emptiest."""
        return bool(self.cards) and not pool.gpus, -self.cpus


def find_shortage(pools: Iterable[Pool], nodes: Sequence[Node]) -> tuple[Pool, int] | None:
    """The first pool whose least number of actors does not fit beside the others', and how many do; None: all fit."""
    rooms = [_Room(node) for node in nodes]
    for pool in sorted(pools, key=_hardest_first):
        placed = _place(pool, pool.min_actors, rooms)
        if placed < pool.min_actors:
            return pool, placed
    return None


def _hardest_first(pool: Pool) -> tuple[float, bool, float]:
    return -pool.gpus, not pool.labels, -pool.cpus


def count_room(pool: Pool, others: Iterable[Pool], nodes: Sequence[Node], most: int) -> int:
    """How many of the pool's actors fit beside the others' least numbers; no more than `most`."""
    rooms = [_Room(node) for node in nodes]
    for other in sorted(others, key=_hardest_first):
        _place(other, other.min_actors, rooms)
    return _place(pool, most, rooms)


def _place(pool: Pool, actors: int, rooms: Sequence[_Room]) -> int:
    for placed in range(actors):
        free = [room for room in rooms if room.holds(pool)]
        if not free:
            return placed
        min(free, key=lambda room: room.spare(pool)).take(pool)
    return actors

"""What a plan is made of: pools of equal actors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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

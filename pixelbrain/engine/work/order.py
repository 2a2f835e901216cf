"""What all workers of a run share: how images are opened, and where their rows go."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from pixelbrain.engine.work.meter import Meter
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.storage.base import Storage


@dataclass(frozen=True, kw_only=True)
class WorkOrder:
    """An order that is the same for all blocks."""

    storage: Storage
    generation: int
    states: Mapping[str, ModuleState]
    s3_endpoint: str | None = None  # of the images
    versions_as_read: bool = True  # see `ImageSource.lists_read_versions`
    device: str = "cpu"
    threads: int = 2  # for decoding, and for the models on a CPU

    def land(self, rows: pa.Table, names: Iterable[str], block: int, piece: int, meter: Meter) -> float:
        """Land rows with these modules' columns as a piece of a block; returns the seconds that it took."""
        started = time.perf_counter()
        states = {name: self.states[name] for name in names}
        Landing(self.storage).write_part(rows, generation=self.generation, block=block, piece=piece, modules=states)
        took = time.perf_counter() - started
        meter.activity("landing", took)
        return took

"""The work on one block of images: read, decode, run the modules, land. No Ray needs to run for it.

Decoding runs in threads, one batch ahead of the models, and pixels never leave the process. Rows land in a thread, too:
a file takes 10 ms to be on a disk, or 100 in S3; the models go on meanwhile, at the end of a block with the next one.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from pixelbrain.engine.work.isolate import Isolation, Suspicion, failed_rows
from pixelbrain.engine.work.loaded_modules import LoadedModules, beside, module_column
from pixelbrain.engine.work.meter import Meter
from pixelbrain.engine.work.opener import Opener
from pixelbrain.engine.work.pictures import add_faces
from pixelbrain.engine.work.run_notes import RunNotes
from pixelbrain.engine.work.tally import Tally
from pixelbrain.engine.work.worklist import WorkOrder
from pixelbrain.landing.landing import Landing
from pixelbrain.modules.base import PipelineModule, needs_of, with_actors

#: Calls that a worker is to be given at once: while the one lands its block, the other is at work on its own.
CALLS = 2

#: Rows land at least this often, so that a crash costs little: a file takes 10 ms to land.
_ROWS_PER_PIECE = 1000
_SECONDS_PER_PIECE = 2.0


class ImageWorker:
    """Loads the modules when they are first needed; call it with a block of the worklist, or with two in two threads.

    Args:
        modules: those that a block may ask for.
        order: what all workers share.
        wary: this worker takes the place of one that died; the block that it had may be what killed it.
        meter: hears what it is busy with.
    """

    def __init__(
        self, modules: Sequence[PipelineModule], order: WorkOrder, *, wary: bool = False, meter: Meter | None = None
    ) -> None:
        self.order = order
        self.landing = Landing(order.storage)
        self.notes = RunNotes(order.storage)
        self._suspicion = Suspicion(self.notes, functools.partial(ImageWorker, list(modules), order), wary=wary)
        self._meter = meter or Meter()
        self._opener = Opener(order, self._meter)
        self._modules = LoadedModules(modules, order.device, order.threads, self._meter)
        #: Whatever calls: a module may hold what is its thread's, as a connection of SQLite is, or OpenMP's threads.
        self._models = ThreadPoolExecutor(1, thread_name_prefix="models")
        self._landing = ThreadPoolExecutor(CALLS, thread_name_prefix="land")

    def __call__(self, work: pa.Table) -> pa.Table:
        """Land every image of the block as exactly one row, if an earlier try of the block has not.

        Takes one row of `worklist.WORK_SCHEMA`, and returns one of `tally.SUMMARY_SCHEMA`: of fewer images than the
        block has where the run was asked to stop.
        """
        (block,) = work.to_pylist()
        tally = Tally()
        if not self.notes.stop_requested():
            landed, piece = self.landing.block_so_far(self.order.generation, block["block"])
            tally.images = len(landed)
            if left := [entry for entry in block["images"] if entry["image_id"] not in landed]:
                self._work_off(left, block["modules"], block["block"], piece, tally)
        return tally.summary()

    def _work_off(self, entries: list[dict[str, Any]], names: list[str], number: int, piece: int, tally: Tally) -> None:
        if (isolation := self._suspicion.begin(str(number), names)) is None:
            tables = self._tables(entries, names, tally.seconds)
        else:
            tables = self._isolated(isolation, entries, names)
        landings: list[Future[None]] = []

        def land(rows: list[pa.Table]) -> None:
            for one in landings:
                one.result()  # one at a time: the rows of two pieces at most are in memory
            where = number, piece + len(landings), tally
            landings.append(self._landing.submit(self._land, rows, names, *where))

        unlanded: list[pa.Table] = []
        landed_at = time.monotonic()
        with contextlib.closing(tables):
            for table in tables:
                tally.add(table, names)
                unlanded.append(table)
                stop = self.notes.stop_requested()
                late = time.monotonic() - landed_at > _SECONDS_PER_PIECE
                if stop or late or sum(map(len, unlanded)) >= _ROWS_PER_PIECE:
                    land(unlanded)
                    unlanded, landed_at = [], time.monotonic()
                if stop:
                    break
        if unlanded:
            land(unlanded)
        for one in landings:
            one.result()
        self.notes.end()

    def process(self, entries: list[dict[str, Any]], names: Sequence[str]) -> pa.Table:
        """Finished rows of images, not landed; without images, the modules are made ready."""
        if not entries:
            self._models.submit(self._modules.set_up, names).result()
            return pa.table({})
        return pa.concat_tables(self._tables(entries, names, Tally().seconds), promote_options="default")

    def _tables(
        self, entries: list[dict[str, Any]], names: Sequence[str], seconds: dict[str, float]
    ) -> Generator[pa.Table]:
        """Finished rows, a batch at a time; the next batch decodes while the models see this one."""
        modules = [self._modules[name] for name in names]
        size = max(need.batch_size for need in with_actors(needs_of(modules)).values())
        cut = [entries[i : i + size] for i in range(0, len(entries), size)]
        for batch in self._opener.batches(cut, modules):
            seconds["waiting for images"] += batch.seconds
            table = batch.rows
            for name in names:
                inputs = beside(table, batch.good, batch.inputs[name], self.order.stands_on.get(name, {}))
                running = self._models.submit(self._modules.run, name, len(table), batch.good, inputs)
                column, took = running.result()
                table = table.append_column(name, column)
                if self.order.thumbnails:
                    table = add_faces(table, name, batch.good, batch.inputs[name])
                seconds[name] += took
            yield table

    def _isolated(
        self, isolation: Isolation, entries: list[dict[str, Any]], names: Sequence[str]
    ) -> Generator[pa.Table]:
        """Finished rows one by one, from a process that may die of them."""
        for entry, table, why in isolation.rows(entries):
            if table is None:
                table = failed_rows(entry, why)
                for name in names:
                    table = table.append_column(name, module_column(1, [], [], self._modules[name]))
            yield table

    def _land(self, tables: list[pa.Table], names: Sequence[str], block: int, piece: int, tally: Tally) -> None:
        tally.seconds["landing"] += self.order.land(
            pa.concat_tables(tables, promote_options="default"), names, block, piece, self._meter
        )

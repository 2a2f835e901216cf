"""The work on one block of images in three steps on different machines: decode, run one module, land.

What `fused.ImageWorker` does in one process. A step that is done again, as its node died, makes the same chunks of the
same images under the same numbers, and a chunk that has landed by then is not done again.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.engine.work.chunks import Chunk, pack, unpack
from pixelbrain.engine.work.fused import ImageWorker
from pixelbrain.engine.work.isolate import Isolation, Suspicion, crash, failed_rows
from pixelbrain.engine.work.loaded_modules import LoadedModules, beside, module_column
from pixelbrain.engine.work.meter import Meter
from pixelbrain.engine.work.opener import Batch, Opener
from pixelbrain.engine.work.pictures import add_faces
from pixelbrain.engine.work.run_notes import RunNotes
from pixelbrain.engine.work.tally import Tally
from pixelbrain.engine.work.worklist import WorkOrder
from pixelbrain.landing.landing import Landing
from pixelbrain.modules.base import PipelineModule, needs_of, with_actors


class Decoder:
    """Reads and decodes a block, and hands on what each module wants to see of it, so many rows a chunk.

    The other arguments are as of `fused.ImageWorker`. It loads no model.
    """

    def __init__(
        self, modules: Sequence[PipelineModule], order: WorkOrder, chunk_rows: int, *, wary: bool = False,
        meter: Meter | None = None,
    ) -> None:  # fmt: skip
        self.landing = Landing(order.storage)
        self.notes = RunNotes(order.storage)
        self._modules = {module.name: module for module in modules}
        self._models = with_actors(needs_of(modules))  # whose actors get their inputs
        self._order = order
        self._chunk_rows = chunk_rows
        copy = functools.partial(Decoder, list(modules), order, chunk_rows)
        self._suspicion = Suspicion(self.notes, copy, wary=wary)
        self._opener = Opener(order, meter or Meter())

    def __call__(self, work: pa.Table) -> Iterator[pa.Table]:
        """A block, one row of `worklist.WORK_SCHEMA`, chunk by chunk; without images where the run is to stop."""
        (block,) = work.to_pylist()
        images, names = block["images"], block["modules"]
        cut = [images[i : i + self._chunk_rows] for i in range(0, len(images), self._chunk_rows)]
        landed = [self.landing.piece_rows(self._order.generation, block["block"], piece) for piece in range(len(cut))]
        isolation = self._suspicion.begin(str(block["block"]), names)
        left = [entries for entries, rows in zip(cut, landed, strict=True) if not rows]
        if isolation is None:
            opened = self._opener.batches(left, [self._modules[name] for name in names])
        else:
            opened = (self._isolated(isolation, entries, names) for entries in left)
        with contextlib.closing(opened):
            for piece, rows in enumerate(landed):
                chunk = Chunk(block=block["block"], piece=piece, modules=names, landed=rows or 0)
                if not rows and not self.notes.stop_requested():
                    batch = next(opened)
                    chunk.rows, chunk.good, chunk.inputs = self._with_own(batch, names), batch.good, batch.inputs
                    chunk.seconds = {"waiting for images": batch.seconds}
                yield pack([chunk], self._models)
        self.notes.end()

    def _with_own(self, batch: Batch, names: Sequence[str]) -> pa.Table:
        """The rows with the columns of the modules that the decoders do the work of."""
        rows = batch.rows
        for module in (self._modules[name] for name in names if name not in self._models):
            structs = module.run_inputs(batch.inputs[module.name])
            rows = rows.append_column(module.name, module_column(len(rows), batch.good, structs, module))
        return rows

    def _isolated(self, isolation: Isolation, entries: list[dict[str, Any]], names: Sequence[str]) -> Batch:
        """A chunk whose images were opened one by one, in a process that may die of them."""
        rows, good = [], []
        inputs: dict[str, list[Any]] = {name: [] for name in names}
        for number, (entry, table, why) in enumerate(isolation.rows(entries)):
            if table is None:
                rows.append(failed_rows(entry, why))
                continue
            (one,) = unpack(table)
            rows.append(one.rows)
            if one.good:
                good.append(number)
                for name in names:
                    inputs[name] += one.take_input(name)
        return Batch(rows=pa.concat_tables(rows, promote_options="default"), good=good, inputs=inputs, seconds=0.0)

    def process(self, entries: list[dict[str, Any]], names: Sequence[str]) -> pa.Table:
        """Images as one chunk, for `isolate`; nothing needs to be made ready."""
        if not entries:
            return pa.table({})
        (batch,) = self._opener.batches([entries], [self._modules[name] for name in names])
        opened = {"rows": batch.rows, "good": batch.good, "inputs": batch.inputs}
        return pack([Chunk(block=0, piece=0, modules=list(names), **opened)], names)


class ModelRunner:
    """Runs one module on chunks, adds its column to their rows, and hands on the inputs of the `later` ones.

    The other arguments are as of `fused.ImageWorker`.
    """

    def __init__(
        self, module: PipelineModule, order: WorkOrder, later: Sequence[str], *, wary: bool = False,
        meter: Meter | None = None,
    ) -> None:  # fmt: skip
        self.notes = RunNotes(order.storage)
        self._module = module
        self._later = later
        self._givers = order.stands_on.get(module.name, {})
        self._thumbnails = order.thumbnails
        self._wary = wary
        self._suspicion = Suspicion(self.notes, functools.partial(ImageWorker, [module], order), wary=wary)
        self._modules = LoadedModules([module], order.device, order.threads, meter or Meter())

    def __call__(self, table: pa.Table) -> pa.Table:
        """The same chunks with the module's column, and without its inputs."""
        chunks = unpack(table)
        if self.notes.stop_requested():
            for chunk in chunks:
                chunk.rows = None
        if todo := [chunk for chunk in chunks if chunk.rows is not None and self._module.name in chunk.modules]:
            self._run(todo)
        return pack(chunks, self._later)

    def _run(self, chunks: list[Chunk]) -> None:
        work = " ".join(f"{self._module.name} {chunk.block}-{chunk.piece}" for chunk in chunks)
        # one death less: that which made this worker wary is not noted, as in the good case nothing is
        isolation = self._suspicion.begin(work, [self._module.name], deaths=1) if self._wary else None
        if isolation is None:
            self._together(chunks)
        else:
            for chunk in chunks:
                self._alone(isolation, chunk)
        if self._wary:
            self.notes.end()

    def _together(self, chunks: list[Chunk]) -> None:
        """All chunks' images as one batch."""
        name = self._module.name
        sizes = [len(chunk.rows) for chunk in chunks]
        starts = [0, *itertools.accumulate(sizes)]
        good = [start + row for start, chunk in zip(starts, chunks, strict=False) for row in chunk.good]
        inputs = [
            one for chunk in chunks for one in beside(chunk.rows, chunk.good, chunk.take_input(name), self._givers)
        ]
        column, took = self._modules.run(name, sum(sizes), good, inputs)
        for chunk, start, size in zip(chunks, starts, sizes, strict=False):
            chunk.rows = chunk.rows.append_column(name, column.slice(start, size))
            if self._thumbnails:
                chunk.rows = add_faces(chunk.rows, name, chunk.good, inputs[: len(chunk.good)])
                del inputs[: len(chunk.good)]
            chunk.seconds[name] = took * size / sum(sizes)

    def _alone(self, isolation: Isolation, chunk: Chunk) -> None:
        """Each image for itself, from its file again, in a process that may die of it."""
        name = self._module.name
        started = time.perf_counter()
        below = [of for of in self._givers.values() if of in chunk.rows.column_names]
        wanted = [*schema.MANIFEST_SCHEMA.names, *dict.fromkeys(below)]
        entries = chunk.rows.select(wanted).take(pa.array(chunk.good, pa.int64())).to_pylist()
        for entry in entries:
            entry["beside"] = {of: entry.pop(of) for of in set(below)}
        results = [crash(why) if table is None else table[name][0].as_py() for _, table, why in isolation.rows(entries)]
        # an image that cannot be read any more, though it could be decoded before, has no struct
        results = [one if one is not None else crash("it could not be read a second time") for one in results]
        chunk.rows = chunk.rows.append_column(name, module_column(len(chunk.rows), chunk.good, results, self._module))
        chunk.seconds[name] = time.perf_counter() - started


class Lander:
    """Lands chunks that all their modules have seen, each as a file of its own, and reports what came of them."""

    def __init__(self, order: WorkOrder, *, wary: bool = False, meter: Meter | None = None) -> None:
        self._order = order  # `wary` is for the others: landing kills nobody
        self._meter = meter or Meter()

    def __call__(self, table: pa.Table) -> pa.Table:
        """One row of `SUMMARY_SCHEMA` for each chunk."""
        return pa.concat_tables(self._land(chunk) for chunk in unpack(table))

    def _land(self, chunk: Chunk) -> pa.Table:
        tally = Tally(images=chunk.landed)
        if chunk.rows is not None:
            took = self._order.land(chunk.rows, chunk.modules, chunk.block, chunk.piece, self._meter)
            tally.add(chunk.rows, chunk.modules)
            tally.seconds.update(chunk.seconds, landing=took)
        return tally.summary()

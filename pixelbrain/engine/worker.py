"""The work on one block of images: read, decode, run the modules, land. No Ray needs to run for it.

Decoding runs in threads, one batch ahead of the models, and pixels never leave the process.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.engine.isolate import Isolation, failed_row
from pixelbrain.engine.notes import RunNotes
from pixelbrain.errors import ImageError
from pixelbrain.images.decode import DecodeTarget, decode_image
from pixelbrain.landing.parquet import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.landing.place import Place
from pixelbrain.modules.base import PipelineModule
from pixelbrain.sources import read_image

__all__ = ["SUMMARY_SCHEMA", "ImageWorker", "WorkOrder"]

#: What a block's work reports back: small, so that nothing piles up in the object store.
SUMMARY_SCHEMA = pa.schema(
    [("images", pa.int64()), ("failed", pa.int64()), ("failures", pa.string()), ("seconds", pa.string())]
)

#: Rows land at least this often, so that a crash costs little: a file takes 10 ms to land.
_ROWS_PER_PIECE = 1000
_SECONDS_PER_PIECE = 2.0

#: Deaths over one block after which each of its images goes through a process of its own.
_DEATHS = 2


@dataclass(frozen=True, kw_only=True)
class WorkOrder:
    """What all workers of a run share."""

    place: Place
    generation: int
    states: Mapping[str, ModuleState]
    s3_endpoint: str | None = None  # of the images
    versions_as_read: bool = True  # see `ImageSource.lists_read_versions`
    device: str = "cpu"
    threads: int = 2  # for decoding, and for the models on a CPU


class ImageWorker:
    """Loads the modules when they are first needed; call it with a block of the worklist.

    Args:
        modules: those that a block may ask for.
        order: what all workers share.
        wary: this worker takes the place of one that died; the block that it had may be what killed it.
    """

    def __init__(self, modules: Sequence[PipelineModule], order: WorkOrder, *, wary: bool = False) -> None:
        self.modules = {module.name: module for module in modules}
        self.order = order
        self.landing = Landing(order.place)
        self.notes = RunNotes(self.landing.place)
        # made before any model is loaded: what a process of its own starts from
        self._copy = _pickled(functools.partial(ImageWorker, list(modules), order)) if wary else None
        self._ready: set[str] = set()
        self._pool = ThreadPoolExecutor(order.threads, thread_name_prefix="decode")

    def __call__(self, work: pa.Table) -> pa.Table:
        """Land every image of the block as exactly one row, if an earlier try of the block has not.

        Args:
            work: one row of `worklist.WORK_SCHEMA`.

        Returns:
            One row of `SUMMARY_SCHEMA`: images, those of them that failed somewhere, failures by kind and seconds by
            activity (both as JSON). Fewer images than the block has where the run was asked to stop.
        """
        (block,) = work.to_pylist()
        progress = _Progress()
        if not self.notes.stop_requested():
            modules = [self.modules[name] for name in block["modules"]]
            landed, piece = self.landing.block_so_far(self.order.generation, block["block"])
            progress.images = len(landed)
            left = [entry for entry in block["images"] if entry["image_id"] not in landed]
            if left:
                self._work_off(left, modules, block["block"], piece, progress)
        return progress.summary()

    def _work_off(
        self, entries: list[dict[str, Any]], modules: list[PipelineModule], number: int, piece: int, progress: _Progress
    ) -> None:
        self.notes.begin_block(number)
        if self._copy is not None and self.notes.deaths_over(number) >= _DEATHS:
            tables = self._isolated(self._copy, entries, modules)
        else:
            tables = self._tables(entries, modules, progress.seconds)
        unlanded: list[pa.Table] = []
        landed_at = time.monotonic()
        for table in tables:
            progress.add(table, modules)
            unlanded.append(table)
            stop = self.notes.stop_requested()
            late = time.monotonic() - landed_at > _SECONDS_PER_PIECE
            if stop or late or sum(map(len, unlanded)) >= _ROWS_PER_PIECE:
                self._land(unlanded, modules, number, piece, progress.seconds)
                unlanded, piece, landed_at = [], piece + 1, time.monotonic()
            if stop:
                break
        if unlanded:
            self._land(unlanded, modules, number, piece, progress.seconds)
        self.notes.end_block()

    def process(self, entries: list[dict[str, Any]], names: Sequence[str]) -> pa.Table:
        """Finished rows of images, not landed; without images, the modules are made ready."""
        chosen = [self.modules[name] for name in names]
        if not entries:
            self._set_up(chosen)
            return pa.table({})
        return pa.concat_tables(self._tables(entries, chosen, collections.defaultdict(float)))

    def _tables(
        self, entries: list[dict[str, Any]], modules: list[PipelineModule], seconds: dict[str, float]
    ) -> Iterator[pa.Table]:
        """Finished rows, a batch at a time; the next batch decodes while the models see this one."""
        self._set_up(modules)
        target = functools.reduce(DecodeTarget.union, (module.decode_target for module in modules))
        size = max(module.batch_size for module in modules)
        batches = [entries[i : i + size] for i in range(0, len(entries), size)]
        ahead = self._submit(batches[0], modules, target)
        for number in range(len(batches)):
            current = ahead
            ahead = self._submit(batches[number + 1], modules, target) if number + 1 < len(batches) else []
            started = time.perf_counter()
            rows, inputs = zip(*(future.result() for future in current), strict=True)
            seconds["waiting for images"] += time.perf_counter() - started
            table = pa.Table.from_pylist(list(rows), pa.schema(schema.BASE_FIELDS))
            good = [i for i, given in enumerate(inputs) if given is not None]
            for module in modules:
                started = time.perf_counter()
                structs: list[dict[str, Any] | None] = [None] * len(rows)
                results = module.run_inputs([inputs[i][module.name] for i in good])
                for i, result in zip(good, results, strict=True):
                    structs[i] = result
                table = table.append_column(module.name, _struct_array(structs, module))
                seconds[module.name] += time.perf_counter() - started
            yield table

    def _isolated(
        self, copy: bytes, entries: list[dict[str, Any]], modules: list[PipelineModule]
    ) -> Iterator[pa.Table]:
        """Finished rows one by one, from a process that may die of them."""
        for entry, table, why in Isolation(copy, [module.name for module in modules]).rows(entries):
            if table is None:
                table = pa.Table.from_pylist([failed_row(entry, why)], pa.schema(schema.BASE_FIELDS))
                for module in modules:
                    table = table.append_column(module.name, _struct_array([None], module))
            yield table

    def _set_up(self, modules: list[PipelineModule]) -> None:
        for module in modules:
            if module.name not in self._ready:
                module.setup(self.order.device)
                self._ready.add(module.name)
                if torch := sys.modules.get("torch"):  # not imported for modules that do without
                    torch.set_num_threads(self.order.threads)

    def _submit(
        self, entries: list[dict[str, Any]], modules: list[PipelineModule], target: DecodeTarget
    ) -> list[Future]:
        return [self._pool.submit(self._open, entry, modules, target) for entry in entries]

    def _open(
        self, entry: dict[str, Any], modules: list[PipelineModule], target: DecodeTarget
    ) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """An image's base columns, and each module's input, or None where the image failed."""
        row: dict[str, Any] = {name: entry[name] for name in schema.MANIFEST_SCHEMA.names}
        try:
            data, version = read_image(row["image_id"], s3_endpoint=self.order.s3_endpoint)
            if self.order.versions_as_read:  # it may have changed since it was listed: these bytes count
                row["version"] = version
            row["size_bytes"] = len(data)
            row["sha256"] = hashlib.sha256(data).hexdigest()
            image = decode_image(data, image_id=row["image_id"], target=target)
        except ImageError as error:
            row |= {"status": schema.Status.FAILED.value, "error_type": type(error).__name__, "error": str(error)}
            return row, None
        row |= {
            "status": schema.Status.OK.value,
            "format": image.format,
            "width": image.width,
            "height": image.height,
        }
        return row, {module.name: module.try_preprocess(image) for module in modules}

    def _land(
        self,
        tables: list[pa.Table],
        modules: list[PipelineModule],
        block: int,
        piece: int,
        seconds: dict[str, float],
    ) -> None:
        started = time.perf_counter()
        self.landing.write_part(
            pa.concat_tables(tables),
            generation=self.order.generation,
            block=block,
            piece=piece,
            modules={module.name: self.order.states[module.name] for module in modules},
        )
        seconds["landing"] += time.perf_counter() - started


class _Progress:
    """What a block's work comes to."""

    def __init__(self) -> None:
        self.images = 0
        self.failed = 0
        self.failures: collections.Counter[str] = collections.Counter()
        self.seconds: dict[str, float] = collections.defaultdict(float)

    def add(self, table: pa.Table, modules: Sequence[PipelineModule]) -> None:
        """Count finished rows."""
        columns = {name: table[name] for name in ("status", "error_type")}
        columns |= {module.name: pc.struct_field(table[module.name], "error_type") for module in modules}
        for outcome in pa.table(columns).to_pylist():
            kinds = _failure_kinds(outcome, modules)
            self.images += 1
            self.failed += bool(kinds)
            self.failures.update(kinds)

    def summary(self) -> pa.Table:
        """As one row of `SUMMARY_SCHEMA`."""
        row = {
            "images": self.images,
            "failed": self.failed,
            "failures": json.dumps(self.failures),
            "seconds": json.dumps(self.seconds),
        }
        return pa.Table.from_pylist([row], SUMMARY_SCHEMA)


def _struct_array(values: list[dict[str, Any] | None], module: PipelineModule) -> pa.Array:
    """The module's column; a row whose values do not fit its fields is that row's error, not its neighbours'."""
    kind = module.struct_type()
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.concat_arrays([_one_struct(value, kind, module) for value in values])


def _one_struct(value: dict[str, Any] | None, kind: pa.StructType, module: PipelineModule) -> pa.Array:
    try:
        return pa.array([value], kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        message = f"module {module.name} returned what its fields() cannot hold: {error}"
        return pa.array([{"error_type": "ModuleError", "error": message}], kind)


def _failure_kinds(outcome: dict[str, Any], modules: Sequence[PipelineModule]) -> list[str]:
    """What failed about an image: the image itself, or modules on it."""
    if outcome["status"] != schema.Status.OK.value:
        return [outcome["error_type"]]
    return [f"{module.name}: {outcome[module.name]}" for module in modules if outcome[module.name]]


def _pickled(made: Any) -> bytes:
    from ray import cloudpickle  # as Ray sends modules, so that a user's own arrive here too

    return cloudpickle.dumps(made)

"""Rows in the making: images read and decoded in threads, modules' columns, and the count of what came of them."""

from __future__ import annotations

import collections
import functools
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.engine.work.meter import Meter
from pixelbrain.errors import ImageError
from pixelbrain.images.decode import DecodeTarget, decode_image
from pixelbrain.landing.parts import ModuleState
from pixelbrain.modules.base import PipelineModule
from pixelbrain.sources import read_image
from pixelbrain.storage.base import Storage

__all__ = ["SUMMARY_SCHEMA", "Batch", "Opener", "Tally", "WorkOrder", "module_column"]

#: What a block's work reports back: small, so that nothing piles up in the object store.
SUMMARY_SCHEMA = pa.schema(
    [("images", pa.int64()), ("failed", pa.int64()), ("failures", pa.string()), ("seconds", pa.string())]
)


@dataclass(frozen=True, kw_only=True)
class WorkOrder:
    """What all workers of a run share."""

    storage: Storage
    generation: int
    states: Mapping[str, ModuleState]
    s3_endpoint: str | None = None  # of the images
    versions_as_read: bool = True  # see `ImageSource.lists_read_versions`
    device: str = "cpu"
    threads: int = 2  # for decoding, and for the models on a CPU


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images that were opened together."""

    rows: pa.Table  # of `schema.BASE_FIELDS`; failed ones say why
    good: list[int]  # the rows whose image could be opened
    inputs: dict[str, list[Any]]  # by module, what it made of each of the good ones
    seconds: float  # that nobody could do anything but wait for them


class Opener:
    """Reads and decodes in threads, one batch ahead of whoever takes them."""

    def __init__(self, order: WorkOrder, meter: Meter) -> None:
        self._order = order
        self._meter = meter
        self._pool = ThreadPoolExecutor(order.threads, thread_name_prefix="decode")

    def batches(self, cut: Sequence[Sequence[Mapping[str, Any]]], modules: Sequence[PipelineModule]) -> Iterator[Batch]:
        """Open images.

        Args:
            cut: rows of `schema.MANIFEST_SCHEMA`, by batch.
            modules: that will see them, and preprocess them here.
        """
        if not cut:
            return
        target = functools.reduce(DecodeTarget.union, (module.decode_target for module in modules))
        ahead = self._submit(cut[0], modules, target)
        for number in range(len(cut)):
            current = ahead
            ahead = self._submit(cut[number + 1], modules, target) if number + 1 < len(cut) else []
            started = time.perf_counter()
            rows, inputs = zip(*(future.result() for future in current), strict=True)
            waited = time.perf_counter() - started
            good = [i for i, given in enumerate(inputs) if given is not None]
            self._meter.read(sum(row.get("size_bytes") or 0 for row in rows))
            self._meter.activity("waiting for images", waited)
            yield Batch(
                rows=pa.Table.from_pylist(list(rows), pa.schema(schema.BASE_FIELDS)),
                good=good,
                inputs={module.name: [inputs[i][module.name] for i in good] for module in modules},
                seconds=waited,
            )

    def _submit(
        self, entries: Sequence[Mapping[str, Any]], modules: Sequence[PipelineModule], target: DecodeTarget
    ) -> list[Future]:
        return [self._pool.submit(self._open, entry, modules, target) for entry in entries]

    def _open(
        self, entry: Mapping[str, Any], modules: Sequence[PipelineModule], target: DecodeTarget
    ) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """An image's base columns, and each module's input, or None where the image failed."""
        row: dict[str, Any] = {name: entry[name] for name in schema.MANIFEST_SCHEMA.names}
        try:
            data, version = read_image(row["image_id"], s3_endpoint=self._order.s3_endpoint)
            if self._order.versions_as_read:  # it may have changed since it was listed: these bytes count
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


class Tally:
    """What a block's work comes to."""

    def __init__(self) -> None:
        self.images = 0
        self.failed = 0
        self.failures: collections.Counter[str] = collections.Counter()
        self.seconds: dict[str, float] = collections.defaultdict(float)

    def add(self, table: pa.Table, modules: Sequence[str]) -> None:
        """Count finished rows."""
        columns = {name: table[name] for name in ("status", "error_type")}
        columns |= {name: pc.struct_field(table[name], "error_type") for name in modules}
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


def module_column(
    rows: int, good: Sequence[int], results: Sequence[dict[str, Any]], module: PipelineModule
) -> pa.Array:
    """The module's column: its results where images are good, null elsewhere.

    A row whose values do not fit the module's fields is that row's error, not its neighbours'.
    """
    structs: list[dict[str, Any] | None] = [None] * rows
    for i, result in zip(good, results, strict=True):
        structs[i] = result
    kind = module.struct_type()
    try:
        return pa.array(structs, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.concat_arrays([_one_struct(value, kind, module) for value in structs])


def _one_struct(value: dict[str, Any] | None, kind: pa.StructType, module: PipelineModule) -> pa.Array:
    try:
        return pa.array([value], kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        message = f"module {module.name} returned what its fields() cannot hold: {error}"
        return pa.array([{"error_type": "ModuleError", "error": message}], kind)


def _failure_kinds(outcome: Mapping[str, Any], modules: Sequence[str]) -> list[str]:
    """What failed about an image: the image itself, or modules on it."""
    if outcome["status"] != schema.Status.OK.value:
        return [outcome["error_type"]]
    return [f"{name}: {outcome[name]}" for name in modules if outcome[name]]

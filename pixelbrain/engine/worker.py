"""The work on one block of images: read, decode, run the modules, land. It knows nothing of Ray.

Decoding runs in threads, one batch ahead of the models, and pixels never leave the process.
"""

from __future__ import annotations

import collections
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
from pixelbrain.errors import ImageError
from pixelbrain.images.decode import decode_image
from pixelbrain.landing.parquet import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.modules.base import PipelineModule
from pixelbrain.sources import read_bytes

__all__ = ["SUMMARY_SCHEMA", "ImageWorker", "WorkOrder"]

#: What a block's work reports back: small, so that nothing piles up in the object store.
SUMMARY_SCHEMA = pa.schema(
    [("images", pa.int64()), ("failed", pa.int64()), ("failures", pa.string()), ("seconds", pa.string())]
)

#: Rows land at least this often, so that a crash costs little.
_ROWS_PER_PIECE = 1000
_SECONDS_PER_PIECE = 60.0


@dataclass(frozen=True, kw_only=True)
class WorkOrder:
    """What all workers of a run share."""

    out: str
    generation: int
    states: Mapping[str, ModuleState]
    s3_endpoint: str | None = None
    device: str = "cpu"
    threads: int = 2  # for decoding, and for the models on a CPU


class ImageWorker:
    """Holds the loaded modules; call it with a block of the manifest."""

    def __init__(self, modules: Sequence[PipelineModule], order: WorkOrder) -> None:
        self.modules = list(modules)
        self.order = order
        self.landing = Landing(order.out)
        self.target = modules[0].decode_target
        for module in modules[1:]:
            self.target = self.target.union(module.decode_target)
        self.batch_size = max(module.batch_size for module in modules)
        _set_torch_threads(order.threads)
        for module in self.modules:
            module.setup(order.device)
        self._pool = ThreadPoolExecutor(order.threads, thread_name_prefix="decode")

    def __call__(self, block: pa.Table) -> pa.Table:
        """Land every image of the block as exactly one row.

        Args:
            block: rows of `schema.MANIFEST_SCHEMA` and a column `block`, the same number in each row, by which a
                retried block writes over its own files.

        Returns:
            One row of `SUMMARY_SCHEMA`: images, those of them that failed somewhere, failures by kind and seconds by
            activity (both as JSON).
        """
        number = block["block"][0].as_py()
        failures: collections.Counter[str] = collections.Counter()
        seconds: dict[str, float] = collections.defaultdict(float)
        unlanded: list[pa.Table] = []
        failed, piece, landed_at = 0, 0, time.monotonic()
        for table in self._tables(block.to_pylist(), seconds):
            kinds = [_failure_kinds(row, self.modules) for row in self._outcomes(table)]
            failed += sum(map(bool, kinds))
            failures.update(kind for of_row in kinds for kind in of_row)
            unlanded.append(table)
            if sum(map(len, unlanded)) >= _ROWS_PER_PIECE or time.monotonic() - landed_at > _SECONDS_PER_PIECE:
                self._land(unlanded, number, piece, seconds)
                unlanded, piece, landed_at = [], piece + 1, time.monotonic()
        if unlanded:
            self._land(unlanded, number, piece, seconds)
        summary = {
            "images": len(block),
            "failed": failed,
            "failures": json.dumps(failures),
            "seconds": json.dumps(seconds),
        }
        return pa.Table.from_pylist([summary], SUMMARY_SCHEMA)

    def _tables(self, entries: list[dict[str, Any]], seconds: dict[str, float]) -> Iterator[pa.Table]:
        """Finished rows, a batch at a time; the next batch decodes while the models see this one."""
        batches = [entries[i : i + self.batch_size] for i in range(0, len(entries), self.batch_size)]
        ahead = self._submit(batches[0])
        for number in range(len(batches)):
            current, ahead = ahead, self._submit(batches[number + 1]) if number + 1 < len(batches) else []
            started = time.perf_counter()
            rows, inputs = zip(*(future.result() for future in current), strict=True)
            seconds["waiting for images"] += time.perf_counter() - started
            table = pa.Table.from_pylist(list(rows), pa.schema(schema.BASE_FIELDS))
            good = [i for i, given in enumerate(inputs) if given is not None]
            for module in self.modules:
                started = time.perf_counter()
                structs: list[dict[str, Any] | None] = [None] * len(rows)
                results = module.run_inputs([inputs[i][module.name] for i in good])
                for i, result in zip(good, results, strict=True):
                    structs[i] = result
                table = table.append_column(module.name, _struct_array(structs, module))
                seconds[module.name] += time.perf_counter() - started
            yield table

    def _outcomes(self, table: pa.Table) -> list[dict[str, Any]]:
        """Each row's status and error types, without its values."""
        columns = {name: table[name] for name in ("status", "error_type")}
        columns |= {module.name: pc.struct_field(table[module.name], "error_type") for module in self.modules}
        return pa.table(columns).to_pylist()

    def _submit(self, entries: list[dict[str, Any]]) -> list[Future]:
        return [self._pool.submit(self._open, entry) for entry in entries]

    def _open(self, entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """An image's base columns, and each module's input, or None where the image failed."""
        row: dict[str, Any] = {name: entry[name] for name in schema.MANIFEST_SCHEMA.names}
        try:
            data = read_bytes(row["image_id"], s3_endpoint=self.order.s3_endpoint)
            row["size_bytes"] = len(data)
            row["sha256"] = hashlib.sha256(data).hexdigest()
            image = decode_image(data, image_id=row["image_id"], target=self.target)
        except ImageError as error:
            row |= {"status": schema.Status.FAILED.value, "error_type": type(error).__name__, "error": str(error)}
            return row, None
        row |= {
            "status": schema.Status.OK.value,
            "format": image.format,
            "width": image.width,
            "height": image.height,
        }
        return row, {module.name: module.try_preprocess(image) for module in self.modules}

    def _land(self, tables: list[pa.Table], block: int, piece: int, seconds: dict[str, float]) -> None:
        started = time.perf_counter()
        self.landing.write_part(
            pa.concat_tables(tables),
            generation=self.order.generation,
            block=block,
            piece=piece,
            modules=self.order.states,
        )
        seconds["landing"] += time.perf_counter() - started


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


def _set_torch_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)

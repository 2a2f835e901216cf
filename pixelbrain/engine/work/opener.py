"""Images read, decoded and preprocessed in threads, one batch ahead of whoever takes them."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.engine.work.meter import Meter
from pixelbrain.engine.work.worklist import WorkOrder
from pixelbrain.errors import ImageError
from pixelbrain.images.decode import DecodeTarget, decode_image
from pixelbrain.modules.base import PipelineModule
from pixelbrain.sources import read_image


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
        """Open images, rows of `schema.MANIFEST_SCHEMA` by batch, and preprocess them for the modules."""
        if not cut:
            return
        target = functools.reduce(DecodeTarget.union, (module.decode_target for module in modules))

        def submit(entries: Sequence[Mapping[str, Any]]) -> list[Future]:
            return [self._pool.submit(self._open, entry, modules, target) for entry in entries]

        ahead = submit(cut[0])
        for following in [*cut[1:], []]:
            current, ahead = ahead, submit(following)
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
            max_pixels = self._order.max_megapixels * 1_000_000
            image = decode_image(data, image_id=row["image_id"], target=target, max_pixels=max_pixels)
        except ImageError as error:
            row |= {"status": schema.Status.FAILED.value, "error_type": type(error).__name__, "error": str(error)}
            return row, None
        row |= {name: getattr(image, name) for name in ("format", "width", "height", "taken_at")}
        row["status"] = schema.Status.OK.value
        return row, {module.name: module.try_preprocess(image) for module in modules}

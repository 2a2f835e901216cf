"""DataLoader: the images of a source, listed, read and decoded; usable alone, without Ray."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pixelbrain.config import MAX_MEGAPIXELS, check_sources, mask_uri
from pixelbrain.errors import ImageError
from pixelbrain.images.decode import DecodedImage, DecodeTarget, decode_image
from pixelbrain.shown import Shown
from pixelbrain.sources import ImageSource, open_source, read_bytes


@dataclass(frozen=True, kw_only=True)
class ImageBatch:
    """A batch of a loader: what could be decoded, and what could not and why."""

    images: list[DecodedImage]
    failures: dict[str, ImageError]  # by image_id


class DataLoader(Shown):
    """Lists images from disk, S3 or a manifest, and decodes them if asked.

        for batch in DataLoader("photos/").batches(32):
            for image in batch.images:
                image.pixels  # uint8 (H, W, 3), RGB, upright

    Args:
        source: a folder (searched with all below it), an image, a list file (.txt, .csv, .parquet),
            s3://bucket/prefix, or a glob (`photos/**/*.jpg`); or several of these, each image of which is listed once.
            Paths may be `Path`s.
        s3_endpoint: another S3 server's URL.
        limit: only the first so many images.
        max_megapixels: images of which more would be in memory at once are refused; see `decode_image`.
        hidden: list hidden files and folders, too, and those that systems make (@eaDir, __MACOSX).
        column: of list files, the one that names the images; by default `uri`, `url` or `path`.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        s3_endpoint: str | None = None,
        limit: int | None = None,
        max_megapixels: int = MAX_MEGAPIXELS,
        hidden: bool = False,
        column: str | None = None,
    ) -> None:
        #: What is named: one source, or several.
        self.source: str | tuple[str, ...] = check_sources(source)
        self.column = column
        self.s3_endpoint = s3_endpoint
        self.limit = limit
        self.max_megapixels = max_megapixels
        self.hidden = hidden
        #: What the last listing has passed over so far, by kind.
        self.passed_over: Mapping[str, int] = {}
        self._outs: tuple[str, ...] = ()
        self._listed: ImageSource | None = None

    def shown(self) -> Mapping[str, Any]:
        endpoint = mask_uri(self.s3_endpoint) if self.s3_endpoint else None
        more = {"s3_endpoint": endpoint, "limit": self.limit, "hidden": self.hidden, "column": self.column}
        return {"source": self.source, **{name: value for name, value in more.items() if value}}

    def leave_out(self, *outs: str) -> None:
        """Do not list what is in these folders or s3:// prefixes, however they are called: a run's OUT is in them."""
        self._outs = tuple(dict.fromkeys((*self._outs, *outs)))

    def open(self) -> ImageSource:
        """The source, whole: `limit` does not bound it."""
        return open_source(
            self.source, s3_endpoint=self.s3_endpoint, hidden=self.hidden, outs=self._outs, column=self.column
        )

    def list_images(self) -> Iterator[pa.Table]:
        """The images, without reading a byte of them, as tables of `schema.MANIFEST_SCHEMA`.

        Raises:
            SourceError: the source cannot be listed.
        """
        left = sys.maxsize if self.limit is None else self.limit
        self._listed = source = self.open()
        self.passed_over = source.passed_over
        for table in source.list_images():
            yield table.slice(0, left)
            left -= len(table)
            if left <= 0:
                return

    def covers(self, image_id: str) -> bool:
        """Whether the listing, which is complete, would have named this image, if it were there."""
        return (self._listed or self.open()).covers(image_id)

    def batches(
        self,
        batch_size: int = 32,
        *,
        target: DecodeTarget = DecodeTarget(),  # noqa: B008  (frozen)
        threads: int = 4,
    ) -> Iterator[ImageBatch]:
        """The images, read and decoded in `threads` threads, one batch ahead of the caller.

        Args:
            batch_size: images a batch.
            target: what is needed of each photo; all of it by default.

        Yields:
            Batches in the order of the listing; an image that fails is among its batch's `failures`.
        """
        ids = (i for table in self.list_images() for i in table["image_id"].to_pylist())
        pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        try:
            ahead = None
            while submitted := [(i, pool.submit(self._decode, i, target)) for i in itertools.islice(ids, batch_size)]:
                if ahead:
                    yield _collect(ahead)
                ahead = submitted
            if ahead:
                yield _collect(ahead)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # for the collector, see `landing.reader`

    def _decode(self, image_id: str, target: DecodeTarget) -> DecodedImage:
        data = read_bytes(image_id, s3_endpoint=self.s3_endpoint)
        return decode_image(data, image_id=image_id, target=target, max_pixels=self.max_megapixels * 1_000_000)


def _collect(submitted: list) -> ImageBatch:
    images, failures = [], {}
    for image_id, future in submitted:
        try:
            images.append(future.result())
        except ImageError as error:
            failures[image_id] = error
    return ImageBatch(images=images, failures=failures)

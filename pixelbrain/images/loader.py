"""DataLoader: the images of a source, listed, read and decoded; usable alone, without Ray."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import pyarrow as pa

from pixelbrain.ahead import map_ahead
from pixelbrain.config import MAX_MEGAPIXELS, check_sources, mask_uri
from pixelbrain.errors import ConfigError, ImageError
from pixelbrain.images.decode import DecodedImage, DecodeTarget, decode_image
from pixelbrain.shown import Shown
from pixelbrain.sources import ImageSource, anchored, open_source, read_image
from pixelbrain.storage.file_uri import shown_path

logger = logging.getLogger(__name__)

Loader = TypeVar("Loader", bound="DataLoader")

#: Of a listing's row, or of one that landed, whether the image is meant.
Filter: TypeAlias = Callable[[dict[str, Any]], Any]

#: Of a table of a listing, which rows are meant.
Test: TypeAlias = Callable[[pa.Table], pa.BooleanArray]

_AHEAD = 8  # images that an iteration decodes at a time


@dataclass(frozen=True, kw_only=True, repr=False)
class EncodedImage(Shown):
    """An image as it is in its file: of a loader with `decode=False`."""

    image_id: str
    data: bytes = field(repr=False)
    version: str  # of these bytes


@dataclass(frozen=True, kw_only=True)
class ImageBatch:
    """A batch of a loader: what could be decoded, or read where nothing is, and what could not and why."""

    images: list[Any]  # of `DecodedImage`, or of `EncodedImage`
    failures: dict[str, ImageError]  # by image_id


class DataLoader(Shown):
    """Lists images from disk, S3 or a manifest, and decodes them if asked.

        for image in DataLoader("photos/"):
            image.pixels  # uint8 (H, W, 3), RGB, upright

    `len` lists the source, and counts; `batches` has several images at a time, and those that failed.

    Args:
        source: a folder (searched with all below it), an image, a list file (.txt, .csv, .tsv,
            .jsonl, .parquet), s3://bucket/prefix, or a glob (`photos/**/*.jpg`); or several of these, each image of
            which is listed once. Paths may be `Path`s; relative ones start where the process is now.
        s3_endpoint: another S3 server's URL.
        limit: only the first so many images.
        max_megapixels: images of which more would be in memory at once are refused; see `decode_image`.
        hidden: list hidden files and folders, too, and those that systems make (@eaDir, __MACOSX).
        column: of list files, the one that names the images; by default `uri`, `url` or `path`.
        offset: leave out the first so many images; `limit` counts from there.
        recursive: False lists what is in a folder or prefix itself, and not below it.
        filter: a function of yours: of `image_id`, `path`, `version` and `size_bytes` in a dict, whether the image is
            meant. It is asked at each listing, before `offset` and `limit` count.
        decode: False has the bytes of each image as they are, in an `EncodedImage`. A pipeline decodes all the same.
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
        offset: int = 0,
        recursive: bool = True,
        filter: Filter | None = None,
        decode: bool = True,
    ) -> None:
        #: What is named: one source, or several.
        self.source: str | tuple[str, ...] = check_sources(source)
        self._start = _working_folder()
        self.column = column
        self.s3_endpoint = s3_endpoint
        self.limit = limit
        self.max_megapixels = max_megapixels
        self.hidden = hidden
        for name, value, least in (("limit", limit, 1), ("offset", offset, 0)):
            if value is not None and (type(value) is not int or value < least):
                raise ConfigError(f"{name} is {value!r}: a whole number of at least {least}")
        if filter is not None and not callable(filter):
            raise ConfigError(f"filter is {filter!r}: a function of an image's row; where= takes an expression")
        self.offset, self.recursive, self.filter, self.decode = offset, recursive, filter, decode
        self._among: tuple[Test, ...] = ()
        #: Of the last iteration, the images that could not be had, and why.
        self.failures: dict[str, ImageError] = {}
        #: What the last listing has passed over so far, by kind.
        self.passed_over: Mapping[str, int] = {}
        self._outs: tuple[str, ...] = ()
        self._listed: ImageSource | None = None

    def shown(self) -> Mapping[str, Any]:
        endpoint = mask_uri(self.s3_endpoint) if self.s3_endpoint else None
        more: dict[str, Any] = {
            "s3_endpoint": endpoint,
            "limit": self.limit,
            "hidden": self.hidden,
            "column": self.column,
        }
        more |= {"offset": self.offset, "flat": not self.recursive, "filter": self.filter, "encoded": not self.decode}
        return {"source": self.source, **{name: value for name, value in more.items() if value}}

    def leave_out(self, *outs: str) -> None:
        """Do not list what is in these folders or s3:// prefixes, however they are called: a run's OUT is in them."""
        self._outs = tuple(dict.fromkeys((*self._outs, *outs)))

    def clone(self: Loader, **changes: Any) -> Loader:
        """A loader of the same arguments, but for these. Raises `ConfigError` where there is no such argument."""
        names = [*inspect.signature(type(self)).parameters]
        if unknown := [name for name in changes if name not in names]:
            raise ConfigError(f"a DataLoader has no {unknown[0]!r}: it has {', '.join(names)}")
        made = type(self)(**{name: getattr(self, name) for name in names} | changes)
        made._outs, made._among, made._start = self._outs, self._among, self._start
        return made

    def among(self: Loader, test: Test) -> Loader:
        """A loader of those of these images that pass a test, too: of a table of the listing, which rows are meant."""
        made = self.clone()
        made._among = (*self._among, test)
        return made

    @property
    def chooses(self) -> bool:
        """Whether images are meant or not by what is known of them: of a source that is there, it may be none."""
        return self.filter is not None or bool(self._among)

    @property
    def is_whole(self) -> bool:
        """Whether all images of the source are meant: a part of it says nothing of what is gone from it."""
        return self.limit is None and not self.offset and not self.chooses

    def settled(self: Loader) -> Loader:
        """This loader, or one that goes on choosing as it does now, whatever lands meanwhile."""
        return self

    def open(self) -> ImageSource:
        """The source, whole: `limit` does not bound it."""
        source = self._placed(self.source) if isinstance(self.source, str) else [*map(self._placed, self.source)]
        return open_source(
            source,
            s3_endpoint=self.s3_endpoint,
            hidden=self.hidden,
            outs=self._outs,
            column=self.column,
            recursive=self.recursive,
        )

    def _placed(self, place: str) -> str:
        """What the loader was told, for where the process is by now: it may have gone to another folder."""
        return place if self._start in ("", _working_folder()) else anchored(place, self._start)

    def list_images(self) -> Iterator[pa.Table]:
        """The images, without reading a byte of them, as tables of `schema.MANIFEST_SCHEMA`. Raises `SourceError`."""
        skip, left = self.offset, sys.maxsize if self.limit is None else self.limit
        self._listed = source = self.open()
        self.passed_over = source.passed_over
        for table in map(self._meant, source.list_images()):
            skipped = min(skip, len(table))
            skip, table = skip - skipped, table.slice(skipped)
            yield table.slice(0, left)
            left -= len(table)
            if left <= 0:
                return

    def _meant(self, table: pa.Table) -> pa.Table:
        for test in self._among:
            table = table.filter(test(table))
        return self.choose(table)

    def choose(self, table: pa.Table) -> pa.Table:
        """Of a table of the listing, the images that are meant."""
        if self.filter is None:
            return table
        rows = [row | {"path": shown_path(row["image_id"])} for row in table.to_pylist()]
        return table.filter(pa.array([bool(self.filter(row)) for row in rows], pa.bool_()))

    def __len__(self) -> int:
        """How many images there are: they are listed for it. Raises `SourceError`."""
        return sum(map(len, self.list_images()))

    def __bool__(self) -> bool:
        return True  # nobody lists a bucket to know whether there is a loader

    def __iter__(self) -> Iterator[Any]:
        """The images one by one, in the order of the listing, read and decoded ahead.

        One that cannot be had is left out: it is in `failures`, and the log says it.
        """
        self.failures = {}
        for batch in self.batches(_AHEAD):
            for image_id, error in batch.failures.items():
                logger.warning("%s: %s", image_id, error)
            self.failures |= batch.failures
            yield from batch.images

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

        In the order of the listing; an image that fails is among its batch's `failures`.

        Args:
            target: what is needed of each photo; all of it by default.
        """
        tables = (table.select(["image_id", "version"]).to_pydict() for table in self.list_images())
        ids = itertools.chain.from_iterable(zip(*found.values(), strict=True) for found in tables)
        attempt = functools.partial(self._try, target)
        found = map_ahead(attempt, ids, threads=threads, ahead=batch_size + 1, name="decode")
        with contextlib.closing(found):
            while some := list(itertools.islice(found, batch_size)):
                failures = {image_id: one for image_id, one in some if isinstance(one, ImageError)}
                images = [one for image_id, one in some if image_id not in failures]
                yield ImageBatch(images=images, failures=failures)

    def _try(self, target: DecodeTarget, one: tuple[str, str]) -> tuple[str, DecodedImage | EncodedImage | ImageError]:
        """An image by its id and version, or why it cannot be had."""
        try:
            return one[0], self._decode(*one, target)
        except ImageError as error:
            return one[0], error

    def _decode(self, image_id: str, version: str, target: DecodeTarget) -> DecodedImage | EncodedImage:
        data, version = read_image(image_id, version=version, s3_endpoint=self.s3_endpoint)
        if not self.decode:
            return EncodedImage(image_id=image_id, data=data, version=version)
        return decode_image(data, image_id=image_id, target=target, max_pixels=self.max_megapixels * 1_000_000)


def _working_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was removed, and nothing relative can be named
        return ""

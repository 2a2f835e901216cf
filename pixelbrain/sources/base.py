"""What a source is: a list of image URIs with their versions, and the bytes behind a URI."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from pixelbrain.errors import ReadError
from pixelbrain.schema import MANIFEST_SCHEMA
from pixelbrain.sources.passed_over import PassedOver

#: File names that a folder or a prefix is searched for, in any case of letters: those of the formats that are decoded.
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".pjpeg", ".pjp", ".png", ".apng", ".webp", ".gif", ".bmp",
    ".dib", ".tif", ".tiff", ".mpo", ".avif", ".avifs", ".heic", ".heif", ".heics", ".heifs", ".hif",
)  # fmt: skip
LIST_SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")

#: Rows of a listing's tables. The first is smaller, so that work can begin.
LISTING_ROWS = 10_000
_FIRST_ROWS = 1_000

#: No larger file is read: 100 million pixels, the most that is decoded, are less than this even at 8 bytes a pixel.
MAX_IMAGE_BYTES = 1 << 30

#: image_id, version, size in bytes.
ManifestRow = tuple[str, str, int | None]


class ImageBytes(NamedTuple):
    """What was read of an image."""

    data: bytes
    version: str  # of these bytes, which may be newer than what was listed


class Part(NamedTuple):
    """A part of a file, in bytes."""

    offset: int
    size: int


class OtherVersionError(ReadError):
    """A file is not of the version any more of which a part was wanted."""


class ImageSource(abc.ABC):
    """Somewhere images are: it lists them, without reading a byte of them."""

    #: Whether the versions that it lists are made as those that `read_image` finds: then a row takes the version that
    #: was read. A list file may hold versions of its own, which a row keeps.
    lists_read_versions: bool = True

    #: What it is, for people.
    what: str = "a source"

    def __init__(self) -> None:
        #: What the listing has passed over so far.
        self.passed_over = PassedOver()

    @abc.abstractmethod
    def list_images(self) -> Iterator[pa.Table]:
        """The images, in a stable order, as tables of `schema.MANIFEST_SCHEMA`, each image once.

        Raises:
            SourceError: there is no such place, or it may not be listed: at the call, or where it breaks off later. A
                listing that ends without an error is complete.
        """

    @abc.abstractmethod
    def covers(self, image_id: str) -> bool:
        """Whether a complete listing would name this image, if it were there: if not, it says nothing about it."""


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def is_list_name(name: str) -> bool:
    """Whether a file of this name is taken for a list of images."""
    return name.lower().endswith(LIST_SUFFIXES)


def check_image_size(size: int) -> None:
    """Raise `ReadError` for more bytes than are read."""
    if size > MAX_IMAGE_BYTES:
        raise ReadError(f"{size:,} bytes are no image: more than {MAX_IMAGE_BYTES:,} are not read")


def one_line(place: str) -> str:
    """A path or URI as a message can hold it, whatever bytes are in the name."""
    return place if place.isprintable() else repr(place)


def manifest_tables(rows: Iterable[ManifestRow]) -> Iterator[pa.Table]:
    """Rows as manifest tables, see `rows_of_tables`."""
    return map(manifest_table, rows_of_tables(rows))


def rows_of_tables(rows: Iterable[ManifestRow]) -> Iterator[list[ManifestRow]]:
    """The rows of each table: of the first 1,000 at most, that it comes soon, of the others 10,000."""
    left = iter(rows)
    wanted = _FIRST_ROWS
    while found := list(itertools.islice(left, wanted)):
        yield found
        wanted = LISTING_ROWS


def manifest_table(rows: Sequence[ManifestRow]) -> pa.Table:
    """One or more rows as a table of `schema.MANIFEST_SCHEMA`."""
    return pa.table(list(zip(*rows, strict=True)), MANIFEST_SCHEMA)

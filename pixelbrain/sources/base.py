"""What a source is: a list of image URIs with their versions, and the bytes behind a URI."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator

import pyarrow as pa

from pixelbrain.schema import MANIFEST_SCHEMA

__all__ = ["IMAGE_SUFFIXES", "ImageSource", "is_image_name", "manifest_tables"]

#: File names that a folder or a prefix is searched for, in any case of letters.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".mpo")

_LISTING_ROWS = 10_000


class ImageSource(abc.ABC):
    """Somewhere images are: it lists them, without reading a byte of them."""

    @abc.abstractmethod
    def list_images(self) -> Iterator[pa.Table]:
        """The images, in a stable order, as tables of `schema.MANIFEST_SCHEMA`, each image once.

        Raises:
            SourceError: there is no such place, or it may not be listed.
        """


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def manifest_tables(rows: Iterable[tuple[str, str, int | None]]) -> Iterator[pa.Table]:
    """(image_id, version, size_bytes) triples as manifest tables of at most 10,000 rows."""
    buffer: list[tuple[str, str, int | None]] = []
    for row in rows:
        buffer.append(row)
        if len(buffer) == _LISTING_ROWS:
            yield _table(buffer)
            buffer.clear()
    if buffer:
        yield _table(buffer)


def _table(rows: list[tuple[str, str, int | None]]) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, MANIFEST_SCHEMA, strict=True)], MANIFEST_SCHEMA)

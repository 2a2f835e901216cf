"""A few columns of many part files, one file after another, while the next ones are being fetched."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from pixelbrain.landing.parts import Part
from pixelbrain.storage.base import Storage

__all__ = ["newest_first", "read_columns", "scan_columns"]

_AHEAD_LOCAL = 2  # files: one is decompressed while another one's ids are hashed
_AHEAD_S3 = 16  # a small file is one request, and waits for the answer most of its time


def newest_first(parts: Iterable[Part]) -> list[Part]:
    """In the order in which a row wins over the later ones about the same image.

    Within a generation that is the order of the listing.
    """
    return sorted(parts, key=lambda part: -part.generation)  # stable; parts come in the order of the listing


def read_columns(part: Part, columns: list[str]) -> pa.Table:
    """Columns of a part file; "module.field" is a struct of that field alone.

    Raises:
        LandingError: the file cannot be read.
    """
    with part.open() as file:
        return file.read(columns=columns).replace_schema_metadata(None)


def scan_columns(
    storage: Storage, parts: Iterable[Part], columns: Callable[[Part], list[str]]
) -> Iterator[tuple[Part, pa.Table]]:
    """Each part with its columns, in this order; memory holds a few parts at a time.

    Raises:
        LandingError: a file cannot be read.
    """
    ahead = _AHEAD_LOCAL if storage.is_local else _AHEAD_S3
    left = iter(parts)
    waiting: collections.deque[tuple[Part, Future[pa.Table]]] = collections.deque()
    with ThreadPoolExecutor(ahead, thread_name_prefix="scan") as pool:
        try:
            while True:
                for part in itertools.islice(left, ahead - len(waiting)):
                    waiting.append((part, pool.submit(read_columns, part, columns(part))))
                if not waiting:
                    return
                part, table = waiting.popleft()
                yield part, table.result()
        finally:
            for _part, table in waiting:
                table.cancel()

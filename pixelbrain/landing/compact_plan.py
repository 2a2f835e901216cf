"""Which part files `compact` replaces, and by which rows: from the index and the files' footers alone."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pixelbrain import schema
from pixelbrain.landing.index import LandedIndex
from pixelbrain.storage.base import Storage

#: Of one file. Rows of embeddings reach the bytes first, others the rows.
TARGET_ROWS = 50_000
TARGET_BYTES = 128 * 2**20

# Well below the targets, as bytes are estimated: what was merged once is not small.
_SMALL_ROWS = TARGET_ROWS // 2
_SMALL_BYTES = TARGET_BYTES // 4


@dataclass(frozen=True, kw_only=True)
class Footer:
    """What a part file says of itself."""

    file_bytes: int
    column_bytes: dict[str, int]  # by the names of top-level columns, not compressed
    types: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class CompactPlan:
    """What to write, and what to remove then. Numbers of parts, and positions in the index."""

    old: frozenset[int]
    new: Sequence[np.ndarray]  # int64, ascending: the images of each new file


def read_footer(storage: Storage, name: str, version: str | None) -> Footer:
    """Open a part file. Raises `LandingError`."""
    with storage.open_parquet(name, version) as file:
        found = file.metadata
        arrow = file.schema_arrow
        sizes = dict.fromkeys(arrow.names, 0)
        compressed = 0
        for group, number in itertools.product(range(found.num_row_groups), range(found.num_columns)):
            column = found.row_group(group).column(number)
            sizes[column.path_in_schema.split(".")[0]] += column.total_uncompressed_size
            compressed += column.total_compressed_size
    return Footer(
        file_bytes=compressed + found.serialized_size + 12,  # 12: the magic bytes at both ends, the footer's length
        column_bytes=sizes,
        types={column.name: str(column.type) for column in arrow},
    )


def make_plan(index: LandedIndex, footers: Sequence[Footer]) -> CompactPlan:
    """Replace the files that hold anything dead, and the small ones that can be merged.

    Args:
        index: of all parts.
        footers: one a part.
    """
    rows = np.array([part.rows for part in index.parts], np.int64)
    whole = np.ones(len(index.part), bool)  # images with all that is known of them in one row
    for part, row in index.modules.values():
        whole &= (part < 0) | ((part == index.part) & (row == index.row))
    old = (np.bincount(index.part[whole], minlength=len(rows)) < rows) | (rows == 0)

    signature = _signatures(index, footers)
    of_part = np.full(len(rows), -1, np.int64)
    of_part[index.part] = signature  # of any of its images: where all are whole, they share it
    size = np.array([sum(footer.column_bytes.values()) for footer in footers], np.int64)
    small = ~old & (rows < _SMALL_ROWS) & (size < _SMALL_BYTES)
    kinds, files = np.unique(of_part[small], return_counts=True)
    mergeable = kinds[(files > 1) | np.isin(kinds, signature[old[index.part]])]
    old |= small & np.isin(of_part, mergeable)

    images = np.flatnonzero(old[index.part])
    row_bytes = _row_bytes(index, footers, rows, images)
    kinds, first = np.unique(signature[images], return_index=True)
    new = []
    for kind in kinds[np.argsort(first)]:
        chosen = np.flatnonzero(signature[images] == kind)
        new += np.split(images[chosen], _cuts(row_bytes[chosen]))
    return CompactPlan(old=frozenset(np.flatnonzero(old).tolist()), new=new)


def _signatures(index: LandedIndex, footers: Sequence[Footer]) -> np.ndarray:
    """int64 (images,): equal for images that the same modules have seen, with the same settings and column types."""
    signature = np.zeros(len(index.part), np.int64)
    for name, (part, _row) in index.modules.items():
        codes: dict[str, int] = {}
        of_part = np.zeros(len(index.parts), np.int64)
        for number, (holder, footer) in enumerate(zip(index.parts, footers, strict=True)):
            if name in holder.modules:
                what = json.dumps([holder.modules[name].as_dict(), footer.types[name]], sort_keys=True)
                of_part[number] = codes.setdefault(what, len(codes) + 1)
        signature = signature * (len(codes) + 1) + np.where(part < 0, 0, of_part[part])
        signature = np.unique(signature, return_inverse=True)[1]  # small again, whatever the number of modules
    return signature


def _row_bytes(index: LandedIndex, footers: Sequence[Footer], rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    """float64 (len(images),): about how much each image takes in Parquet, before compression."""

    def mean(columns: Sequence[str]) -> np.ndarray:
        total = [sum(footer.column_bytes.get(name, 0) for name in columns) for footer in footers]
        return np.array(total, np.float64) / np.maximum(rows, 1)

    found = mean([field.name for field in schema.BASE_FIELDS])[index.part[images]]
    for name, (part, _row) in index.modules.items():
        found += np.where(part[images] < 0, 0, mean([name])[part[images]])
    return found


def _cuts(row_bytes: np.ndarray) -> list[int]:
    """Where to end each file but the last one."""
    total = np.cumsum(row_bytes)
    cuts: list[int] = []
    start, before = 0, 0.0
    while True:
        stop = min(start + TARGET_ROWS, int(np.searchsorted(total, before + TARGET_BYTES, side="right")))
        start = max(stop, start + 1)
        if start >= len(total):
            return cuts
        cuts.append(start)
        before = total[start - 1]

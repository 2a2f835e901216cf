"""Merge the small part files of OUT into large ones, and drop what newer rows replaced; safe to kill at any moment.

The large files are a new generation. While they are being written, what they hold is there twice, and readers take the
newer one of two equal rows. Only when all are there, the old files go, the oldest generation first, so that no
tombstone goes before the rows that it hides. What a killed call leaves is what the next one finds to do.
"""

from __future__ import annotations

import collections
import itertools
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pixelbrain import schema
from pixelbrain.errors import OutLockedError
from pixelbrain.landing.index import LandedIndex
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import Part, claim_generation, in_threads, write_table
from pixelbrain.landing.reader import read_layers
from pixelbrain.locks.run import RunLock
from pixelbrain.schema import PICTURE_SCHEMA, PICTURES
from pixelbrain.shown import Shown
from pixelbrain.storage.base import Storage

#: Of one file. Rows of embeddings reach the bytes first, others the rows. A file in which one image changes is written
#: again whole, by `renew`: larger ones would make a small change dear, and smaller ones a listing long.
TARGET_ROWS = 10_000
TARGET_BYTES = 64 * 2**20
_PICTURES_A_FILE = 5_000  # of a merged file, at 10 kB each
_MERGED = re.compile(r"merged-(\d+)\.parquet")

# Well below the targets, as bytes are estimated: what was merged once is not small.
_SMALL_ROWS = TARGET_ROWS // 2
_SMALL_BYTES = TARGET_BYTES // 4


@dataclass(frozen=True, kw_only=True, repr=False)
class CompactReport(Shown):
    """What a call of `compact` did."""

    files_before: int
    files_after: int
    rows: int  # images
    bytes_before: int
    bytes_after: int
    seconds: float


def compact(landing: Landing, *, progress: Callable[[int, int], None] | None = None) -> CompactReport:
    """Merge part files, so that every image is in one file with all its columns, and few files are small.

    Rows of images of the same columns by the same settings come together, in the order of the listing, up to about
    10,000 rows or 64 MB a file. Rows and columns that newer ones replaced go, and so do pruned images, and pictures of
    what is no more. Files that are large and all alive stay as they are: where there is nothing to do, nothing is
    written. Holds one large file in memory, a few times over, and the index. Raises `OutLockedError`, and
    `LandingError`: nothing is lost. `landing` is refreshed.

    Args:
        progress: called with (done, total) rows to write.
    """
    started = time.monotonic()
    storage = landing.storage
    with RunLock(storage, what="compact") as lock:
        landing.set_aside_broken()  # removes old temporary files, too
        index = landing.index
        footers = _footers(storage, [(part.name, part.version) for part in index.parts])
        old = superseded(index)
        old |= _mergeable(index, footers, old)
        new = _replace(landing, lock, index, footers, old, progress)
        _compact_pictures(storage, landing.index)
    kept = [footer for number, footer in enumerate(footers) if not old[number]]
    return CompactReport(
        files_before=len(footers),
        files_after=len(kept) + len(new),
        rows=len(index.part),
        bytes_before=sum(footer.file_bytes for footer in footers),
        bytes_after=sum(footer.file_bytes for footer in [*kept, *new]),
        seconds=time.monotonic() - started,
    )


def renew(landing: Landing, *, progress: Callable[[int, int], None] | None = None) -> None:
    """As `compact`, of those files alone that hold anything dead or have not the columns of all.

    Raises as `compact` does, and `MixedModelsError` where there are no such columns, see `LandedIndex.columns`.
    """
    with RunLock(landing.storage, what="publish") as lock:
        index = landing.index
        old = superseded(index)
        if old.any():
            chosen = [index.parts[number] for number in np.flatnonzero(old).tolist()]
            read = iter(_footers(landing.storage, [(part.name, part.version) for part in chosen]))
            footers = [next(read) if one else _Footer(file_bytes=0, column_bytes={}) for one in old]
            _replace(landing, lock, index, footers, old, progress)


def superseded(index: LandedIndex) -> np.ndarray:
    """bool (parts,): files that hold rows that newer ones replaced, or have other columns than the rest."""
    rows = np.array([part.rows for part in index.parts], np.int64)
    whole = np.ones(len(index.part), bool)  # images with all that is known of them in one row
    for part, row in index.modules.values():
        whole &= (part < 0) | ((part == index.part) & (row == index.row))
    other = np.array([part.columns != index.columns for part in index.parts], bool)
    return other | (np.bincount(index.part[whole], minlength=len(rows)) < rows) | (rows == 0)


def _replace(
    landing: Landing,
    lock: RunLock,
    index: LandedIndex,
    footers: Sequence[_Footer],
    old: np.ndarray,
    progress: Callable[[int, int], None] | None,
) -> list[_Footer]:
    """Put new files in the place of the old ones, which are bool (parts,); returns the footers of the new ones."""
    storage = landing.storage
    images = _cut(index, footers, old)
    written = _write(landing, index, images, progress) if images else []
    new = _footers(storage, [(name, None) for name in written])  # they are there, and whole
    if lock.lost:
        raise OutLockedError(f"another process took {storage.uri} over: nothing was removed; compact it again")
    _remove(storage, [index.parts[number] for number in np.flatnonzero(old).tolist()])
    landing.refresh()
    return new


@dataclass(frozen=True, kw_only=True)
class _Footer:
    """What a part file says of itself."""

    file_bytes: int
    column_bytes: dict[str, int]  # by the names of top-level columns, not compressed


def _read_footer(storage: Storage, name: str, version: str | None) -> _Footer:
    """Open a part file. Raises `LandingError`."""
    with storage.open_parquet(name, version) as file:
        found = file.metadata
        sizes: dict[str, int] = collections.defaultdict(int)
        compressed = 0
        for group, number in itertools.product(range(found.num_row_groups), range(found.num_columns)):
            column = found.row_group(group).column(number)
            sizes[column.path_in_schema.split(".")[0]] += column.total_uncompressed_size
            compressed += column.total_compressed_size
    return _Footer(
        file_bytes=compressed + found.serialized_size + 12,  # 12: the magic bytes at both ends, the footer's length
        column_bytes=sizes,
    )


def _mergeable(index: LandedIndex, footers: Sequence[_Footer], old: np.ndarray) -> np.ndarray:
    """bool (parts,): the small files that can be merged, with each other or with those that are written anyway."""
    rows = np.array([part.rows for part in index.parts], np.int64)
    signature = _signatures(index)
    of_part = np.full(len(rows), -1, np.int64)
    of_part[index.part] = signature  # of any of its images: where all are whole, they share it
    size = np.array([sum(footer.column_bytes.values()) for footer in footers], np.int64)
    small = ~old & (rows < _SMALL_ROWS) & (size < _SMALL_BYTES)
    kinds, files = np.unique(of_part[small], return_counts=True)
    mergeable = kinds[(files > 1) | np.isin(kinds, signature[old[index.part]])]
    return small & np.isin(of_part, mergeable)


def _cut(index: LandedIndex, footers: Sequence[_Footer], old: np.ndarray) -> list[np.ndarray]:
    """The images of each new file: int64, positions in the index, ascending."""
    signature = _signatures(index)
    images = np.flatnonzero(old[index.part])
    row_bytes = _row_bytes(index, footers, images)
    kinds, first = np.unique(signature[images], return_index=True)
    new: list[np.ndarray] = []
    for kind in kinds[np.argsort(first)]:
        chosen = np.flatnonzero(signature[images] == kind)
        new += np.split(images[chosen], _cuts(row_bytes[chosen]))
    return new


def _signatures(index: LandedIndex) -> np.ndarray:
    """int64 (images,): equal for images that the same modules have seen, with the same settings and column types."""
    signature = np.zeros(len(index.part), np.int64)
    for name, (part, _row) in index.modules.items():
        codes: dict[str, int] = {}
        of_part = np.zeros(len(index.parts), np.int64)
        for number, holder in enumerate(index.parts):
            if name in holder.modules:
                kind = str(holder.columns.field(name).type)
                what = json.dumps([holder.modules[name].as_dict(), kind], sort_keys=True)
                of_part[number] = codes.setdefault(what, len(codes) + 1)
        signature = signature * (len(codes) + 1) + np.where(part < 0, 0, of_part[part])
        signature = np.unique(signature, return_inverse=True)[1]  # small again, whatever the number of modules
    return signature


def _row_bytes(index: LandedIndex, footers: Sequence[_Footer], images: np.ndarray) -> np.ndarray:
    """float64 (len(images),): about how much each image takes in Parquet, before compression."""
    rows = np.array([part.rows for part in index.parts], np.int64)

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


def _write(
    landing: Landing, index: LandedIndex, new: Sequence[np.ndarray], progress: Callable[[int, int], None] | None
) -> list[str]:
    """Write the new files, of these images each; returns their names."""
    generation = claim_generation(landing.storage)
    seen_by = [[name for name, (part, _row) in index.modules.items() if part[images[0]] >= 0] for images in new]
    layers = (index.layers(images, names) for images, names in zip(new, seen_by, strict=True))
    tables = read_layers(index.parts, layers, ahead=1)
    written, done = [], 0
    for block, (images, names, table) in enumerate(zip(new, seen_by, tables, strict=True)):
        # the columns that these images have not are null
        rows = pa.concat_tables([index.columns.empty_table(), table], promote_options="permissive").cast(index.columns)
        modules = {name: index.parts[index.modules[name][0][images[0]]].modules[name] for name in names}
        replaces = index.origins(images)
        written.append(
            landing.write_part(rows, generation=generation, block=block, piece=0, modules=modules, replaces=replaces)
        )
        done += len(rows)
        if progress:
            progress(done, sum(map(len, new)))
    return written


def _footers(storage: Storage, files: Sequence[tuple[str, str | None]]) -> list[_Footer]:
    """Of files by name and version."""
    return in_threads(storage, lambda file: _read_footer(storage, *file), files)


def _remove(storage: Storage, parts: Sequence[Part]) -> None:
    """Remove files, the oldest generation first."""
    by_age = sorted(parts, key=lambda part: part.generation)
    for _generation, together in itertools.groupby(by_age, key=lambda part: part.generation):
        in_threads(storage, storage.delete, [part.name for part in together])


def _compact_pictures(storage: Storage, index: LandedIndex) -> None:
    """Merge small files, and drop the pictures of images, or versions of them, that are not in the index.

    Killed at any moment, some pictures are there twice, until the next time. For who holds OUT's lock. Raises
    `LandingError`.
    """
    names = sorted(storage.names(PICTURES))
    number = max((int(found[1]) for name in names if (found := _MERGED.fullmatch(name))), default=0)
    waiting = PICTURE_SCHEMA.empty_table()
    old: list[str] = []
    dropped = False

    def write() -> None:
        nonlocal waiting, number, dropped
        if len(old) > 1 or dropped:
            if len(waiting):
                number += 1
                write_table(storage, f"{PICTURES}/merged-{number:06d}.parquet", waiting.combine_chunks())
            for name in old:
                storage.delete(name)
        old.clear()
        waiting, dropped = PICTURE_SCHEMA.empty_table(), False

    for name in names:
        with storage.open_parquet(f"{PICTURES}/{name}") as file:
            ids = file.read(columns=["image_id", "version"])
            alive = index.find(ids["image_id"], ids["version"]) >= 0
            if alive.all() and len(alive) >= _PICTURES_A_FILE // 2:
                continue
            kept = file.read().replace_schema_metadata(None).filter(pa.array(alive))
        waiting = pa.concat_tables([waiting, kept.cast(PICTURE_SCHEMA)])
        old.append(f"{PICTURES}/{name}")
        dropped = dropped or not alive.all()
        if len(waiting) >= _PICTURES_A_FILE:
            write()
    write()

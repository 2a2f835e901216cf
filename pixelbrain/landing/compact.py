"""Merge the small part files of OUT into large ones, and drop what newer rows replaced; safe to kill at any moment.

The large files are a new generation. While they are being written, what they hold is there twice, and readers take the
newer one of two equal rows. Only when all are there, the old files go, the oldest generation first, so that no
tombstone goes before the rows that it hides. What a killed call leaves is what the next one finds to do.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pixelbrain import schema
from pixelbrain.errors import OutLockedError
from pixelbrain.landing.compact_plan import CompactPlan, Footer, make_plan, read_footer
from pixelbrain.landing.generations import claim_generation
from pixelbrain.landing.index import LandedIndex
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import Part
from pixelbrain.landing.reader import scan_columns
from pixelbrain.locks.run import RunLock
from pixelbrain.storage.base import Storage

__all__ = ["CompactReport", "compact"]

_BASE_NAMES = [field.name for field in schema.BASE_FIELDS]
_THREADS = {True: 4, False: 32}  # for footers and for removing, by whether it is a disk


@dataclass(frozen=True, kw_only=True)
class CompactReport:
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
    50,000 rows or 128 MB a file. Rows and columns that newer ones replaced go, and so do pruned images. Files that are
    large and all alive stay as they are: where there is nothing to do, nothing is written. Holds one large file in
    memory, a few times over, and the index.

    Args:
        landing: what to compact; refreshed afterwards.
        progress: called with (done, total) rows to write.

    Raises:
        OutLockedError: another process is at work on OUT.
        LandingError: OUT cannot be read or written; nothing is lost.
    """
    started = time.monotonic()
    storage = landing.storage
    with RunLock(storage, what="compact") as lock:
        landing.set_aside_broken()  # removes old temporary files, too
        index = landing.index
        footers = _footers(storage, index.parts)
        plan = make_plan(index, footers)
        written = _write(landing, index, plan, progress) if plan.new else []
        new = _footers(storage, written)  # they are there, and whole
        if lock.lost:
            raise OutLockedError(f"another process took {storage.uri} over: nothing was removed; compact it again")
        _remove(storage, [index.parts[number] for number in plan.old])
        landing.refresh()
    kept = [footer for number, footer in enumerate(footers) if number not in plan.old]
    return CompactReport(
        files_before=len(footers),
        files_after=len(kept) + len(new),
        rows=len(index.part),
        bytes_before=sum(footer.file_bytes for footer in footers),
        bytes_after=sum(footer.file_bytes for footer in [*kept, *new]),
        seconds=time.monotonic() - started,
    )


def _write(
    landing: Landing, index: LandedIndex, plan: CompactPlan, progress: Callable[[int, int], None] | None
) -> list[Part]:
    """Write the new files."""
    generation = claim_generation(landing.storage)
    total, done = sum(map(len, plan.new)), 0
    written = []
    for block, images in enumerate(plan.new):
        modules = {
            name: index.parts[part[images[0]]].modules[name]
            for name, (part, _row) in index.modules.items()
            if part[images[0]] >= 0
        }
        rows = _assemble(landing.storage, index, images, list(modules))
        name = landing.write_part(rows, generation=generation, block=block, piece=0, modules=modules)
        part = Part(
            storage=landing.storage,
            name=name,
            generation=generation,
            block=block,
            piece=0,
            rows=len(rows),
            modules=modules,
        )
        written.append(part)
        done += len(rows)
        if progress:
            progress(done, total)
    return written


def _assemble(storage: Storage, index: LandedIndex, images: np.ndarray, modules: Sequence[str]) -> pa.Table:
    """All columns of images that the same modules have seen; each part file is read once."""
    layers = [(_BASE_NAMES, index.part[images], index.row[images])]
    layers += [([name], index.modules[name][0][images], index.modules[name][1][images]) for name in modules]
    wanted: dict[int, list[str]] = {}
    for columns, part, _row in layers:
        for number in np.unique(part).tolist():
            wanted.setdefault(number, []).extend(columns)
    numbers = {index.parts[number].name: number for number in sorted(wanted)}
    pieces: list[list[pa.Table]] = [[] for _ in layers]
    places: list[list[np.ndarray]] = [[] for _ in layers]
    parts = [index.parts[number] for number in numbers.values()]
    for found, table in scan_columns(storage, parts, lambda part: wanted[numbers[part.name]]):
        for layer, (columns, part, row) in enumerate(layers):
            chosen = np.flatnonzero(part == numbers[found.name])
            if len(chosen):
                pieces[layer].append(table.select(columns).take(pa.array(row[chosen])))
                places[layer].append(chosen)
    joined = [_in_order(pa.concat_tables(p), np.concatenate(at)) for p, at in zip(pieces, places, strict=True)]
    columns = {name: table[name] for table in joined for name in table.column_names}
    fields = [table.schema.field(name) for table in joined for name in table.column_names]
    return pa.table(columns, schema=pa.schema(fields))


def _in_order(table: pa.Table, places: np.ndarray) -> pa.Table:
    """Row i of the table to the place that `places[i]` says."""
    if (places[1:] > places[:-1]).all():
        return table
    return table.take(pa.array(np.argsort(places)))


def _footers(storage: Storage, parts: Sequence[Part]) -> list[Footer]:
    with ThreadPoolExecutor(_THREADS[storage.is_local]) as pool:
        return list(pool.map(read_footer, parts))


def _remove(storage: Storage, parts: Sequence[Part]) -> None:
    """Remove files, the oldest generation first."""
    by_age = sorted(parts, key=lambda part: part.generation)
    with ThreadPoolExecutor(_THREADS[storage.is_local]) as pool:
        for _generation, together in itertools.groupby(by_age, key=lambda part: part.generation):
            list(pool.map(storage.delete, [part.name for part in together]))

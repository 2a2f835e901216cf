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

from pixelbrain.errors import OutLockedError
from pixelbrain.landing.compact_plan import CompactPlan, Footer, make_plan, read_footer
from pixelbrain.landing.index import LandedIndex
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import Part, claim_generation
from pixelbrain.landing.reader import read_layers
from pixelbrain.locks.run import RunLock
from pixelbrain.storage.base import Storage

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
        footers = _footers(storage, [(part.name, part.version) for part in index.parts])
        plan = make_plan(index, footers)
        written = _write(landing, index, plan, progress) if plan.new else []
        new = _footers(storage, [(name, None) for name in written])  # they are there, and whole
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
) -> list[str]:
    """Write the new files; returns their names."""
    generation = claim_generation(landing.storage)
    seen_by = [[name for name, (part, _row) in index.modules.items() if part[images[0]] >= 0] for images in plan.new]
    layers = (index.layers(images, names) for images, names in zip(plan.new, seen_by, strict=True))
    tables = read_layers(index.parts, layers, ahead=1)
    written, done = [], 0
    for block, (images, names, rows) in enumerate(zip(plan.new, seen_by, tables, strict=True)):
        modules = {name: index.parts[index.modules[name][0][images[0]]].modules[name] for name in names}
        written.append(landing.write_part(rows, generation=generation, block=block, piece=0, modules=modules))
        done += len(rows)
        if progress:
            progress(done, sum(map(len, plan.new)))
    return written


def _footers(storage: Storage, files: Sequence[tuple[str, str | None]]) -> list[Footer]:
    """Of files by name and version."""
    with ThreadPoolExecutor(_THREADS[storage.is_local]) as pool:
        return list(pool.map(lambda file: read_footer(storage, *file), files))


def _remove(storage: Storage, parts: Sequence[Part]) -> None:
    """Remove files, the oldest generation first."""
    by_age = sorted(parts, key=lambda part: part.generation)
    with ThreadPoolExecutor(_THREADS[storage.is_local]) as pool:
        for _generation, together in itertools.groupby(by_age, key=lambda part: part.generation):
            list(pool.map(storage.delete, [part.name for part in together]))

"""What is handed out to the workers: an order, and blocks of what is left to do, made while the source is listed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.config import MAX_MEGAPIXELS
from pixelbrain.engine.work.meter import Meter
from pixelbrain.engine.work.pictures import take_pictures
from pixelbrain.engine.work.run_notes import Listing, RunNotes
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.moves.known import find_known
from pixelbrain.landing.parts import ModuleState
from pixelbrain.landing.remaining import Remaining
from pixelbrain.storage.base import Storage

#: One row is one block. Ray Data cuts and joins blocks of rows as it likes; a row it leaves whole.
WORK_SCHEMA = pa.schema(
    [
        ("block", pa.int64()),  # a number within the run; the block's files are named after it
        ("modules", pa.list_(pa.string())),  # to run on its images
        ("images", pa.list_(pa.struct(list(schema.MANIFEST_SCHEMA)))),
    ]
)

#: Images that are left to do, of `schema.MANIFEST_SCHEMA`, and the modules to run on them.
Left: TypeAlias = tuple[tuple[str, ...], pa.Table]

_PEEK_ROWS = 20_000
_NOTE_EVERY_S = 1.0


@dataclass(frozen=True, kw_only=True)
class WorkOrder:
    """What all workers of a run share: how images are opened, and where their rows go."""

    storage: Storage
    generation: int
    states: Mapping[str, ModuleState]
    s3_endpoint: str | None = None  # of the images
    max_megapixels: int = MAX_MEGAPIXELS  # of an image, in memory at once
    versions_as_read: bool = True  # see `ImageSource.lists_read_versions`
    device: str = "cpu"
    threads: int = 2  # for decoding, and for the models on a CPU
    thumbnails: bool = False  # land small pictures of the images and of faces, see `engine.work.pictures`
    #: By module, the names that it requires, and the modules that give them, see `modules.requires`.
    stands_on: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def land(self, rows: pa.Table, names: Iterable[str], block: int, piece: int, meter: Meter) -> float:
        """Land rows with these modules' columns as a piece of a block; returns the seconds that it took.

        Pictures go to a file of their own, first: of a row that has landed, they have.
        """
        started = time.perf_counter()
        rows, pictures = take_pictures(rows)
        landing, where = Landing(self.storage), {"generation": self.generation, "block": block, "piece": piece}
        if pictures is not None:
            landing.write_pictures(pictures, rows, **where)
        landing.write_part(rows, **where, modules={name: self.states[name] for name in names})
        took = time.perf_counter() - started
        meter.activity("landing", took)
        return took


def peek(tables: Iterable[pa.Table]) -> tuple[list[pa.Table], bool]:
    """The first tables of a listing, up to 20,000 images, and whether that was all of it."""
    seen: list[pa.Table] = []
    found = iter(tables)
    while sum(map(len, seen)) < _PEEK_ROWS:
        if (table := next(found, None)) is None:
            return seen, True
        seen.append(table)
    return seen, next(found, None) is None


@dataclass(kw_only=True)
class Worklist:
    """Lists a source and yields what is left of it, as `Left`; it says in the notes how far it is.

    Iterated again with the same generation, as when Ray does a lost task again, it yields the same: what the run itself
    has landed meanwhile does not count.
    """

    loader: DataLoader
    storage: Storage
    settings_hashes: Mapping[str, str]
    generation: int
    retry_failed: bool = False
    force: bool = False
    first_generation: int | None = None  # of the run; None: this one. What it has landed itself is not done again
    tables: list[pa.Table] | None = None  # the whole listing, where it is known already
    by_name: frozenset[str] = frozenset()  # modules to which a photo that moved is another one
    along: frozenset[str] = frozenset()  # modules for which alone no photo is read
    stands_on: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # see `WorkOrder`
    landed: Mapping[str, str] = field(default_factory=dict)  # settings hashes of what these name, and does not run now

    def __iter__(self) -> Iterator[Left]:
        return self.left(Landing(self.storage))

    def is_done(self, landing: Landing) -> bool:
        """Whether nothing is left, and the notes say so; where something is, it was listed up to there only."""
        return next(self.left(landing, look=True), None) is None and not RunNotes(self.storage).stop_requested()

    def remaining(self, landing: Landing) -> Remaining:
        """Splits what is listed from what has landed."""
        return Remaining(
            landing,
            self.settings_hashes,
            before_generation=self.generation,
            retry_failed=self.retry_failed,
            force=self.force,
            again_before=self.first_generation,
            along=self.along,
            stands_on=self._below,
            by_name=self.by_name,
        )

    def left(self, landing: Landing, *, look: bool = False) -> Iterator[Left]:
        """What is left of each table of the listing; `landing` may know already what has landed.

        `look`: nobody is going to work on it.
        """
        notes, remaining = RunNotes(self.storage), self.remaining(landing)
        pending, noted_at = 0, time.monotonic()
        for table in self.loader.list_images() if self.tables is None else self.tables:
            for modules, rows in remaining.split(table).items():
                if not pending and not look:
                    self._tell_known(landing, notes)
                pending += len(rows)
                yield modules, rows
            if time.monotonic() - noted_at >= _NOTE_EVERY_S:
                notes.write_listing(Listing(listed=remaining.listed, pending=pending))
                noted_at = time.monotonic()
            if notes.stop_requested():
                return
        # a part of a source says nothing of what is gone from it
        gone = remaining.gone(self.loader.covers) if self.loader.is_whole else None
        passed_over = dict(self.loader.passed_over)
        listing = Listing(listed=remaining.listed, pending=pending, passed_over=passed_over, complete=True)
        notes.write_listing(listing, gone)

    def _tell_known(self, landing: Landing, notes: RunNotes) -> None:
        """Before anything is handed out: which bytes have landed before."""
        parts = [part for part in landing.parts if part.generation < self.generation]
        if not parts:
            return
        notes.begin_unsettled(self.generation)
        hashes = {name: wanted for name, wanted in self.settings_hashes.items() if name not in self.by_name}
        wanted = {**({} if self.force else hashes), **self.landed}
        notes.write_known(find_known(parts, wanted, self._below) if wanted else None)

    @property
    def _below(self) -> dict[str, set[str]]:
        return {name: {*givers.values()} for name, givers in self.stands_on.items()}


def blocks(left: Iterable[Left], block_rows: int) -> Generator[pa.Table]:
    """What is left, cut to blocks: tables of one row of `WORK_SCHEMA`.

    A block ends with the table that it is from: the last few images do not wait for the rest of the listing.
    """
    numbers = itertools.count()
    for modules, rows in left:
        for start in range(0, len(rows), block_rows):
            images = rows.slice(start, block_rows).to_struct_array().combine_chunks()
            row = [[next(numbers)], [list(modules)], pa.ListArray.from_arrays([0, len(images)], images)]
            yield pa.table(row, schema=WORK_SCHEMA)

"""Take what is marked as forgotten out of all files under OUT; safe to kill at any moment, and to do again.

What is derived goes first, then the rows by which it is found. Each file is written anew under its own name, by a
rename or one PUT, so that nothing is there half; a second call finds what the first one left. A bucket that keeps
versions of its objects keeps the old ones: their lifecycle is the bucket's.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.landing.derived import DERIVED, IDENTITIES, MAPS, DerivedTable, landed_maps
from pixelbrain.landing.duplicates.choices import CHOICES, ChoiceLog
from pixelbrain.landing.forgotten.marks import ROW_IDS, Marks, read_marks
from pixelbrain.landing.forgotten.people import erase_from_events, erase_from_registry
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import IMAGES, Part, write_table
from pixelbrain.landing.published import FACES, publish
from pixelbrain.landing.reader import scan_columns
from pixelbrain.locks.run import RunLock
from pixelbrain.schema import PICTURES
from pixelbrain.storage.base import BrokenFileError, Storage

_BROKEN = "broken"
_ANSWERS = "answers"


def erase(landing: Landing, *, progress: Callable[[int, int], None] | None = None) -> int:
    """Erase all that is forgotten from OUT; stores and gallery are to follow. Returns how many files held any of it.

    Raises `OutLockedError`, and `LandingError`: the same call goes on. `landing` is refreshed.

    Args:
        progress: called with (done, total) part files.
    """
    storage = landing.storage
    with RunLock(storage, what="forget"):
        landing.set_aside_broken()
        landing.answer_log.fold()
        marks = read_marks(storage)
        for name in storage.names(_BROKEN):  # nobody can say whose faces are in them, and their images are done again
            storage.delete(f"{_BROKEN}/{name}")
        answers = [f"{_ANSWERS}/{name}" for name in landing.answer_log.fields()]
        for folder in (IMAGES, PICTURES, FACES, *DERIVED, MAPS, *answers):
            storage.sweep(folder, stale_s=0)  # of killed processes: nobody else writes here now
        touched = _touched(landing, marks)
        written = _erase_pictures(landing, marks, touched[0]) + sum(
            _erase_answers(storage, marks, one) for one in answers
        )
        written += _erase_parts(storage, marks, touched[1], progress)
        landing.refresh()
        tables = (*DERIVED.values(), *landed_maps(landing).values())
        written += sum(_erase_derived(landing, marks, table, touched[0]) for table in tables)
        written += erase_from_events(landing, marks) + _erase_choices(storage, marks)
        publish(landing)  # `faces` follows, and what newer rows replaced goes
    return written


def _touched(landing: Landing, marks: Marks) -> tuple[pa.Table, list[Part]]:
    """All rows about forgotten photos and photos with forgotten faces, of `ROW_IDS`; and the files that hold them."""
    rows, parts = [ROW_IDS.empty_table()], []
    for part, table in scan_columns(landing.parts, lambda _: ROW_IDS.names):
        hit = marks.touch(table)
        if hit.any():
            rows.append(table.filter(pa.array(hit)).cast(ROW_IDS))
            parts.append(part)
    return pa.concat_tables(rows), parts


def _erase_parts(storage: Storage, marks: Marks, parts: list[Part], progress: Callable[[int, int], None] | None) -> int:
    """Write part files again without what is forgotten; returns how many."""
    written = 0
    for done, part in enumerate(parts, start=1):
        with part.open() as file:
            table = file.read().replace_schema_metadata(None)
        if (kept := marks.without(table)) is not table:
            # of which files it is made is not said any more: for the stores it is a new one
            write_table(storage, part.name, kept, part.modules)
            written += 1
        if progress is not None:
            progress(done, len(parts))
    return written


def _erase_pictures(landing: Landing, marks: Marks, touched: pa.Table) -> int:
    """Crops of forgotten faces, and pictures of forgotten photos; and those of which no row has landed."""

    def kept(pictures: pa.Table) -> pa.Table:
        alive = pa.array(landing.index.find(pictures["image_id"], pictures["version"]) >= 0)
        return marks.without_pictures(pictures.filter(alive), touched)

    return _rewrite(landing.storage, PICTURES, kept, ["image_id", "version", "box"])


def _erase_answers(storage: Storage, marks: Marks, folder: str) -> int:
    """Answers about forgotten photos; about a photo with a forgotten face they stay."""
    names = ["image_id", "version"]
    return _rewrite(storage, folder, lambda answers: answers.filter(pa.array(~marks.hold_places(answers))), names)


def _rewrite(storage: Storage, folder: str, kept: Callable[[pa.Table], pa.Table], by: list[str]) -> int:
    """Write the files of a folder again, as far as they change; returns how many do.

    `kept` are the rows of a table that stay, which it knows by the columns `by`.
    """
    written = 0
    for name in storage.names(folder):
        path = f"{folder}/{name}"
        try:
            with storage.open_parquet(path) as file:
                if len(kept(file.read(columns=by))) == file.metadata.num_rows:
                    continue
                table = kept(file.read().replace_schema_metadata(None))
        except BrokenFileError:  # its pictures are made again of the originals, its questions asked again
            storage.delete(path)
            continue
        if len(table):
            write_table(storage, path, table)
        else:
            storage.delete(path)
        written += 1
    return written


def _erase_choices(storage: Storage, marks: Marks) -> int:
    """What was chosen about forgotten photos; what was said of others at once stays."""
    log, written = ChoiceLog(storage), 0
    storage.delete(f"{CHOICES}.snapshot")
    for choice in log.read():
        rows = pa.Table.from_pylist(
            [{"image_id": one.image_id, "version": one.version, "sha256": one.sha256} for one in choice.photos], ROW_IDS
        )
        gone = marks.hold_photos(rows)
        if gone.any():
            log.replace(choice, [one for one, forgotten in zip(choice.photos, gone, strict=True) if not forgotten])
            written += 1
    return written


def _erase_derived(landing: Landing, marks: Marks, table: DerivedTable, touched: pa.Table) -> int:
    """Rows of a later stage about what is not there any more. Others that do not fit now may fit later, and stay."""
    rows = table.whole(landing)
    if rows is None:
        return 0
    fits = pc.is_in(rows[table.key], table.rows(landing)[table.key].combine_chunks())
    about = pc.is_in(rows["image_id"], touched["image_id"].combine_chunks())
    places = rows.select(["image_id", "image_version"]).rename_columns(["image_id", "version"])
    stays = pc.and_(pc.or_(fits, pc.invert(about)), pa.array(~marks.hold_places(places)))
    if "copy_of" in rows.column_names:  # a copy of what goes is not said to be one any more
        of_gone = pc.is_in(rows["copy_of"], rows.filter(pc.invert(stays))["image_id"].combine_chunks())
        stays = pc.and_(stays, pc.invert(of_gone))
    if pc.all(stays).as_py():
        return 0
    kept = rows.filter(stays)
    if table is IDENTITIES:
        erase_from_registry(landing, kept, rows.filter(pc.invert(stays)))
    table.rewrite(landing, kept)
    return 1

"""Forget: people, faces and photos leave OUT, both stores and the gallery, and a mark keeps them from coming back.

In this order, so that a call that was killed is finished by the next one: a note of what is asked, the mark, Parquet,
the stores, the gallery; then the note goes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixelbrain.errors import ConfigError
from pixelbrain.landing.forgotten.erase import erase
from pixelbrain.landing.forgotten.marks import FORGOTTEN, Mark, write_mark
from pixelbrain.landing.forgotten.select import Selection, select_faces, select_photos
from pixelbrain.shown import Shown
from pixelbrain.stages.load_apart import load_apart

if TYPE_CHECKING:
    from pixelbrain.stages.stages import Stages
    from pixelbrain.stores.database import Database

_NOTE = f"{FORGOTTEN}/unfinished"  # a hash of what the call asks that is at work, or was killed


@dataclass(frozen=True, kw_only=True, repr=False)
class ForgetReport(Shown):
    """What `forget` did."""

    number: int | None  # under which it is listed, and can be lifted; None: nothing new was forgotten
    lines: tuple[str, ...]  # what was forgotten, for people
    faces: int
    photos: int  # whose rows went, copies of them included
    files: int  # of OUT that held any of it
    stores: bool  # whether there were stores, which were written anew
    seconds: float


def forget(
    stages: Stages,
    *,
    person: str | None = None,
    faces: Sequence[str] = (),
    photos: Sequence[str] = (),
    again: bool = False,
    dry_run: bool = False,
    confirm: Callable[[Sequence[str]], bool] = lambda lines: True,
) -> ForgetReport | None:
    """Erase a person, faces or photos, and keep them from coming back.

    Args:
        person: an identity_id, the beginning of one that only it has, or a name.
        faces: face_ids.
        photos: image_ids or paths, whose rows go.
        again: erase what was forgotten before: from another machine's stores, or after a backup was put back.
        dry_run: only say what would be erased.
        confirm: is shown what is going to be erased, in lines; nothing is if it says False.

    Returns:
        What was done; None if it was not confirmed.

    Raises:
        ConfigError: not one of person and faces, photos, and `again` is asked for, or there is no such one.
        OutLockedError: another process works on OUT.
        LandingError, StoreError: OUT or a store cannot be read or written; the same call goes on.
    """
    started, storage, landing = time.monotonic(), stages.storage, stages.landing
    database = stages.context.unopened()
    if bool(photos) + bool(person or faces) + again != 1:
        raise ConfigError("name a person or faces, or photos, or ask for what was forgotten to be erased again")

    def select() -> Selection:
        return select_photos(landing, photos) if photos else select_faces(landing, person=person, faces=faces)

    if dry_run:
        return _report(NOTHING if again else select(), started)
    stores = database.has_mongo or database.has_vectors
    stages.check("compact", *(["load"] if stores else []))
    with stages.context.lock("forget"):
        note = hashlib.sha256(json.dumps([person, [*faces], [*photos]]).encode()).hexdigest().encode()
        before, selection, files, number = storage.read(_NOTE), NOTHING, 0, None
        if before is not None or again:
            files = _erase(stages, stores)
        if not again:
            try:
                selection = select()
            except ConfigError:
                if before != note:  # else it is the killed call's, and is done now
                    raise
        if selection is not NOTHING:
            if not confirm(selection.lines):
                return None
            storage.write(_NOTE, note)
            number = write_mark(storage, selection.mark).number
            files += _erase(stages, stores)
    return _report(selection, started, number=number, files=files, stores=stores)


NOTHING = Selection(mark=Mark(), lines=())


def _report(
    selection: Selection, started: float, *, number: int | None = None, files: int = 0, stores: bool = False
) -> ForgetReport:
    return ForgetReport(
        number=number, lines=selection.lines, faces=selection.faces, photos=selection.photos, files=files,
        stores=stores, seconds=time.monotonic() - started,
    )  # fmt: skip


def _erase(stages: Stages, stores: bool) -> int:
    """Erase what is marked, everywhere; returns how many files of OUT held any of it."""
    with stages.display.stage("forget", unit="files") as tell:
        files = erase(stages.landing, progress=tell)
    if stores:
        _renew_stores(stages)
    gallery = stages.storage.local / "report"
    if gallery.exists():
        if stages.landing.exists():
            stages.report()
        else:
            shutil.rmtree(gallery)
    stages.storage.delete(_NOTE)
    return files


def _renew_stores(stages: Stages) -> None:
    """Bring both stores in step, and their files: embedded ones are written anew, as those keep what was deleted."""
    from pixelbrain.stores.load import load_unlocked
    from pixelbrain.stores.mongo.fresh import write_files_anew

    config, stage = stages.config, stages.display.stage("load")
    with stages.database() as database:
        remote, mongo = database.remote_vectors, database.mongo_connection
        if remote:
            with stage:
                load_unlocked(stages.landing, database)  # which sees that it is ours; a new collection has new files
                for name in database.vectors.connection.names():
                    database.vectors.drop(name)
                load_unlocked(stages.landing, database)
        elif database.has_vectors:
            database.vectors.connection.discard()
    if not remote:
        with stage:
            load_apart(stages.landing, mongo=config.mongo, chroma=config.chroma)
    if mongo.shared:
        with stages.database() as database:
            _compact_server(stages, database)
    else:
        write_files_anew(mongo.folder)


def _compact_server(stages: Stages, database: Database) -> None:
    """Have a MongoDB server give back what was deleted, where it lets us."""
    from pymongo.errors import OperationFailure

    with database.mongo_connection.errors():
        for name in ("images", "identities", "meta"):
            try:
                database.mongo.command("compact", name)
            except OperationFailure as error:
                stages.display.warn(
                    f"forget    MongoDB at {database.mongo_connection.name} does not compact {name} for this user "
                    f"({str(error).split(', full error')[0]}): its administrator can"
                )
                return

"""Bring what other people's programs read of OUT up to date: one row an image in `images`, one a face in `faces`.

Programs that read Parquet take a folder for one table: they see each row of each file, and expect one schema. So a
stage that is done puts new files in the place of those of `images` that hold anything dead, or lack a column; the
others stay. `faces` has a file beside each of them, without vectors, which is written again when the image file
changed or any of its faces is somebody else's; what a module says of each face is a struct column in it. What a killed
call leaves is what the next one finds to do.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.errors import MixedModelsError
from pixelbrain.landing.compact import renew
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.digests import digest_versions
from pixelbrain.landing.faces import FINDER, face_results, join_results
from pixelbrain.landing.index import LandedIndex
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import IMAGES, in_threads, write_table
from pixelbrain.landing.reader import read_layers
from pixelbrain.locks.run import RunLock

#: The folder of OUT that holds a row a face.
FACES = "faces"

_DONE = "work/published.json"  # what was published last, so that a call that has nothing to do reads three listings
_DERIVED = ("identity_id", "distance", "assigned")

logger = logging.getLogger(__name__)


def publish(landing: Landing, *, progress: Callable[[int, int], None] | None = None) -> None:
    """Make `OUT/images` and `OUT/faces` two tables that any program can read, of what is there now.

    Raises `OutLockedError`, and `LandingError`: nothing is lost. `landing` is refreshed. `progress` is called with
    (done, total) rows of images.
    """
    storage = landing.storage
    landing.refresh()
    with RunLock(storage, what="publish"):
        done = json.loads(storage.read(_DONE) or b"{}")
        if done == {**done, **_state(landing)}:
            return
        try:
            renew(landing, progress=progress)
        except MixedModelsError as error:  # what landed is there, and Landing reads it
            logger.warning("%s", error)
        faces = _publish_faces(landing, done.get("of", {}))
        storage.write(_DONE, json.dumps({**_state(landing), "of": faces}).encode())


@contextlib.contextmanager
def republished(landing: Landing, people: pa.Table, changed: np.ndarray) -> Iterator[None]:
    """Within it, a few rows of `identities` are written; afterwards `OUT/faces` says the same of these faces.

    Only the files that hold them are written again, unless what was published before was not of what was there. Raises
    as `publish` does.

    Args:
        people: rows of `schema.IDENTITY_SCHEMA`, as they are written.
        changed: int64, which of them say something else.
    """
    storage = landing.storage
    with RunLock(storage, what="publish"):
        done = json.loads(storage.read(_DONE) or b"{}")
        known = done == {**done, **_state(landing)}
        yield
        if not known:
            publish(landing)
            return
        index, rows = landing.index, people.take(pa.array(changed, pa.int64()))
        image = pc.fill_null(pc.index_in(rows["image_id"], index.image_id.combine_chunks()), -1)
        fits = np.asarray(pc.fill_null(pc.equal(index.version.take(image), rows["image_version"]), False))
        part = np.where(fits, index.part[np.asarray(image)], -1)

        def write(number: int) -> None:
            mine = rows.filter(pa.array(part == number))
            with storage.open_parquet(name := index.parts[number].name.replace(f"{IMAGES}/", f"{FACES}/")) as file:
                faces = file.read().replace_schema_metadata(None)
            columns = faces.schema
            at = pc.index_in(faces["face_id"], mine["face_id"].combine_chunks())
            new = mine.take(at)
            same = functools.reduce(pc.and_, (pc.equal(new[f.name], faces[f.name]) for f in schema.BOX_FIELDS))
            for column in _DERIVED:
                value = pc.if_else(pc.fill_null(same, False), new[column], faces[column])
                faces = faces.set_column(faces.schema.get_field_index(column), faces.schema.field(column), value)
            write_table(storage, name, faces.cast(columns))
            done["of"].pop(name, None)  # so that the next `publish` of other people looks at it

        in_threads(storage, write, [number for number in np.unique(part).tolist() if number >= 0])
        storage.write(_DONE, json.dumps({**done, **_state(landing)}).encode())


def is_published(landing: Landing) -> bool:
    """Whether other programs see what is there now; False while a command is at work, or after one that was killed.

    True of an OUT of which nothing was published yet, too: it has nothing outdated. Raises `LandingError`.
    """
    done = json.loads(landing.storage.read(_DONE) or b"{}")
    return not done or done == {**done, **_state(landing)}


def _state(landing: Landing) -> dict[str, Any]:
    """By table, its files and their versions."""
    return {name: landing.storage.versions(name) for name in (IMAGES, "identities", FACES)}


def _publish_faces(landing: Landing, before: dict[str, list[str]]) -> dict[str, list[str]]:
    """Write the files of `faces` that are not as they should be, and remove those of image files that are gone.

    `before` is by file what it was made of, and its version then; returned is the same, now.
    """
    storage, index = landing.storage, landing.index
    parts = [number for number, part in enumerate(index.parts) if FINDER in part.modules]
    kinds = face_results(index)
    people, of_part, digests = _people(landing, index)
    more = "".join(f" {name} {kind}" for name, kind in kinds.items())
    made_of = {number: f"{index.parts[number].version} {digests[number]:016x}{more}" for number in parts}
    names = {number: index.parts[number].name.replace(f"{IMAGES}/", f"{FACES}/") for number in parts}
    there = {f"{FACES}/{name}": version for name, version in storage.versions(FACES).items()}
    stale = [number for number in parts if before.get(names[number]) != [made_of[number], there.get(names[number])]]

    def write(number: int) -> None:
        mine = people.slice(of_part[number], of_part[number + 1] - of_part[number])
        write_table(storage, names[number], _faces_of(index, number, mine, kinds))

    # those that go first: no face is there twice, also where this is killed
    in_threads(storage, storage.delete, sorted(there.keys() - set(names.values())))
    in_threads(storage, write, stale)
    there = {f"{FACES}/{name}": version for name, version in storage.versions(FACES).items()}
    return {names[number]: [made_of[number], there[names[number]]] for number in parts}


def _people(landing: Landing, index: LandedIndex) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """The identities in the order of the part files that hold their faces.

    Returns:
        Rows of `schema.IDENTITY_SCHEMA`; int64 (parts + 1,): where those of each part begin; uint64 (parts,): a number
        that changes with those of a part.
    """
    found = IDENTITIES.read(landing).rows
    table = schema.IDENTITY_SCHEMA.empty_table() if found is None else found.select(schema.IDENTITY_SCHEMA.names)
    image = pc.index_in(table["image_id"], index.image_id.combine_chunks())
    table, image = table.filter(pc.is_valid(image)), np.asarray(image.drop_null())
    part = index.part[image]
    order = np.argsort(part, kind="stable")
    table, part = table.take(pa.array(order)), part[order]
    digests = np.zeros(len(index.parts), np.uint64)
    texts = [pc.fill_null(table[name].cast(pa.large_string()), "\1") for name in ("face_id", *_DERIVED)]
    joined = pc.binary_join_element_wise(*texts, pa.scalar("\0", pa.large_string()))
    np.add.at(digests, part, digest_versions(joined))
    return table, np.searchsorted(part, np.arange(len(index.parts) + 1)), digests


def _faces_of(index: LandedIndex, number: int, people: pa.Table, kinds: Mapping[str, pa.StructType]) -> pa.Table:
    """The faces of a part file's images: rows of `schema.FACE_SCHEMA`, and a struct of each module of `kinds`."""
    start, stop = np.searchsorted(index.part, [number, number + 1])
    layers = index.layers(np.arange(start, stop), [FINDER, *kinds])
    tables = list(read_layers(index.parts, [layers], vectors=False)) if stop > start else []
    empty = pa.schema([*schema.FACE_SCHEMA, *kinds.items()]).empty_table()
    return pa.concat_tables([empty, *(_faces(table, people, kinds) for table in tables)])


def _faces(table: pa.Table, people: pa.Table, kinds: Mapping[str, pa.StructType]) -> pa.Table:
    lists = pc.struct_field(table[FINDER].combine_chunks(), "faces")
    said = join_results(table, pc.list_flatten(lists), kinds)
    faces = pa.Table.from_struct_array(pc.list_flatten(lists))
    found = people.take(pc.index_in(faces["face_id"], people["face_id"].combine_chunks()))
    columns = {
        **{name: faces[name] for name in faces.column_names if name in schema.FACE_SCHEMA.names},
        "image_id": table["image_id"].take(pc.list_parent_indices(lists)),
        **{name: found[name] for name in _DERIVED},
    }
    # what a module called facenet of somebody's own does not measure is null
    whole = pa.concat_tables([schema.FACE_SCHEMA.empty_table(), pa.table(columns)], promote_options="permissive")
    return functools.reduce(lambda of, one: of.append_column(*one), said.items(), whole.cast(schema.FACE_SCHEMA))

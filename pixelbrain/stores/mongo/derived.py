"""What later stages derive, who is in which image and which images are alike: from tables into MongoDB's documents."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pymongo import UpdateOne
from pymongo.collection import Collection

from pixelbrain.stores.ledger import IdLedger
from pixelbrain.stores.mongo.upsert import BATCH_DOCUMENTS, batches, bulk_write, remove_others
from pixelbrain.stores.results import WriteResult

#: An update, and the id of the document that it changes.
Change = tuple[str, UpdateOne]


def store_identities(images: Collection, identities: Collection, table: pa.Table) -> WriteResult:
    """Write `identity_id` into the faces of each image, `identities` beside them, and a document an identity.

    Afterwards the documents say what `table` (rows of `schema.IDENTITY_SCHEMA`, each face once) says and nothing older;
    running it again changes nothing. `images` get `facenet.faces[].identity_id` (absent: unassigned) and `identities`
    (sorted, each once); `identities` get `_id`, `n_faces` and `n_images`, and keep what others stored there.
    """
    result = _write(images, identity_changes(images, table))
    with IdLedger() as current:
        result += _write(identities, count_changes(identities, table, current))
        removed = remove_others(identities, {}, current.holds)
    return result + WriteResult(written=removed)


def store_groups(images: Collection, table: pa.Table) -> WriteResult:
    """Write `group_id` and `group_distance` (cosine, 0 to 2) into each image, and remove older ones."""
    return _write(images, group_changes(images, table))


def identity_changes(images: Collection, table: pa.Table, *, everywhere: bool = False) -> Iterator[list[Change]]:
    """The updates after which the images' documents say what `table` says, in batches; none when they do.

    Each batch may be written before the next is asked for. `everywhere`: look also at faces of images that are not in
    the table and have no `identities`, which reads all images.
    """
    with IdLedger() as seen:
        for rows in _by_image(table.select(["image_id", "face_id", "identity_id"])):
            wanted: dict[str, dict[str, str]] = {}
            for row in rows.to_pylist():
                faces = wanted.setdefault(row["image_id"], {})
                if row["identity_id"] is not None:
                    faces[row["face_id"]] = row["identity_id"]
            seen.add(wanted)
            yield _changes(images, {"_id": {"$in": list(wanted)}}, wanted)
        named: dict[str, Any] = {"identities": {"$exists": True}}
        if everywhere:
            named = {"$or": [named, {"facenet.faces.identity_id": {"$exists": True}}]}
        for ids in batches(document["_id"] for document in images.find(named, {"_id": 1})):
            yield _changes(images, {"_id": {"$in": seen.unknown(ids)}}, {})


def count_changes(identities: Collection, table: pa.Table, current: IdLedger) -> Iterator[list[Change]]:
    """The updates after which each identity has a document that counts its faces and images; `current` gets its id."""
    known = table.filter(pc.is_valid(table["identity_id"]))
    counts = known.group_by("identity_id").aggregate([("face_id", "count"), ("image_id", "count_distinct")])
    for chunk in counts.to_batches(max_chunksize=BATCH_DOCUMENTS):
        wanted = {
            row["identity_id"]: {"n_faces": row["face_id_count"], "n_images": row["image_id_count_distinct"]}
            for row in chunk.to_pylist()
        }
        current.add(wanted)
        found = identities.find({"_id": {"$in": list(wanted)}}, {"n_faces": 1, "n_images": 1})
        there = {one.pop("_id"): one for one in found}
        yield [
            (one, UpdateOne({"_id": one}, {"$set": counted}, upsert=True))
            for one, counted in wanted.items()
            if there.get(one) != counted
        ]


def group_changes(images: Collection, table: pa.Table) -> Iterator[list[Change]]:
    """The updates after which the images' documents say what `table` (rows of `schema.GROUP_SCHEMA`) says."""
    with IdLedger() as grouped:
        rows = table.filter(pc.is_valid(table["group_id"]))
        for chunk in rows.to_batches(max_chunksize=BATCH_DOCUMENTS):
            wanted = {
                row["image_id"]: {"group_id": row["group_id"], "group_distance": row["distance"]}
                for row in chunk.to_pylist()
            }
            grouped.add(wanted)
            found = images.find({"_id": {"$in": list(wanted)}}, {"group_id": 1, "group_distance": 1})
            there = {one.pop("_id"): one for one in found}
            yield [
                (one, UpdateOne({"_id": one}, {"$set": wanted[one]}))
                for one, present in there.items()
                if present != wanted[one]
            ]
        older = images.find({"group_id": {"$exists": True}}, {"_id": 1})
        for ids in batches(document["_id"] for document in older):
            unset = {"$unset": {"group_id": "", "group_distance": ""}}
            yield [(one, UpdateOne({"_id": one}, unset)) for one in grouped.unknown(ids)]


def _write(collection: Collection, changes: Iterator[list[Change]]) -> WriteResult:
    result = WriteResult()
    for batch in changes:
        result += bulk_write(collection, [update for _one, update in batch])
    return result


def _changes(images: Collection, query: dict[str, Any], wanted: dict[str, dict[str, str]]) -> list[Change]:
    """The updates of those images whose faces say something else than `wanted` (image_id -> face_id -> identity_id)."""
    operations = []
    for document in images.find(query, {"facenet.faces.face_id": 1, "facenet.faces.identity_id": 1, "identities": 1}):
        faces = (document.get("facenet") or {}).get("faces") or []
        names = wanted.get(document["_id"])
        new: dict[str, Any] = {}
        gone: dict[str, str] = {}
        for place, face in enumerate(faces):
            identity = (names or {}).get(face.get("face_id"))
            if face.get("identity_id") != identity:
                path = f"facenet.faces.{place}.identity_id"
                if identity is None:
                    gone[path] = ""
                else:
                    new[path] = identity
        if names is None:
            gone["identities"] = ""
        else:
            present = sorted({names[face["face_id"]] for face in faces if face.get("face_id") in names})
            if document.get("identities") != present:
                new["identities"] = present
        update = {operator: fields for operator, fields in (("$set", new), ("$unset", gone)) if fields}
        if update:
            operations.append((document["_id"], UpdateOne({"_id": document["_id"]}, update)))
    return operations


def _by_image(table: pa.Table) -> Iterator[pa.Table]:
    """The rows, 1,000 images at a time, each image's rows together."""
    if len(table) == 0:
        return
    # sorting gathers all strings into one array: 32-bit offsets would end at 2 GB
    rows = table.cast(pa.schema([(name, pa.large_string()) for name in table.column_names])).sort_by("image_id")
    ids = rows["image_id"]
    changes = pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1)).to_numpy()
    starts = [0, *(np.flatnonzero(changes) + 1).tolist()]
    bounds = [*starts[::BATCH_DOCUMENTS], len(rows)]
    for start, end in itertools.pairwise(bounds):
        yield rows.slice(start, end - start)

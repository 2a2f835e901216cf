"""What later stages derive, who is in which image and which images are alike: from tables into MongoDB's documents."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pymongo import UpdateOne
from pymongo.collection import Collection

from pixelbrain.stores.ledger import IdLedger
from pixelbrain.stores.load_record import RECORD_ID
from pixelbrain.stores.mongo.documents import encode
from pixelbrain.stores.mongo.upsert import BATCH_DOCUMENTS, batches, bulk_write, remove_others
from pixelbrain.stores.results import WriteResult

#: An update, and the id of the document that it changes.
Change = tuple[str, UpdateOne]


def store_identities(
    images: Collection,
    identities: Collection,
    table: pa.Table,
    among: Sequence[str] | None = None,
    names: Mapping[str, str] = MappingProxyType({}),
) -> WriteResult:
    """Write `identity_id` into the faces of each image, `identities` beside them, and a document an identity.

    Afterwards the documents say what `table` (rows of `schema.IDENTITY_SCHEMA`, each face once) says and nothing older;
    running it again changes nothing. `images` get `facenet.faces[].identity_id` (absent: unassigned) and `identities`
    (sorted, each once); `identities` get `_id`, `n_faces`, `n_images`, and `name` if somebody named them, and keep what
    others stored there. `among`: the images that may say something else; all by default.
    """
    current = IdLedger()
    result = _write(images, identity_changes(images, table, among))
    result += _write(identities, count_changes(identities, table, current, names))
    return result + WriteResult(written=remove_others(identities, {}, current.holds))


def store_groups(images: Collection, table: pa.Table, among: Sequence[str] | None = None) -> WriteResult:
    """Write `group_id` and `group_distance` (cosine, 0 to 2) into each image, and remove older ones; as above."""
    return _write(images, group_changes(images, table, among))


def repeated(meta: Collection, name: str) -> str | None:
    """The digest of the table of a later stage that the documents repeat; None: of none, or they are being written."""
    return (meta.find_one({"_id": RECORD_ID}, {name: 1}) or {}).get(name)


def remember(meta: Collection, name: str, digest: str | None) -> None:
    """Note which table of a later stage the documents repeat; None while they are written, or if OUT has none such."""
    meta.update_one({"_id": RECORD_ID}, {"$set": {name: digest}}, upsert=True)


def identity_changes(
    images: Collection, table: pa.Table, among: Sequence[str] | None = None, *, everywhere: bool = False
) -> Iterator[list[Change]]:
    """The updates after which the images' documents say what `table` says, in batches; none when they do.

    Each batch may be written before the next is asked for. `everywhere`: look also at faces of images that are not in
    the table and have no `identities`, which reads all images.
    """
    seen = IdLedger()
    table = _of(table, among)
    for rows in _by_image(table.select(["image_id", "face_id", "identity_id"])):
        wanted: dict[str, dict[str, str]] = {}
        for row in rows.to_pylist():
            faces = wanted.setdefault(row["image_id"], {})
            if row["identity_id"] is not None:
                faces[row["face_id"]] = row["identity_id"]
        seen.add(wanted)
        yield _changes(images, list(wanted), wanted)
    named: dict[str, Any] = {"identities": {"$exists": True}}
    if everywhere:
        named = {"$or": [named, {"facenet.faces.identity_id": {"$exists": True}}]}
    if among is not None:
        named["_id"] = {"$in": list(among)}
    for ids in batches(document["_id"] for document in images.find(named, {"_id": 1})):
        yield _changes(images, seen.unknown(ids), {})


def count_changes(
    identities: Collection, table: pa.Table, current: IdLedger, names: Mapping[str, str] = MappingProxyType({})
) -> Iterator[list[Change]]:
    """The updates after which each identity has a document that counts its faces and images; `current` gets its id."""
    known = table.filter(pc.is_valid(table["identity_id"]))
    counts = known.group_by("identity_id").aggregate([("face_id", "count"), ("image_id", "count_distinct")])
    for chunk in counts.to_batches(max_chunksize=BATCH_DOCUMENTS):
        wanted = {
            row["identity_id"]: {"n_faces": row["face_id_count"], "n_images": row["image_id_count_distinct"]}
            | ({"name": names[row["identity_id"]]} if row["identity_id"] in names else {})
            for row in chunk.to_pylist()
        }
        current.add(wanted)
        yield _differing(identities, wanted, upsert=True)


def group_changes(images: Collection, table: pa.Table, among: Sequence[str] | None = None) -> Iterator[list[Change]]:
    """The updates after which the images' documents say what `table` (rows of `schema.GROUP_SCHEMA`) says."""
    grouped = IdLedger()
    rows = _of(table, among)
    rows = rows.filter(pc.is_valid(rows["group_id"]))
    for chunk in rows.to_batches(max_chunksize=BATCH_DOCUMENTS):
        wanted = {
            row["image_id"]: {"group_id": row["group_id"], "group_distance": row["distance"]}
            for row in chunk.to_pylist()
        }
        grouped.add(wanted)
        yield _differing(images, wanted, upsert=False)
    named: dict[str, Any] = {"group_id": {"$exists": True}}
    if among is not None:
        named["_id"] = {"$in": list(among)}
    older = images.find(named, {"_id": 1})
    unset = {"$unset": {"group_id": "", "group_distance": ""}}
    for ids in batches(document["_id"] for document in older):
        yield [(one, UpdateOne({"_id": one}, unset)) for one in grouped.unknown(ids)]


def _of(table: pa.Table, among: Sequence[str] | None) -> pa.Table:
    """The rows of these images; all of them for None."""
    if among is None:
        return table
    return table.filter(pc.is_in(table["image_id"], value_set=pa.array(among, pa.string())))


def _write(collection: Collection, changes: Iterator[list[Change]]) -> WriteResult:
    results = (bulk_write(collection, [update for _one, update in batch]) for batch in changes)
    return sum(results, WriteResult())


def _differing(collection: Collection, wanted: dict[str, dict[str, Any]], *, upsert: bool) -> list[Change]:
    """The updates of the documents whose fields are not as wanted; with `upsert` also of those that are not there."""
    fields = dict.fromkeys(itertools.chain(*wanted.values()), 1)
    there = {one.pop("_id"): one for one in collection.find({"_id": {"$in": list(wanted)}}, fields)}
    return [
        (one, UpdateOne({"_id": one}, {"$set": wanted[one]}, upsert=upsert))
        for one in (wanted if upsert else there)
        if one not in there or {k: v for k, v in there[one].items() if k in wanted[one]} != wanted[one]
    ]


def _changes(images: Collection, ids: list[str], wanted: dict[str, dict[str, str]]) -> list[Change]:
    """The updates of images whose faces say something else than `wanted` (image_id -> face_id -> identity_id)."""
    operations = []
    fields = {"facenet.faces.face_id": 1, "facenet.faces.identity_id": 1, "identities": 1}
    for document in images.find({"_id": {"$in": ids}}, fields):
        one, faces = document["_id"], (document.get("facenet") or {}).get("faces") or []
        names = wanted.get(one)
        people = [(names or {}).get(face.get("face_id")) for face in faces]
        new: dict[str, Any] = {  # None: the field goes
            f"facenet.faces.{place}.identity_id": identity
            for place, (face, identity) in enumerate(zip(faces, people, strict=True))
            if face.get("identity_id") != identity
        }
        present = sorted(set(people) - {None}) if names is not None else None
        if names is None or document.get("identities") != present:
            new["identities"] = present
        if new:
            operations.append((one, UpdateOne({"_id": one}, encode({"_id": one, **new}).update())))
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

"""Documents into MongoDB, in bulk, so that a bad one costs only itself; and out of it again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pymongo import IndexModel, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, BulkWriteError, WriteConcernError

from pixelbrain.errors import StoreError
from pixelbrain.stores.mongo.documents import EncodedDocument, encode, shown
from pixelbrain.stores.results import WriteResult

#: FACTS of pymongo 4.20 with mongod 6: 1,000 or 10,000 a batch write equally fast.
BATCH_DOCUMENTS = 1_000
#: What a server says that is stopped in an orderly way, or ceases to be the primary: shutting down, interrupted.
_AWAY_CODES = frozenset({91, 189, 10107, 11600, 11602})
#: What the queries of the CLI, the gallery and `Database` look up.
INDEXES = ("status", "sha256", "group_id", "identities", "resnet.label", "facenet.n_faces", "facenet.faces.face_id")


def upsert_images(
    images: Collection, docs: Iterable[Mapping[str, Any]], *, landed: bool = False, rewrite: bool = False
) -> WriteResult:
    """Write documents by their `_id`, 1,000 at a time; their other fields in the store stay.

    Args:
        docs: each has `_id`; a top-level field that is None is removed. numpy's scalars and arrays are taken.
        landed: these are landed rows: a document whose `row_hash` in the store is the same is not written again.
        rewrite: write also those.

    Returns:
        What was written. A document that is refused (over 16 MB, say) is in `errors` and does not cost its
        neighbours.
    """
    result, left = WriteResult(), iter(docs)
    for first in left:  # encoded as they come: a thousand documents of dicts and lists are much for Python's collector
        batch = itertools.chain([first], itertools.islice(left, BATCH_DOCUMENTS - 1))
        result += upsert_batch(images, batch, landed=landed, rewrite=rewrite)
    return result


def upsert_batch(
    images: Collection, batch: Iterable[Mapping[str, Any]], *, landed: bool, rewrite: bool, make: bool = True
) -> WriteResult:
    """As `upsert_images`, at once; without `make`, a document that is not there is not made."""
    errors: list[tuple[str, str]] = []
    encoded: list[tuple[str, EncodedDocument]] = []
    for doc in batch:
        try:
            encoded.append((doc["_id"], encode(doc)))
        except StoreError as error:
            errors.append((shown(doc["_id"]), str(error)))
    known: dict[str, str] = {}
    if landed and not rewrite:
        found = images.find({"_id": {"$in": [one for one, _ in encoded]}}, {"row_hash": 1})
        known = {one["_id"]: one.get("row_hash") for one in found}
    operations, unchanged = [], 0
    for one, document in encoded:
        row_hash = document.row_hash() if landed else None
        if landed and known.get(one) == row_hash:
            unchanged += 1
            continue
        update = document.update(row_hash=row_hash)
        operations.append(UpdateOne({"_id": one}, update or {"$setOnInsert": {}}, upsert=make))
    return bulk_write(images, operations) + WriteResult(unchanged=unchanged, errors=tuple(errors))


def bulk_write(collection: Collection, operations: Sequence[UpdateOne]) -> WriteResult:
    """Run updates by `_id`, unordered: one that the server refuses is reported and the others are done.

    The values are such as `encode` or `plain` made: one that pymongo cannot encode costs the whole batch.

    Raises:
        pymongo.errors.PyMongoError: the server went away, or acknowledged without having it on disk.
    """
    if not operations:
        return WriteResult()
    errors: list[tuple[str, str]] = []
    try:
        counts = collection.bulk_write(operations, ordered=False).bulk_api_result
    except BulkWriteError as error:
        counts = error.details
        concerns = counts.get("writeConcernErrors") or []
        for one in (*concerns, *counts["writeErrors"]):  # not of a row: all are to be written again
            if one.get("code") in _AWAY_CODES:
                raise AutoReconnect(str(one.get("errmsg"))) from None  # as pymongo does for single writes
        if concerns:
            raise WriteConcernError(str(concerns[0].get("errmsg")), concerns[0].get("code")) from None
        for refused in counts["writeErrors"]:
            errors.append((str(refused["op"]["q"]["_id"]), str(refused["errmsg"])))
    written = counts["nUpserted"] + counts["nModified"]
    return WriteResult(written=written, unchanged=len(operations) - written - len(errors), errors=tuple(errors))


def remove_others(
    collection: Collection,
    query: dict[str, Any],
    keep: Callable[[list[str]], np.ndarray],
    first: Callable[[list[str]], None] = lambda ids: None,
) -> int:
    """Remove the documents that match `query` and whose ids `keep` says False of; how many were removed.

    Of what is about to go, `first` is told.
    """
    removed = 0
    for ids in batches(document["_id"] for document in collection.find(query, {"_id": 1})):
        gone = [one for one, stays in zip(ids, keep(ids), strict=True) if not stays]
        if gone:
            first(gone)
            removed += collection.delete_many({"_id": {"$in": gone}}).deleted_count
    return removed


def batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    """1,000 items at a time."""
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, BATCH_DOCUMENTS)):
        yield batch


def create_indexes(images: Collection) -> None:
    """The indexes that the queries need; those already there cost nothing."""
    images.create_indexes([IndexModel(field) for field in INDEXES])

"""Documents into MongoDB, in bulk, so that a bad one costs only itself."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bson
import numpy as np
from bson.errors import BSONError
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, BulkWriteError, WriteConcernError

from pixelbrain.errors import StoreError

__all__ = [
    "BATCH_DOCUMENTS",
    "Encoded",
    "WriteResult",
    "bulk_write",
    "encode",
    "plain",
    "shown",
    "upsert_images",
]

#: FACTS of pymongo 4.20 with mongod 6: 1,000 or 10,000 a batch write equally fast.
BATCH_DOCUMENTS = 1_000
#: MongoDB's 16 MB, less room for the id and the hash.
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024 - 16 * 1024
#: https://www.mongodb.com/docs/manual/reference/limits/; mongod 6 refuses a whole batch for one beyond 200.
MAX_DEPTH = 100
_REASON_LENGTH = 200
#: A server that is stopped in an orderly way says so: interrupted, or shutting down.
_SHUTDOWN_CODES = frozenset({91, 11600, 11602})


@dataclass(frozen=True, kw_only=True)
class WriteResult:
    """What a bulk write did."""

    written: int = 0  # new or changed
    unchanged: int = 0
    errors: tuple[tuple[str, str], ...] = ()  # (_id, why it was refused)

    def __add__(self, other: WriteResult) -> WriteResult:
        return WriteResult(
            written=self.written + other.written,
            unchanged=self.unchanged + other.unchanged,
            errors=self.errors + other.errors,
        )


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A document as MongoDB will have it."""

    values: dict[str, Any]  # without `_id`, and without what is None
    gone: tuple[str, ...]  # names of what is None, sorted: fields that the document is not to have
    bson: bytes  # of `values`

    def row_hash(self) -> str:
        """16 hex digits that change with any value, or with which are absent."""
        return hashlib.blake2b(self.bson + repr(list(self.gone)).encode(), digest_size=8).hexdigest()


def encode(document: Mapping[str, Any]) -> Encoded:
    """A document with `_id` as MongoDB will have it. numpy's scalars and arrays are taken.

    Raises:
        StoreError: MongoDB cannot have it; the message says why, in few words.
    """
    try:
        values = {key: plain(value) for key, value in document.items() if key != "_id" and value is not None}
        encoded = bson.encode(values)
        bson.encode({"_id": document["_id"]})
    except UnicodeEncodeError as error:
        raise StoreError(f"not text that UTF-8 can hold: {error.reason}") from None
    except (BSONError, OverflowError, TypeError, ValueError) as error:
        raise StoreError(" ".join(f"{type(error).__name__}: {error}".split())[:_REASON_LENGTH]) from None
    if len(encoded) > MAX_DOCUMENT_BYTES:
        raise StoreError(f"{len(encoded):,} bytes; MongoDB takes documents of 16 MB at most")
    if "" in values:
        raise StoreError("a field without a name")
    return Encoded(values=values, gone=tuple(sorted(k for k, v in document.items() if v is None)), bson=encoded)


def upsert_images(
    images: Collection, docs: Iterable[Mapping[str, Any]], *, landed: bool = False, rewrite: bool = False
) -> WriteResult:
    """Write documents by their `_id`, 1,000 at a time; their other fields in the store stay.

    Args:
        images: the collection.
        docs: each has `_id`; a top-level field that is None is removed. numpy's scalars and arrays are taken.
        landed: these are landed rows: a document whose `row_hash` in the store is the same is not written again.
        rewrite: write also those.

    Returns:
        What was written. A document that is refused (over 16 MB, say) is in `errors` and does not cost its
        neighbours.
    """
    result = WriteResult()
    remaining = iter(docs)
    while batch := list(itertools.islice(remaining, BATCH_DOCUMENTS)):
        result += _upsert_batch(images, batch, landed=landed, rewrite=rewrite)
    return result


def _upsert_batch(
    images: Collection, batch: Sequence[Mapping[str, Any]], *, landed: bool, rewrite: bool
) -> WriteResult:
    errors: list[tuple[str, str]] = []
    encoded: list[tuple[str, Encoded]] = []
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
        values: dict[str, Any] = document.values
        if landed:
            row_hash = document.row_hash()
            if known.get(one) == row_hash:
                unchanged += 1
                continue
            values = {**values, "row_hash": row_hash}
        update: dict[str, Any] = {"$set": values} if values else {}
        if document.gone:
            update["$unset"] = dict.fromkeys(document.gone, "")
        operations.append(UpdateOne({"_id": one}, update or {"$setOnInsert": {}}, upsert=True))
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
        if any(concern.get("code") in _SHUTDOWN_CODES for concern in concerns):
            raise AutoReconnect(str(concerns[0].get("errmsg"))) from None  # as pymongo does for single writes
        if concerns:
            raise WriteConcernError(str(concerns[0].get("errmsg")), concerns[0].get("code")) from None
        for refused in counts["writeErrors"]:
            errors.append((str(refused["op"]["q"]["_id"]), str(refused["errmsg"])))
    written = counts["nUpserted"] + counts["nModified"]
    return WriteResult(written=written, unchanged=len(operations) - written - len(errors), errors=tuple(errors))


def plain(value: Any, *, depth: int = MAX_DEPTH) -> Any:
    """The value as Python's own types, which is what BSON takes: no numpy, no tuples or sets, no enums.

    Raises:
        ValueError: nested deeper than `depth`.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), depth=depth)
    if isinstance(value, str):  # an enum that is a str too
        return str(value)
    if not isinstance(value, Mapping | list | tuple | set | frozenset):
        return value
    if depth <= 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth=depth - 1) for key, item in value.items()}
    items = sorted(value) if isinstance(value, set | frozenset) else value
    return [plain(item, depth=depth - 1) for item in items]


def shown(one: Any) -> str:
    """An id that any log and any JSON file can hold."""
    return str(one).encode("utf-8", "backslashreplace").decode()

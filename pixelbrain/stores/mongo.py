"""MongoDB: connect by URI, index, and write documents in bulk so that a bad one costs only itself."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bson
import numpy as np
import pymongo
from bson.errors import BSONError
from pymongo import ASCENDING, UpdateOne, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database as MongoDatabase
from pymongo.errors import BulkWriteError, PyMongoError

from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.stores.address import mask_uri

__all__ = [
    "DEFAULT_DATABASE",
    "WriteResult",
    "bulk_write",
    "connect",
    "create_indexes",
    "mongo_errors",
    "plain",
    "upsert_images",
]

DEFAULT_DATABASE = "pixelbrain"
SERVER_SELECTION_TIMEOUT_MS = 5_000
#: No single answer takes longer; an aggregate over millions of images takes minutes.
SOCKET_TIMEOUT_MS = 600_000
WRITE_TIMEOUT_MS = 60_000
#: FACTS of pymongo 4.20 with mongod 6: 1,000 or 10,000 a batch write equally fast.
BATCH_DOCUMENTS = 1_000
#: MongoDB's 16 MB, less room for the id and the hash.
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024 - 16 * 1024

#: What the queries of the CLI, the gallery and `Database` look up.
INDEXES = (
    "status",
    "sha256",
    "group_id",
    "identities",
    "resnet.label",
    "facenet.n_faces",
    "facenet.faces.face_id",
)


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


@contextlib.contextmanager
def mongo_errors(where: str) -> Iterator[None]:
    """Turn pymongo's errors into `StoreError`; `where` is a masked URI, or what the user calls the server."""
    try:
        yield
    except PyMongoError as error:
        reason = str(error).split(", Timeout:")[0]  # pymongo goes on about its topology, for a screenful
        raise StoreError(f"MongoDB at {where}: {reason}") from None


def connect(uri: str) -> tuple[pymongo.MongoClient, MongoDatabase]:
    """Connect, and make sure that it answers.

    Args:
        uri: `mongodb://` or `mongodb+srv://`, with the database's name as its path (default `pixelbrain`).

    Returns:
        The client, and the database with write concern w="majority", j=True: what is acknowledged survives a crash.

    Raises:
        StoreError: not a URI, no answer within 5 s, or not let in. The password is masked.
        ConfigError: a database name that MongoDB does not take.
    """
    masked = mask_uri(uri)
    try:
        client: pymongo.MongoClient = pymongo.MongoClient(
            uri,
            appname="pixelbrain",
            serverSelectionTimeoutMS=SERVER_SELECTION_TIMEOUT_MS,
            connectTimeoutMS=SERVER_SELECTION_TIMEOUT_MS,
            socketTimeoutMS=SOCKET_TIMEOUT_MS,
        )
    except (PyMongoError, ValueError) as error:
        # the message may quote the URI: only its kind is safe to repeat
        raise StoreError(
            f"MongoDB at {masked}: {type(error).__name__}; a URI looks like mongodb://USER:PASSWORD@HOST:27017/NAME, "
            "with special characters of the password percent-encoded"
        ) from None
    try:
        name = client.get_default_database(DEFAULT_DATABASE).name
        _check_database_name(name)
        with mongo_errors(masked):
            client.admin.command("ping")
            client[name].command("dbStats")  # a ping needs no login
    except (StoreError, ConfigError):
        client.close()
        raise
    concern = WriteConcern(w="majority", j=True, wtimeout=WRITE_TIMEOUT_MS)
    return client, client.get_database(name, write_concern=concern)


def create_indexes(images: Collection) -> None:
    """The indexes that the queries need; those already there cost nothing."""
    images.create_indexes([pymongo.IndexModel([(field, ASCENDING)]) for field in INDEXES])


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
    known: dict[str, str] = {}
    if landed and not rewrite:
        ids = [doc["_id"] for doc in batch]
        known = {found["_id"]: found.get("row_hash") for found in images.find({"_id": {"$in": ids}}, {"row_hash": 1})}
    operations, unchanged = [], 0
    for doc in batch:
        try:
            values = {key: plain(value) for key, value in doc.items() if key != "_id" and value is not None}
            encoded = bson.encode(values)
        except (BSONError, OverflowError, TypeError, ValueError) as error:
            errors.append((doc["_id"], f"{type(error).__name__}: {error}"))
            continue
        if len(encoded) > MAX_DOCUMENT_BYTES:
            errors.append((doc["_id"], f"{len(encoded):,} bytes; MongoDB takes documents of 16 MB at most"))
            continue
        gone = {key: "" for key, value in doc.items() if value is None}
        if landed:
            # which modules are absent counts too
            row_hash = hashlib.blake2b(encoded + repr(sorted(gone)).encode(), digest_size=8).hexdigest()
            if known.get(doc["_id"]) == row_hash:
                unchanged += 1
                continue
            values["row_hash"] = row_hash
        update = {"$set": values} if values else {}
        if gone:
            update["$unset"] = gone
        operations.append(UpdateOne({"_id": doc["_id"]}, update or {"$setOnInsert": {}}, upsert=True))
    return bulk_write(images, operations) + WriteResult(unchanged=unchanged, errors=tuple(errors))


def bulk_write(collection: Collection, operations: Sequence[UpdateOne]) -> WriteResult:
    """Run updates by `_id`, unordered: one that the server refuses is reported and the others are done.

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
        if counts.get("writeConcernErrors"):
            raise
        for refused in counts["writeErrors"]:
            errors.append((str(refused["op"]["q"]["_id"]), str(refused["errmsg"])))
    written = counts["nUpserted"] + counts["nModified"]
    return WriteResult(written=written, unchanged=len(operations) - written - len(errors), errors=tuple(errors))


def plain(value: Any) -> Any:
    """The value as Python's own types, which is what BSON takes: no numpy, no tuples or sets, no enums."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, str):  # an enum that is a str too
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    return value


def _check_database_name(name: str) -> None:
    """MongoDB's naming rules, less its own databases."""
    if re.search(r'[/\\. "$*<>:|?\0]', name) or not 0 < len(name.encode()) < 64 or name in ("admin", "local", "config"):
        raise ConfigError(f"{name!r} cannot name Pixelbrain's database: letters, digits, - and _, 63 at most")

"""The MongoDB half of a load: landed rows become documents, and documents without a row go."""

from __future__ import annotations

import functools
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from pixelbrain import schema
from pixelbrain.errors import StoreError
from pixelbrain.landing.landing import Landing
from pixelbrain.stores.ledger import IdLedger
from pixelbrain.stores.load_record import RECORD_ID, StoreCounts, landed_digest
from pixelbrain.stores.mongo.connection import MongoConnection
from pixelbrain.stores.mongo.documents import LANDED, documents
from pixelbrain.stores.mongo.upsert import bulk_write, create_indexes, remove_others, upsert_images
from pixelbrain.stores.results import WriteResult

#: What a load writes into every document, but for what moves along with it: its id, and the bytes by which it is known.
_OURS = {name for kinds, names in schema.RESERVED_NAMES.values() if "field" in kinds for name in names}
_OURS -= {"_id", "sha256"}
_MOST_ORIGINS = 100_000


class DocumentLoad:
    """One load in progress. Each step waits for a server that restarts under it, and may be done twice.

    Args:
        owner: whose documents these are; two OUT in one database would remove each other's.
        rebuild: write also what is there already, and over another OUT's documents.
    """

    def __init__(self, landing: Landing, connection: MongoConnection, *, owner: str, rebuild: bool) -> None:
        self.result = WriteResult()
        self.removed = 0
        self._connection = connection
        self._owner = owner
        self._documents = connection.database["images"]
        self._meta = connection.database["meta"]
        self._landing = landing
        self._digest = landed_digest(landing)
        origins = landing.index.origins(np.arange(len(landing.index.part)))
        self._origins = origins if len(origins) <= _MOST_ORIGINS else []  # a document ends at 16 MB
        self._rebuild = rebuild
        self._nothing_there = False
        self._ledger = IdLedger()

    def prepare(self) -> None:
        """Make sure that these rows belong into this database, before anything is written."""
        self._connection.patiently(self._prepare)

    def _prepare(self) -> None:
        mine: dict[str, Any] = {"_id": RECORD_ID}
        if self._connection.shared and not self._rebuild:
            mine["owner"] = {"$in": [None, self._owner]}  # another OUT's documents would be removed as stale
        # cleared before the first write: a load that is cut short is not in step
        claim = {"$set": {"owner": self._owner}, "$unset": {"digest": ""}}
        try:
            self._meta.update_one(mine, claim, upsert=True)  # in one step: of two that begin at once, one has it
        except DuplicateKeyError:
            found = self._meta.find_one({"_id": RECORD_ID}) or {}
            theirs = found.get("owner", "another OUT")
            raise StoreError(
                f"the database {self._connection.database.name} holds the images of {theirs}: "
                "name another one at the end of the URI, or `pixelbrain load OUT --rebuild` to replace them"
            ) from None
        self._nothing_there = self._documents.find_one({}, {"_id": 1}) is None
        create_indexes(self._documents)

    def keep(self, ids: list[str]) -> None:
        """These are there, as they landed."""
        self._ledger.add(ids)

    def add(self, table: pa.Table) -> None:
        """Write a batch of landed rows."""
        result, kept = self._connection.patiently(lambda: self._write(table))
        self.result += result
        refused = {one for one, _ in result.errors}
        self._ledger.add(set(table["image_id"].to_pylist()).difference(refused).union(kept))

    def _write(self, table: pa.Table) -> tuple[WriteResult, set[Any]]:
        """What was written, and which of the refused documents are there in an older form."""
        rewrite = self._rebuild or self._nothing_there  # then none is asked which documents it has
        result = upsert_images(self._documents, documents(table), landed=True, rewrite=rewrite)
        # out of date, but with what users stored in it
        refused = [one for one, _ in result.errors]
        there = self._documents.find({"_id": {"$in": refused}, **LANDED}, {"_id": 1}) if refused else ()
        return result, {found["_id"] for found in there}

    def remove_stale(self) -> None:
        """Remove the documents that Parquet does not have, if the counts say that there are any."""
        if self._held() > self._ledger.count():
            step = functools.partial(remove_others, self._documents, LANDED, self._ledger.holds, self._hand_on)
            self.removed += self._connection.patiently(step)

    def _hand_on(self, gone: list[str]) -> None:
        """What users stored in documents that go, to those of the same bytes that have no such field: they moved."""
        ours = {*_OURS, *self._landing.index.modules, *self._landing.answers}
        query = {"_id": {"$in": gone}}
        old = {row.pop("sha256", None): row for row in self._documents.find(query, dict.fromkeys(ours, False))}
        fields = {name for row in old.values() for name in row if name != "_id"}
        if not fields:
            return
        there = {"sha256": {"$in": [sha256 for sha256 in old if sha256]}, "_id": {"$nin": gone}, **LANDED}
        operations = [
            UpdateOne({"_id": row["_id"]}, {"$set": new})
            for row in self._documents.find(there, dict.fromkeys(["sha256", *fields], True))
            if (new := {name: value for name, value in old[row["sha256"]].items() if name not in row})
        ]
        bulk_write(self._documents, operations)

    def _held(self) -> int:
        return self._connection.patiently(lambda: self._documents.count_documents(LANDED))

    def finish(
        self, vectors: dict[str, int], loaded_vectors: dict[str, str | None], *, refused: int
    ) -> tuple[int, int]:
        """Compare, and remember what was loaded; how many documents there are, and faces in them.

        Args:
            vectors: how many each collection holds.
            loaded_vectors: what each remembers.
            refused: what the stores would not have.

        Raises:
            StoreError: there are more documents, or fewer, than were written.
        """
        held = self._held()
        if held != self._ledger.count():
            raise StoreError(
                f"after the load MongoDB holds {held:,} images, and Parquet {self._ledger.count():,}: is another "
                "process writing them? `pixelbrain load OUT` again, or with --rebuild"
            )
        counts = StoreCounts.of(held, vectors)
        faces = self._connection.patiently(self._count_faces)
        loaded = {
            "digest": self._digest,
            "origins": self._origins,
            "counts": asdict(counts),
            "vectors": loaded_vectors,
            "refused": refused,
            "faces": faces,
        }
        self._connection.patiently(lambda: self._meta.update_one({"_id": RECORD_ID}, {"$set": loaded}, upsert=True))
        return held, faces

    def _count_faces(self) -> int:
        total = {"$group": {"_id": None, "faces": {"$sum": "$facenet.n_faces"}}}
        return next(iter(self._documents.aggregate([{"$match": LANDED}, total])), {"faces": 0})["faces"]

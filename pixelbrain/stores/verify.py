"""Verify: do MongoDB and ChromaDB hold what Parquet holds? Row by row, and nothing is changed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from pixelbrain import schema
from pixelbrain.landing.landing import Landing
from pixelbrain.schema import ModelInfo
from pixelbrain.stores.chroma import health_client as fresh
from pixelbrain.stores.chroma.health import Finding, Sample, same_direction
from pixelbrain.stores.convert import COLLECTION_COLUMNS, VectorBatch, vectors
from pixelbrain.stores.database import Database
from pixelbrain.stores.in_step import vector_models
from pixelbrain.stores.ledger import IdLedger
from pixelbrain.stores.mongo.verify import DocumentCheck
from pixelbrain.stores.verify_report import Difference, Kind, Tally, VerifyReport

__all__ = ["Difference", "VerifyReport", "verify"]

_BATCH_ROWS = 1_000
_VECTORS_AT_ONCE = 1_000


def verify(landing: Landing, database: Database, *, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Compare every landed row with both stores: ids, the fields of documents, vectors, people and groups.

    Documents are compared by a hash of the fields that landed; what users stored beside them does not count. Vectors
    are compared within float32, and by the hash that a load left with them, which covers their metadata. The table is
    streamed: what is kept in memory is one batch, and 8 bytes an id on disk. `load(rebuild=True)` repairs it all.

    Args:
        landing: what landed.
        database: the stores; those that are not there are not made.
        progress: called as `progress(images done, images in all)`.

    Raises:
        LandingError: nothing has landed, or a file cannot be read.
        StoreError: a store cannot be reached.
    """
    began = time.monotonic()
    landing.require()
    models, total = vector_models(landing), landing.count_images()
    if database.has_vectors and not database.remote_vectors:
        fresh.warm_up()
    with contextlib.ExitStack() as stack:
        documents = None
        if database.has_mongo:
            stack.enter_context(database.mongo_errors())
            documents = stack.enter_context(contextlib.closing(DocumentCheck(database)))
        findings = {}
        if database.has_vectors:
            findings = database.vectors.examine({name: Sample() for name in COLLECTION_COLUMNS})
        collections = [
            stack.enter_context(
                contextlib.closing(_CollectionCheck(name, models.get(name), database, findings.get(name)))
            )
            for name in COLLECTION_COLUMNS
        ]
        done = 0
        for table in landing.iter_images(batch_rows=_BATCH_ROWS):
            if documents is not None:
                documents.add(table)
            for collection in collections:
                collection.add(table)
            done += len(table)
            if progress is not None:
                progress(done, total)
        tallies = [collection.finish() for collection in collections]
        if documents is not None:
            identities, groups = landing.read_identities(), landing.read_groups()
            tallies = [
                *documents.finish(
                    schema.IDENTITY_SCHEMA.empty_table() if identities is None else identities,
                    schema.GROUP_SCHEMA.empty_table() if groups is None else groups,
                ),
                *tallies,
            ]
        else:
            nothing = Tally(where="MongoDB images")
            nothing.whole("missing", total, "nothing was loaded yet")
            tallies = [nothing, *tallies]
        held = {collection.name: collection.landed for collection in collections}
        return VerifyReport(
            images=total,
            image_vectors=held["images"],
            face_vectors=held["faces"],
            refused=(documents.refused if documents else 0) + sum(collection.refused for collection in collections),
            differences=tuple(difference for tally in tallies for difference in tally.differences()),
            seconds=time.monotonic() - began,
        )


class _CollectionCheck:
    """A vector collection's comparison in progress.

    Args:
        name: of the collection.
        model: what computed the landed vectors; None: none landed, and none should be there.
        database: the stores.
        finding: what is wrong with the collection, seen from outside.
    """

    def __init__(self, name: str, model: ModelInfo | None, database: Database, finding: Finding | None) -> None:
        self.name = name
        self.landed = 0
        self.refused = 0
        self._model = model
        self._database = database
        self._tally = Tally(where=f"ChromaDB {name}")
        self._ledger = IdLedger()
        self._problem = self._look(finding)
        self._found = 0

    def close(self) -> None:
        """Remove the ledger's file."""
        self._ledger.close()

    def _look(self, finding: Finding | None) -> tuple[Kind, str] | None:
        """What is wrong with the whole collection, and the kind of it: it is not read then, which may crash."""
        if not self._database.has_vectors:
            return ("missing", "nothing was loaded yet")
        if finding is not None and finding.kind != "recall":
            return ("damaged", finding.reason)
        theirs = self._database.vectors.model(self.name)
        if theirs is None:
            return ("missing", "there is no such collection") if self._model is not None else None
        if self._model is not None and theirs != self._model:
            return ("different", f"they are of {theirs.model}, and {self._model.model} landed")
        return None

    def add(self, table: pa.Table) -> None:
        """Compare a batch of landed rows."""
        batch = vectors(self.name, table) if self._model is not None else None
        if batch is None:
            return
        finite = np.isfinite(batch.vectors).all(axis=1)
        self.refused += int((~finite).sum())
        batch = batch.take(np.flatnonzero(finite).tolist())
        self.landed += len(batch)
        if self._problem is None:
            self._ledger.add(batch.ids)
            for start in range(0, len(batch), _VECTORS_AT_ONCE):
                self._compare(batch.take(range(start, min(start + _VECTORS_AT_ONCE, len(batch)))))

    def _compare(self, batch: VectorBatch) -> None:
        found = self._database.vectors.fetch(self.name, batch.ids)
        self._found += len(found)
        self._tally.add("missing", (one for one in batch.ids if one not in found))
        here = [row for row, one in enumerate(batch.ids) if one in found]
        if not here:
            return
        batch = batch.take(here)
        stored = np.stack([found[one][0] for one in batch.ids])
        same = same_direction(stored, batch.vectors)
        hashes = zip(batch.ids, batch.row_hashes(), same, strict=True)
        self._tally.add("different", (one for one, row_hash, alike in hashes if not alike or found[one][1] != row_hash))

    def finish(self) -> Tally:
        """Compare what needs all rows: vectors without one."""
        if self._problem is not None:
            kind, reason = self._problem
            if kind == "damaged" or (self._model is not None and self.landed):
                self._tally.whole(kind, self.landed, reason)
        elif self._database.has_vectors and self._database.vectors.count(self.name) > self._found:
            for ids in self._database.vectors.iter_ids(self.name):
                known = self._ledger.holds(ids)
                self._tally.add("extra", (one for one, held in zip(ids, known, strict=True) if not held))
        return self._tally

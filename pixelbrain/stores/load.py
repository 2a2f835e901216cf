"""Load: from Parquet, the truth, into MongoDB and ChromaDB, until they hold the same."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import StoreError
from pixelbrain.landing.parquet import Landing
from pixelbrain.stores.database import Database
from pixelbrain.stores.identities import remove_others
from pixelbrain.stores.ledger import IdLedger
from pixelbrain.stores.mongo import WriteResult, create_indexes, upsert_images
from pixelbrain.stores.rows import COLLECTION_COLUMNS, documents, vectors
from pixelbrain.stores.state import (
    LANDED,
    META_ID,
    StoreCounts,
    StoreState,
    landed_columns,
    store_state,
    vector_models,
    version_digest,
)

__all__ = ["LoadReport", "StoreState", "load", "store_state"]

logger = logging.getLogger(__name__)

BATCH_ROWS = 1_000


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What a load did. The first four are what the stores hold now."""

    images: int  # documents in MongoDB
    faces: int  # faces in those documents
    image_vectors: int
    face_vectors: int
    images_written: int  # new or changed
    image_vectors_written: int
    face_vectors_written: int
    skipped: int  # documents and vectors that were there already, unchanged
    removed: int  # documents and vectors that Parquet does not have
    errors: tuple[tuple[str, str], ...]  # (image_id or face_id, why MongoDB or ChromaDB would not have it)
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def load(
    landing: Landing,
    database: Database,
    *,
    rebuild: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> LoadReport:
    """Make both stores hold what Parquet holds; running it again changes nothing.

    The table is streamed: what is kept of it in memory is one batch, and 8 bytes an id on disk. Fields that users
    stored in the images' documents stay, also in a rebuild.

    Args:
        landing: what landed.
        database: where to.
        rebuild: replace the vector collections and write every document again, whatever is there.
        progress: called as `progress(images done, images in all)`.

    Raises:
        LandingError: nothing has landed, or a file cannot be read.
        MixedModelsError: a collection holds another model's vectors, and not `rebuild`.
        StoreError: a store refused, belongs to another OUT, or still differs afterwards.
    """
    began = time.monotonic()
    landing.require()
    total = landing.count_images()
    with database.mongo_errors(), contextlib.closing(_Load(landing, database, rebuild=rebuild)) as run:
        run.prepare()
        done = 0
        for table in landing.iter_images(batch_rows=BATCH_ROWS):
            run.add(table)
            done += len(table)
            if progress is not None:
                progress(done, total)
        run.remove_stale()
        identities, groups = landing.read_identities(), landing.read_groups()
        if identities is not None:
            database.store_identities(identities)
        if groups is not None:
            database.store_groups(groups)
        return run.finish(time.monotonic() - began)


class _Load:
    """One load in progress."""

    def __init__(self, landing: Landing, database: Database, *, rebuild: bool) -> None:
        self._database = database
        self._documents = database.mongo["images"]
        self._meta = database.mongo["meta"]
        self._models = vector_models(landing)
        self._landed = landed_columns(landing)
        self._rebuild = rebuild
        self._written = {name: WriteResult() for name in COLLECTION_COLUMNS}
        self._result = WriteResult()
        self._faces = 0
        self._removed = 0
        self._digest = 0
        self._images = IdLedger()
        self._vectors = {name: IdLedger() for name in COLLECTION_COLUMNS}

    def close(self) -> None:
        """Remove the ledgers' files."""
        for ledger in (self._images, *self._vectors.values()):
            ledger.close()

    def prepare(self) -> None:
        """Make sure that these rows belong into these stores, before anything is written."""
        database = self._database
        self._check_owner()
        create_indexes(self._documents)
        owner = database.owner if database.vectors.remote else ""
        if self._rebuild:
            for name in COLLECTION_COLUMNS:
                database.vectors.drop(name)
        for name, model in self._models.items():
            database.vectors.ensure(name, model, owner=owner)
        # cleared before the first write: a load that is cut short is not in step
        self._meta.update_one({"_id": META_ID}, {"$set": {"owner": database.owner}, "$unset": {"digest": ""}}, True)

    def add(self, table: pa.Table) -> None:
        """Write a batch of landed rows."""
        result = upsert_images(self._documents, documents(table), landed=True, rewrite=self._rebuild)
        self._result += result
        # of a document that was refused, an older one may be there: out of date, but with what users stored in it
        refused = [one for one, _ in result.errors]
        there = self._documents.find({"_id": {"$in": refused}, **LANDED}, {"_id": 1}) if refused else ()
        kept = {found["_id"] for found in there}
        self._images.add(set(table["image_id"].to_pylist()).difference(refused).union(kept))
        self._digest = (self._digest + version_digest(table)) % 2**64
        self._faces += _count_faces(table)
        for name, ledger in self._vectors.items():
            batch = vectors(name, table) if name in self._models else None
            if batch is not None:
                result = self._database.vectors.upsert(name, batch)
                self._written[name] += result
                ledger.add(set(batch.ids).difference(one for one, _ in result.errors))

    def remove_stale(self) -> None:
        """Remove what the stores hold and Parquet does not, where the counts say that there is any."""
        if self._documents.count_documents(LANDED) > self._images.count():
            self._removed += remove_others(self._documents, LANDED, self._images.holds)
        store = self._database.vectors
        for name, ledger in self._vectors.items():
            if store.count(name) > ledger.count():
                self._removed += store.remove_where(name, ledger.holds)

    def finish(self, seconds: float) -> LoadReport:
        """Compare, remember what was loaded, and report."""
        held = StoreCounts(
            documents=self._documents.count_documents(LANDED),
            images=self._database.vectors.count("images"),
            faces=self._database.vectors.count("faces"),
        )
        wanted = StoreCounts(
            documents=self._images.count(), images=self._vectors["images"].count(), faces=self._vectors["faces"].count()
        )
        if held != wanted:
            raise StoreError(
                f"after the load the stores hold {held}, and Parquet {wanted}: is another process writing them? "
                "`pixelbrain load OUT` again, or with --rebuild"
            )
        self._meta.update_one(
            {"_id": META_ID},
            {"$set": {"landed": self._landed, "digest": f"{self._digest:016x}", "counts": held.as_dict()}},
            True,
        )
        results = (self._result, *self._written.values())
        report = LoadReport(
            images=held.documents,
            faces=self._faces,
            image_vectors=held.images,
            face_vectors=held.faces,
            images_written=self._result.written,
            image_vectors_written=self._written["images"].written,
            face_vectors_written=self._written["faces"].written,
            skipped=sum(result.unchanged for result in results),
            removed=self._removed,
            errors=sum((result.errors for result in results), ()),
            seconds=seconds,
        )
        for one, reason in report.errors[:10]:
            logger.warning("not loaded: %s: %s", one, reason)
        return report

    def _check_owner(self) -> None:
        """On a server, another OUT's documents would be removed as stale."""
        if not self._database.shared_mongo or self._rebuild:
            return
        found = self._meta.find_one({"_id": META_ID}) or {}
        if found.get("owner", self._database.owner) != self._database.owner:
            raise StoreError(
                f"the database {self._database.mongo.name} holds the images of {found['owner']}: name another one at "
                "the end of the URI, or `pixelbrain load OUT --rebuild` to replace them"
            )


def _count_faces(table: pa.Table) -> int:
    column = COLLECTION_COLUMNS["faces"]
    if column not in table.column_names or not pa.types.is_struct(table[column].type):
        return 0
    lists = pc.struct_field(table[column].combine_chunks(), "faces")
    return pc.sum(pc.list_value_length(lists)).as_py() or 0

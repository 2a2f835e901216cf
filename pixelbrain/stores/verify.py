"""Verify: do MongoDB and ChromaDB hold what Parquet holds? Row by row, and nothing is changed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.registry import read_registry
from pixelbrain.stores.chroma import health_process
from pixelbrain.stores.chroma.verify import CollectionCheck
from pixelbrain.stores.database import Database
from pixelbrain.stores.load import BATCH_ROWS
from pixelbrain.stores.mongo.verify import DocumentCheck
from pixelbrain.stores.vectors import COLLECTION_COLUMNS, vector_fields
from pixelbrain.stores.verify_report import DifferenceCounter, VerifyReport


def verify(landing: Landing, database: Database, *, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Compare every landed row with both stores: ids, the fields of documents, vectors, people and groups.

    Documents are compared by a hash of the fields that landed; what users stored beside them does not count. Vectors
    are compared within float32, and by the hash that a load left with them, which covers their metadata. The table is
    streamed: what is kept in memory is one batch, and 8 bytes an id on disk. `load(rebuild=True)` repairs it all.

    Args:
        database: the stores; those that are not there are not made.
        progress: called as `progress(images done, images in all)`.

    Raises:
        LandingError: nothing has landed, or a file cannot be read.
        StoreError: a store cannot be reached.
    """
    began = time.monotonic()
    landing.require()
    fields, total = vector_fields(landing), landing.count_images()
    if database.has_vectors and not database.remote_vectors:
        health_process.warm_up()
    with contextlib.ExitStack() as stack:
        documents = store = None
        if database.has_mongo:
            stack.enter_context(database.mongo_connection.errors())
            documents = DocumentCheck(database.mongo_connection)
        findings, others = {}, []
        if database.has_vectors:
            store = database.vectors
            findings = store.connection.examine()
            others = store.others(fields, owner=landing.storage.owner if database.remote_vectors else "")
        collections = [
            CollectionCheck(name, fields.get(name), store, findings.get(name))
            for name in dict.fromkeys((*COLLECTION_COLUMNS, *fields, *others))
        ]
        done = 0
        for table in landing.iter_images(batch_rows=BATCH_ROWS):
            if documents is not None:
                documents.add(table)
            for collection in collections:
                collection.add(table)
            done += len(table)
            if progress is not None:
                progress(done, total)
        if documents is not None:
            compared = documents.finish(
                IDENTITIES.rows(landing), GROUPS.rows(landing), read_registry(landing.storage).said
            )
        else:
            compared = [DifferenceCounter(where="MongoDB images")]
            compared[0].whole("missing", total, "nothing was loaded yet")
        compared += [collection.finish() for collection in collections]
        held = {collection.name: collection.landed for collection in collections}
        return VerifyReport(
            images=total,
            image_vectors=held["images"],
            face_vectors=held["faces"],
            module_vectors={name: held[name] for name in fields if name not in COLLECTION_COLUMNS},
            refused=(documents.refused if documents else 0) + sum(collection.refused for collection in collections),
            differences=tuple(difference for counter in compared for difference in counter.found.values()),
            seconds=time.monotonic() - began,
        )

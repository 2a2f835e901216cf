"""Load: from Parquet, the truth, into MongoDB and ChromaDB, until they hold the same."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from pixelbrain.landing.index import LandedIndex
from pixelbrain.landing.landing import Landing
from pixelbrain.locks.run import RunLock
from pixelbrain.shown import Shown
from pixelbrain.stores.chroma import health_process
from pixelbrain.stores.database import Database
from pixelbrain.stores.in_step import StoreState, is_untouched, recorded_state, store_state
from pixelbrain.stores.mongo.load import DocumentLoad
from pixelbrain.stores.parallel_writers import write_in_parallel
from pixelbrain.stores.vectors import COLLECTION_COLUMNS, vector_fields

logger = logging.getLogger(__name__)

BATCH_ROWS = 1_000
_IDS_AT_ONCE = 50_000


@dataclass(frozen=True, kw_only=True, repr=False)
class LoadReport(Shown):
    """What a load did. The first four are what the stores hold now."""

    images: int  # documents in MongoDB
    faces: int  # faces in those documents
    image_vectors: int
    face_vectors: int
    images_written: int = 0  # new or changed
    image_vectors_written: int = 0
    face_vectors_written: int = 0
    skipped: int  # documents and vectors that were there already, unchanged
    removed: int = 0  # documents and vectors that Parquet does not have
    rebuilt: tuple[str, ...] = ()  # what was damaged in ChromaDB and written again, one line each
    errors: tuple[tuple[str, str], ...] = ()  # (image_id or face_id, why MongoDB or ChromaDB would not have it)
    seconds: float
    module_vectors: Mapping[str, int] = field(default_factory=dict)  # further vectors, by collection
    module_vectors_written: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def load(
    landing: Landing,
    database: Database,
    *,
    rebuild: bool = False,
    may_be_empty: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> LoadReport:
    """Make both stores hold what Parquet holds; running it again changes nothing, and reads no row.

    Where embedded stores are as the last load of a command left them, and nothing is new, none is opened. Where only
    images came, changed or went since the last load, their rows alone are read. The table is streamed, and
    both stores are written at the same time: what is kept of it in memory is four batches, and 8 bytes an id on disk.
    Fields that users stored in the images' documents stay, also in a rebuild. A server that restarts
    meanwhile is waited for. Before and after, a fresh process looks at an embedded ChromaDB: a damaged index is written
    again from Parquet, which the report and a warning say.

    Args:
        rebuild: replace the vector collections and write every document again, whatever is there.
        may_be_empty: where nothing has landed, nothing is to be in the stores either.
        progress: called as `progress(images done, images in all)`.

    Raises:
        LandingError: nothing has landed, or a file cannot be read.
        MixedModelsError: a collection holds another model's vectors, and not `rebuild`.
        StoreError: a store went away or refused, belongs to another OUT, or still differs afterwards.
        OutLockedError: another process works on this OUT.
    """
    with RunLock((landing if may_be_empty else landing.require()).storage, what="load"):
        return load_unlocked(landing, database, rebuild=rebuild, progress=progress)


def load_unlocked(
    landing: Landing,
    database: Database,
    *,
    rebuild: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> LoadReport:
    """As `load`, under a lock that the caller has, or the process that waits for the caller."""
    began = time.monotonic()
    if not rebuild and is_untouched(database):
        state = recorded_state(landing, database)
        if state is not None and state.in_step and state.complete:
            return _nothing_new(state, began)  # and no store was opened
    if not database.remote_vectors:
        health_process.warm_up()
    state = StoreState(reasons=()) if rebuild else store_state(landing, database)
    if state.in_step and state.complete:
        return _nothing_new(state, began)
    fields, index = vector_fields(landing), landing.index
    new = index.outside(state.known)
    total, others = len(new), np.delete(np.arange(len(index.part)), new)
    with contextlib.ExitStack() as stack:
        connection = database.mongo_connection
        stack.enter_context(connection.errors())
        documents = DocumentLoad(landing, connection, owner=landing.storage.owner, rebuild=rebuild)
        documents.prepare()
        from pixelbrain.stores.chroma.load import VectorLoad  # chromadb takes 2 s to import

        owner = landing.storage.owner if database.remote_vectors else ""
        vectors = VectorLoad(landing, database.vectors, fields, owner=owner)
        vectors.prepare(rebuild=rebuild)
        for ids in _ids_of(index, others):  # they are there, as they landed
            documents.keep(ids)
            vectors.keep(ids)
        done = 0
        # one writer a store: more of them do not make a ChromaDB server index faster (benchmarks/bench_load.py)
        tables = landing.iter_images(images=new, batch_rows=BATCH_ROWS)
        written = stack.enter_context(contextlib.closing(write_in_parallel(tables, documents.add, vectors.add)))
        for table in written:
            done += len(table)
            if progress is not None:
                progress(done, total)
        documents.remove_stale()
        vectors.remove_stale()
        vectors.check()
        among = list(itertools.chain.from_iterable(_ids_of(index, new))) if len(others) else None
        database.store_derived("identities", among)
        database.store_derived("groups", among)
        counts = vectors.counts()
        results = (documents.result, *vectors.written.values())
        errors = sum((result.errors for result in results), ())
        vectors.finish()
        images, faces = documents.finish(counts, vectors.loaded(), refused=len(errors))
        report = LoadReport(
            images=images,
            faces=faces,
            image_vectors=counts["images"],
            face_vectors=counts["faces"],
            images_written=documents.result.written,
            image_vectors_written=vectors.written["images"].written,
            face_vectors_written=vectors.written["faces"].written,
            module_vectors={name: counts[name] for name in fields if name not in COLLECTION_COLUMNS},
            module_vectors_written=sum(r.written for n, r in vectors.written.items() if n not in COLLECTION_COLUMNS),
            skipped=sum(result.unchanged for result in results) + len(others) + vectors.kept(),
            removed=documents.removed + vectors.removed,
            rebuilt=tuple(vectors.rebuilt),
            errors=errors,
            seconds=time.monotonic() - began,
        )
    for one, reason in report.errors[:10]:
        logger.warning("not loaded: %s: %s", one, reason)
    return report


def _nothing_new(state: StoreState, began: float) -> LoadReport:
    held = state.counts
    return LoadReport(
        images=held.documents,
        faces=state.faces,
        image_vectors=held.images,
        face_vectors=held.faces,
        module_vectors=held.modules,
        skipped=held.documents + held.vectors,
        seconds=time.monotonic() - began,
    )


def _ids_of(index: LandedIndex, images: np.ndarray) -> Iterator[list[str]]:
    """The ids of images at these positions, some at a time."""
    for start in range(0, len(images), _IDS_AT_ONCE):
        yield index.image_id.take(pa.array(images[start : start + _IDS_AT_ONCE])).to_pylist()

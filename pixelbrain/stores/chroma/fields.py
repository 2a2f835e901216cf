"""The vectors of a `Database`: ChromaDB's collections, and vectors that a user computed elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pixelbrain.errors import StoreError
from pixelbrain.landing.landing import Landing
from pixelbrain.schema import ModelInfo
from pixelbrain.stores.address import is_url
from pixelbrain.stores.chroma import health_process
from pixelbrain.stores.chroma.own_vectors import land_vectors
from pixelbrain.stores.load_record import vectors_behind
from pixelbrain.stores.results import WriteResult
from pixelbrain.stores.vectors import Match, VectorBatch, check_collection, vector_fields

if TYPE_CHECKING:
    from pixelbrain.stores.chroma.collections import VectorStore

logger = logging.getLogger(__name__)

#: `faces`, `images`, or what a module's vectors are called, see `stores.vectors.vector_fields`.
Collection = str


class ChromaVectors:
    """The vectors of an OUT in ChromaDB, which is opened when it is first needed.

    Args:
        landing: the OUT.
        location: a server's URL, or a folder.
    """

    def __init__(self, landing: Landing, location: str | Path) -> None:
        self.landing, self.location = landing, location
        self._store: VectorStore | None = None
        self._closed = False

    @property
    def opened(self) -> bool:
        """Whether it is open."""
        return self._store is not None

    @property
    def store(self) -> VectorStore:
        """The collections."""
        if self._closed:
            raise StoreError("this database is closed: open it again with Database.open")
        if self._store is None:
            from pixelbrain.stores.chroma.collections import VectorStore  # chromadb takes 2 s to import

            self._store = VectorStore(self.location)
        return self._store

    @property
    def exists(self) -> bool:
        """Whether ChromaDB is there to be asked: a server, or files of an earlier load."""
        return self.remote or Path(self.location).expanduser().exists()

    @property
    def remote(self) -> bool:
        """Whether it is a server."""
        return is_url(self.location)

    def close(self) -> None:
        """Close it for good."""
        self._closed = True
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def put(self, name: str, vectors: Mapping[str, Any] | Iterable[tuple[str, Any]], model: str | None) -> WriteResult:
        """See `Database.store_vectors`."""
        written, errors = land_vectors(self.landing, name, vectors, model=model)
        for one, reason in errors[:10]:
            logger.warning("not stored: %s: %s", one, reason)
        if written:
            from pixelbrain.stores.chroma.load import VectorLoad  # chromadb takes 2 s to import

            owner = self.landing.storage.owner if self.remote else ""
            load = VectorLoad(self.landing, self.store, {name: vector_fields(self.landing)[name]}, owner=owner)
            load.prepare(rebuild=False)
            for table in self.landing.iter_images([name]):
                load.add(table)
            load.remove_stale_of(name)
            load.finish()
        return WriteResult(written=written, errors=tuple(errors))

    def query(
        self, collection: Collection, vectors: np.ndarray, n_results: int, where: Mapping[str, Any] | None
    ) -> list[list[Match]]:
        """See `Database.query_vector_field`."""
        self._require(collection)
        return self.store.query(collection, vectors, n_results, where)

    def batches(self, collection: Collection, batch: int) -> Iterator[VectorBatch]:
        """See `Database.iter_vectors`."""
        self._require(collection)
        return self.store.iter_vectors(collection, batch)

    def model(self, collection: Collection) -> ModelInfo:
        """Which model computed the vectors. Raises `StoreError`: nothing was loaded yet."""
        self._require(collection)
        model = self.store.model(collection)
        if model is None:
            raise self._nothing_loaded(collection)
        return model

    def behind(self, collection: str) -> str | None:
        """How a collection differs from what landed, by what its last load remembers; None: it does not.

        Reads no vector, and of OUT the ids only. Raises `StoreError` for one that is damaged, or cannot be reached.
        """
        self.landing.refresh()  # others may have landed more
        if not self.exists:
            return vectors_behind(self.landing, collection, None, 0)
        self._require(collection)
        return vectors_behind(self.landing, collection, self.store.loaded(collection), self.store.count(collection))

    def require_in_step(self, collection: Collection) -> None:
        """Raises `StoreError` if it does not hold what landed, or nothing did: before a table takes another's place."""
        if (why := self.behind(collection)) is not None:
            raise StoreError(f"{why}: `pixelbrain load {self.landing.storage.uri}` first")

    def _require(self, collection: str) -> None:
        check_collection(self.landing, collection)
        if not self.exists:  # opening it would make an empty one
            raise self._nothing_loaded(collection)
        if not self.remote:
            if self._store is None:
                health_process.warm_up()  # beside our own import of chromadb
            self.store.connection.require_sound(collection)

    def _nothing_loaded(self, collection: str) -> StoreError:
        return StoreError(
            f"there are no vectors of {collection} in {self.location}: "
            f"`pixelbrain load {self.landing.storage.uri}` writes them"
        )

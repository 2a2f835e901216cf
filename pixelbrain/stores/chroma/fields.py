"""The vectors of a `Database`: ChromaDB's collections, and vectors that a user computed elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelbrain.errors import StoreError
from pixelbrain.landing.landing import Landing
from pixelbrain.schema import ModelInfo
from pixelbrain.stores.address import is_url
from pixelbrain.stores.chroma import health_process
from pixelbrain.stores.chroma.own_vectors import land_vectors
from pixelbrain.stores.load_record import vectors_behind
from pixelbrain.stores.results import WriteResult
from pixelbrain.stores.vectors import check_collection, vector_fields

if TYPE_CHECKING:
    from pixelbrain.stores.chroma.collections import VectorStore

logger = logging.getLogger(__name__)

#: `faces`, `images`, or what a module's vectors are called, see `stores.vectors.vector_fields`.
Collection = str


class ChromaVectors:
    """The vectors of an OUT in ChromaDB, a server's URL or a folder, which is opened when it is first needed."""

    def __init__(self, landing: Landing, location: str | Path) -> None:
        self.landing, self.location = landing, location
        self._store: VectorStore | None = None
        self._closed = False

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

    def model(self, collection: Collection) -> ModelInfo:
        """See `Database.vector_model`."""
        model = self.holding(collection).model(collection)
        if model is None:
            raise self._nothing_loaded(collection)
        return model

    def behind(self, collection: Collection) -> str | None:
        """See `Database.behind`."""
        self.landing.refresh()  # others may have landed more
        if not self.exists:
            return vectors_behind(self.landing, collection, None, 0)
        store = self.holding(collection)
        return vectors_behind(self.landing, collection, store.loaded(collection), store.count(collection))

    def holding(self, collection: Collection) -> VectorStore:
        """The collections, of which this one can be read. Raises `ConfigError` and `StoreError` where it cannot."""
        check_collection(self.landing, collection)
        if not self.exists:  # opening it would make an empty one
            raise self._nothing_loaded(collection)
        if not self.remote:
            if self._store is None:
                health_process.warm_up()  # beside our own import of chromadb
            self.store.connection.require_sound(collection)
        return self.store

    def _nothing_loaded(self, collection: str) -> StoreError:
        return StoreError(
            f"there are no vectors of {collection} in {self.location}: "
            f"`pixelbrain load {self.landing.storage.uri}` writes them"
        )

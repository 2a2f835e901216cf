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


class VectorFields:
    """What a `Database` does with vectors; ChromaDB is opened when it is first needed."""

    landing: Landing
    chroma_location: str | Path
    _vectors: VectorStore | None
    _closed: bool

    @property
    def vectors(self) -> VectorStore:
        """The ChromaDB collections."""
        if self._closed:
            raise StoreError("this database is closed: open it again with Database.open")
        if self._vectors is None:
            from pixelbrain.stores.chroma.collections import VectorStore  # chromadb takes 2 s to import

            self._vectors = VectorStore(self.chroma_location)
        return self._vectors

    @property
    def has_vectors(self) -> bool:
        """Whether ChromaDB is there to be asked: a server, or files of an earlier load."""
        return self.remote_vectors or Path(self.chroma_location).expanduser().exists()

    @property
    def remote_vectors(self) -> bool:
        """Whether ChromaDB is a server."""
        return is_url(self.chroma_location)

    def store_vectors(
        self, name: str, vectors: Mapping[str, Any] | Iterable[tuple[str, Any]], *, model: str | None = None
    ) -> WriteResult:
        """Store a vector of your own of many images: image_id -> numbers, or pairs of them; None removes it.

        They land in OUT, as a module's do, and are searched by at once: `query_vector_field(name, ...)`, `search --by`,
        `group --by`. A load keeps them, and writes them again with `--rebuild`; that of an image that changes, or goes
        from OUT, goes with it.

        Args:
            name: of these vectors; stored again under it, they replace those of the same images.
            model: what computed them; the name by default.

        Returns:
            What was written; in `errors`, and in a warning, images that have not landed, and what is no vector.

        Raises `ConfigError` (no such name can be, or it is taken, or is of another model's), `LandingError` and
        `OutLockedError`; `StoreError` of ChromaDB, when they have landed, and the next load goes on.
        """
        written, errors = land_vectors(self.landing, name, vectors, model=model)
        for one, reason in errors[:10]:
            logger.warning("not stored: %s: %s", one, reason)
        if written:
            from pixelbrain.stores.chroma.load import VectorLoad  # chromadb takes 2 s to import

            owner = self.landing.storage.owner if self.remote_vectors else ""
            load = VectorLoad(self.landing, self.vectors, {name: vector_fields(self.landing)[name]}, owner=owner)
            load.prepare(rebuild=False)
            for table in self.landing.iter_images([name]):
                load.add(table)
            load.remove_stale_of(name)
            load.finish()
        return WriteResult(written=written, errors=tuple(errors))

    def query_vector_field(
        self, collection: Collection, vectors: np.ndarray, n_results: int = 20, where: Mapping[str, Any] | None = None
    ) -> list[list[Match]]:
        """The nearest faces, images or other vectors to each vector, by cosine distance (0 to 2), nearest first.

        Args:
            collection: `faces`, `images`, or a module that has vectors: `mymodule`, `mymodule.field` if it has several.
            vectors: (m, dim), or one (dim,), from the model that `vector_model` names.
            where: a ChromaDB filter on the metadata (faces: image_id, version, score, width_px, sharpness; images:
                version, label; of a module those of them that its struct has).

        Raises `ConfigError` (no such collection, a NaN), `MixedModelsError` (another length), `StoreError` (no load).
        """
        self._require_vectors(collection)
        return self.vectors.query(collection, vectors, n_results, where)

    def iter_vectors(self, collection: Collection, batch: int = 5000) -> Iterator[VectorBatch]:
        """All vectors of a collection, `batch` at a time."""
        self._require_vectors(collection)
        return self.vectors.iter_vectors(collection, batch)

    def vector_model(self, collection: Collection) -> ModelInfo:
        """Which model computed the vectors. Raises `StoreError`: nothing was loaded yet."""
        self._require_vectors(collection)
        model = self.vectors.model(collection)
        if model is None:
            raise self._nothing_loaded(collection)
        return model

    def behind(self, collection: str) -> str | None:
        """How a collection differs from what landed, by what its last load remembers; None: it does not.

        Reads no vector, and of OUT the ids only. Raises `StoreError` for one that is damaged, or cannot be reached.
        """
        self.landing.refresh()  # others may have landed more
        if not self.has_vectors:
            return vectors_behind(self.landing, collection, None, 0)
        self._require_vectors(collection)
        return vectors_behind(self.landing, collection, self.vectors.loaded(collection), self.vectors.count(collection))

    def require_in_step(self, collection: Collection) -> None:
        """Raises `StoreError` if it does not hold what landed, or nothing did: before a table takes another's place."""
        if (why := self.behind(collection)) is not None:
            raise StoreError(f"{why}: `pixelbrain load {self.landing.storage.uri}` first")

    def _require_vectors(self, collection: str) -> None:
        check_collection(self.landing, collection)
        if not self.has_vectors:  # opening it would make an empty one
            raise self._nothing_loaded(collection)
        if not self.remote_vectors:
            if self._vectors is None:
                health_process.warm_up()  # beside our own import of chromadb
            self.vectors.connection.require_sound(collection)

    def _nothing_loaded(self, collection: str) -> StoreError:
        return StoreError(
            f"there are no vectors of {collection} in {self.chroma_location}: "
            f"`pixelbrain load {self.landing.storage.uri}` writes them"
        )

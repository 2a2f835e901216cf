"""ChromaDB: vector collections in cosine space, each of one model, written by one process at a time."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
from chromadb.api.models.Collection import Collection
from chromadb.errors import NotFoundError

from pixelbrain.errors import ConfigError, MixedModelsError, StoreError
from pixelbrain.schema import ModelInfo
from pixelbrain.stores.chroma.client import CONNECTION_LOST, chroma_errors
from pixelbrain.stores.chroma.connection import ChromaConnection
from pixelbrain.stores.chroma.health import collection_name
from pixelbrain.stores.reconnect import ride_out
from pixelbrain.stores.results import WriteResult
from pixelbrain.stores.vectors import Match, VectorBatch, checked_queries

_SPACE = "cosine"
_PAGE_IDS = 50_000  # ids without vectors: FACTS has 275 k/s
_QUERIES_AT_ONCE = 1_000

T = TypeVar("T")


class VectorStore:
    """The collections of one ChromaDB, `faces`, `images`, of modules; opened and closed as its connection is."""

    def __init__(self, location: str | Path) -> None:
        self.connection = ChromaConnection(location)
        self._where = self.connection.where
        self._ensured: dict[str, UUID] = {}  # the collections as they were when they were last made or checked

    def close(self) -> None:
        """Close the connection; twice is once."""
        self.connection.close()

    # --- collections ---------------------------------------------------------------------------------------------

    def ensure(self, name: str, model: ModelInfo, *, owner: str = "") -> None:
        """Make the collection, or check that it is this model's and in cosine space.

        Args:
            name: `faces`, `images`, or as a module's vectors are called, see `stores.vectors.vector_fields`.
            owner: which OUT they are from; two of them in one collection would remove each other's.

        Raises:
            MixedModelsError: it holds another model's vectors.
            StoreError: it has another space, or belongs to another OUT, which may just have begun to fill it.
        """
        metadata = {**model.as_dict(), "owner": owner}
        # get_or_create keeps an existing space and metadata silently, hence the checks
        found = self._patiently(
            lambda: self.connection.client().get_or_create_collection(
                collection_name(name),
                metadata=metadata,
                configuration={"hnsw": {"space": _SPACE}},
                embedding_function=None,
            )
        )
        theirs, their_owner = _model_of(found), (found.metadata or {}).get("owner", owner)
        if owner and their_owner != owner:
            raise StoreError(
                f"the collection {name} of {self._where} holds the vectors of {their_owner}: name another database, "
                "--chroma http://HOST:PORT/NAME, or `pixelbrain load OUT --rebuild` to replace them"
            )
        if theirs != model and self.count(name) == 0:
            self.drop(name)
            self.ensure(name, model, owner=owner)
            return
        space = ((found.configuration or {}).get("hnsw") or {}).get("space")
        if space is None:  # a new one would say no more
            raise StoreError(
                f"ChromaDB at {self._where} does not say how the collection {name} measures, as servers from 1.0.6 do: "
                "upgrade it (`pip install -U 'chromadb<2'`)"
            )
        if space != _SPACE:
            raise StoreError(
                f"the collection {name} measures {space!r} and not {_SPACE}: `pixelbrain load OUT --rebuild` "
                "replaces it"
            )
        if theirs != model:
            raise MixedModelsError(
                f"the collection {name} holds vectors of {_describe(theirs)}, and these are of {_describe(model)}: "
                "`pixelbrain load OUT --rebuild` replaces them"
            )
        self._ensured[name] = found.id

    def model(self, name: str) -> ModelInfo | None:
        """What computed the vectors of a collection; None when there is no such collection."""
        found = self._patiently(lambda: self._lookup(name))
        return _model_of(found) if found is not None else None

    def count(self, name: str) -> int:
        """Vectors in a collection; 0 when there is no such collection."""
        return self._patiently(lambda: found.count() if (found := self._lookup(name)) is not None else 0)

    def loaded(self, name: str) -> str | None:
        """What `remember` said of a collection; "" if it holds another number of vectors; None if it is not there."""
        found, held = self._patiently(lambda: self._lookup(name)), self.count(name)
        if found is None:
            return None
        metadata = found.metadata or {}
        return str(metadata.get("loaded", "")) if metadata.get("vectors") == held else ""

    def remember(self, name: str, loaded: str, vectors: int = 0) -> None:
        """Keep with a collection what was loaded into it: a digest of what landed, "" while it is being written."""

        def modify() -> None:
            collection = self._existing(name)
            self._require_ensured(collection)
            collection.modify(metadata={**(collection.metadata or {}), "loaded": loaded, "vectors": vectors})

        self._patiently(modify)

    def require_ensured(self, name: str) -> None:
        """Check that a collection is the one that `ensure` saw, before what is wrong with it is repaired.

        Raises:
            StoreError: another process of a shared server has put its own in that one's place.
        """
        with chroma_errors(self._where):
            collection = self._lookup(name)
            if collection is not None:
                self._require_ensured(collection)

    def others(self, names: Iterable[str], *, owner: str) -> list[str]:
        """Further collections of Pixelbrain's, of this OUT."""
        found = set(self._patiently(self.connection.listed)) - set(names)
        if owner:  # a server may hold those of others beside them
            found = {one for one in found if self._patiently(lambda one=one: self._owner(one)) == owner}
        return sorted(found)

    def _owner(self, name: str) -> str | None:
        collection = self._lookup(name)
        return (collection.metadata or {}).get("owner") if collection is not None else None

    def drop(self, name: str) -> None:
        """Delete a collection, if it is there."""
        self._ensured.pop(name, None)
        self.connection.forget(name)

        def delete() -> None:
            with contextlib.suppress(NotFoundError):
                self.connection.client().delete_collection(collection_name(name))

        self._patiently(delete)

    # --- writing -------------------------------------------------------------------------------------------------

    def upsert(self, name: str, batch: VectorBatch, *, rewrite: bool = False) -> WriteResult:
        """Write the vectors that are new or changed; those already there are compared by hash and skipped.

        A server that restarts meanwhile is waited for, see `ride_out`.

        Args:
            rewrite: write also those, and ask for none: where nothing is there, that is time for nothing.

        Raises:
            MixedModelsError: vectors of another length than the collection's.
        """
        return self._patiently(lambda: self._upsert(name, batch, rewrite)) if len(batch) else WriteResult()

    def _upsert(self, name: str, batch: VectorBatch, rewrite: bool) -> WriteResult:
        collection = self._existing(name)
        self._require_ensured(collection)
        self._check_dim(name, collection, batch.vectors)
        finite = np.isfinite(batch.vectors).all(axis=1)
        errors = tuple((batch.ids[i], "its vector has a NaN or an infinity") for i in np.flatnonzero(~finite))
        if errors:
            batch = batch.take(np.flatnonzero(finite).tolist())
        result = WriteResult(errors=errors)
        for part in batch.parts(self.connection.client().get_max_batch_size()):
            result += _write_changed(collection, part, rewrite)
        return result

    def remove_where(self, name: str, keep: Callable[[list[str]], np.ndarray]) -> int:
        """Remove the ids that `keep` (list of ids -> bool array) says False of; how many were removed."""
        return self._patiently(lambda: self._remove_where(name, keep))

    def _remove_where(self, name: str, keep: Callable[[list[str]], np.ndarray]) -> int:
        collection = self._lookup(name)
        if collection is None:
            return 0
        self._require_ensured(collection)
        at_once = self.connection.client().get_max_batch_size()
        offset = removed = 0
        while ids := collection.get(limit=_PAGE_IDS, offset=offset, include=[])["ids"]:
            stale = [one for one, stays in zip(ids, keep(ids), strict=True) if not stays]
            for start in range(0, len(stale), at_once):
                collection.delete(ids=stale[start : start + at_once])
            removed += len(stale)
            offset += len(ids) - len(stale)  # what follows has moved up
        return removed

    # --- reading -------------------------------------------------------------------------------------------------

    def iter_vectors(self, name: str, batch: int = 5000) -> Iterator[VectorBatch]:
        """All vectors of a collection, in pages of `batch` and in ChromaDB's order; not to be written meanwhile."""
        with self._reading(name) as collection:
            for page in _pages(collection, batch, "embeddings", "metadatas"):
                vectors = np.asarray(page["embeddings"], dtype=np.float32)
                yield VectorBatch(ids=page["ids"], vectors=vectors, metadata=list(map(_public, page["metadatas"])))

    def iter_ids(self, name: str) -> Iterator[list[str]]:
        """All ids of a collection, in pages; the store must not be written meanwhile."""
        with self._reading(name) as collection:
            for page in _pages(collection, _PAGE_IDS):
                yield page["ids"]

    def fetch(self, name: str, ids: list[str]) -> dict[str, tuple[np.ndarray, str | None]]:
        """id -> its vector (float32, some of them normalised by ChromaDB) and its row hash, of those that are there."""
        with self._reading(name) as collection:
            page = collection.get(ids=ids, include=["embeddings", "metadatas"])
            rows = zip(np.asarray(page["embeddings"], dtype=np.float32), map(_hash, page["metadatas"]), strict=True)
            return dict(zip(page["ids"], rows, strict=True))

    def query(
        self, name: str, vectors: np.ndarray, n_results: int = 20, where: Mapping[str, Any] | None = None
    ) -> list[list[Match]]:
        """The nearest vectors to each, nearest first (approximate: HNSW); see `Database.query_vector_field`."""
        queries = checked_queries(vectors)
        if n_results < 1:
            raise ConfigError(f"n_results is {n_results}: at least 1")
        matches: list[list[Match]] = []
        with self._reading(name) as collection:
            if queries.size == 0:
                return []
            self._check_dim(name, collection, queries)
            for start in range(0, len(queries), _QUERIES_AT_ONCE):
                answer = collection.query(
                    query_embeddings=queries[start : start + _QUERIES_AT_ONCE],
                    n_results=n_results,
                    where=dict(where) if where else None,
                    include=["metadatas", "distances"],
                )
                for row in zip(answer["ids"], answer["distances"], answer["metadatas"], strict=True):
                    matches.append(
                        [
                            # rounding makes the distance to itself -1e-7 or so
                            Match(id=one, distance=max(0.0, float(distance)), metadata=_public(values))
                            for one, distance, values in zip(*row, strict=True)
                        ]
                    )
        return matches

    # --- inside --------------------------------------------------------------------------------------------------

    def _patiently(self, step: Callable[[], T]) -> T:
        """Do a step that may be done twice; a server that restarts under it is waited for, see `ride_out`."""
        with chroma_errors(self._where):
            return ride_out(
                step, server=f"ChromaDB at {self._where}", lost=CONNECTION_LOST, answers=self.connection.answers
            )

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[Collection]:
        """A collection that is there; what goes wrong with it is a `StoreError`."""
        with chroma_errors(self._where):
            yield self._existing(name)

    def _lookup(self, name: str) -> Collection | None:
        try:
            # without embedding_function=None ChromaDB may load, and download, a default model
            return self.connection.client().get_collection(collection_name(name), embedding_function=None)
        except NotFoundError:
            return None

    def _existing(self, name: str) -> Collection:
        found = self._lookup(name)
        if found is None:
            raise StoreError(f"there are no vectors of {name} in {self._where}: `pixelbrain load OUT` writes them")
        return found

    def _require_ensured(self, collection: Collection) -> None:
        """To write, the name is not enough: the vectors of another OUT may be in a new collection of that name."""
        if self._ensured.get(collection.name, collection.id) != collection.id:
            raise StoreError(
                f"the collection {collection.name} of {self._where} was replaced meanwhile, by another load with "
                "--rebuild perhaps: give each OUT a database of its own, --chroma http://HOST:PORT/NAME"
            )

    def _check_dim(self, name: str, collection: Collection, vectors: np.ndarray) -> None:
        theirs = _model_of(collection)
        if vectors.ndim != 2 or vectors.shape[1] != theirs.dim:
            raise MixedModelsError(
                f"vectors of shape {vectors.shape} do not fit the collection {name}, which is of {_describe(theirs)}: "
                "compute them with that model"
            )


def _write_changed(collection: Collection, batch: VectorBatch, rewrite: bool) -> WriteResult:
    hashes = batch.row_hashes()
    known: dict[str, str | None] = {}
    if not rewrite:
        found = collection.get(ids=batch.ids, include=["metadatas"])
        known = dict(zip(found["ids"], map(_hash, found["metadatas"]), strict=True))
    changed = [i for i, one in enumerate(hashes) if known.get(batch.ids[i]) != one]
    if changed:
        fresh = batch.take(changed)
        metadata = [{**values, "row_hash": hashes[i]} for i, values in zip(changed, fresh.metadata, strict=True)]
        collection.upsert(ids=fresh.ids, embeddings=fresh.vectors, metadatas=metadata)
    return WriteResult(written=len(changed), unchanged=len(batch) - len(changed))


def _pages(collection: Collection, limit: int, *include: str) -> Iterator[Any]:
    for offset in itertools.count(0, limit):
        page = collection.get(limit=limit, offset=offset, include=list(include))
        if not page["ids"]:
            return
        yield page


def _hash(values: Mapping[str, Any] | None) -> str | None:
    return (values or {}).get("row_hash")


def _public(values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (values or {}).items() if key != "row_hash"}


def _model_of(collection: Collection) -> ModelInfo:
    metadata = collection.metadata or {}
    return ModelInfo(
        model=str(metadata.get("model", "unknown")),
        weights_sha256=str(metadata.get("weights_sha256", "")),
        dim=int(metadata.get("dim", 0)),
    )


def _describe(model: ModelInfo) -> str:
    return f"{model.model} ({model.dim} numbers, weights {model.weights_sha256[:12] or 'unknown'})"

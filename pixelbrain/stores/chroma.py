"""ChromaDB: two vector collections in cosine space, each of one model, written by one process at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from chromadb.api.models.Collection import Collection
from chromadb.errors import NotFoundError

from pixelbrain.errors import ConfigError, MixedModelsError, StoreError
from pixelbrain.schema import ModelInfo
from pixelbrain.stores.address import is_url, mask_uri
from pixelbrain.stores.chroma_client import chroma_errors, connect, open_folder
from pixelbrain.stores.lock import FolderLock
from pixelbrain.stores.mongo import WriteResult
from pixelbrain.stores.rows import COLLECTION_COLUMNS, Match, VectorBatch

__all__ = ["VectorStore"]

_SPACE = "cosine"
_PAGE_IDS = 50_000  # ids without vectors: FACTS has 275 k/s
_QUERIES_AT_ONCE = 1_000


class VectorStore:
    """The collections `faces` and `images`.

    Args:
        location: a folder, for ChromaDB inside this process, or the `http://HOST:PORT` of a server.

    Raises:
        StoreLockedError: another process holds the folder (two would corrupt it).
        StoreError: the folder cannot be used, or the server does not answer within 5 s.
        ConfigError: an address that is none.
    """

    def __init__(self, location: str | Path) -> None:
        self.remote = is_url(location)
        self._lock: FolderLock | None = None
        if self.remote:
            self.where = mask_uri(str(location))
            self._client = connect(str(location))
            return
        folder = Path(location).expanduser().resolve()
        self.where = str(folder)
        self._lock = FolderLock(folder, "the embedded ChromaDB")
        self._lock.acquire()
        try:
            self._client = open_folder(folder)
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        """Close the client and let go of the folder; twice is once."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
        if self._lock is not None:
            self._lock.release()

    # --- collections ---------------------------------------------------------------------------------------------

    def ensure(self, name: str, model: ModelInfo, *, owner: str = "") -> None:
        """Make the collection, or check that it is this model's and in cosine space.

        Args:
            name: `faces` or `images`.
            model: what computed the vectors.
            owner: which OUT they are from; two of them in one collection would remove each other's.

        Raises:
            MixedModelsError: it holds another model's vectors.
            StoreError: it has another space, or belongs to another OUT.
        """
        metadata = {**model.as_dict(), "owner": owner}
        with chroma_errors(self.where):
            # get_or_create keeps an existing space and metadata silently, hence the checks
            found = self._open().get_or_create_collection(
                _known(name), metadata=metadata, configuration={"hnsw": {"space": _SPACE}}, embedding_function=None
            )
        theirs = _model_of(found)
        if theirs != model and self.count(name) == 0:
            self.drop(name)
            self.ensure(name, model, owner=owner)
            return
        _check_space(found)
        if theirs != model:
            raise MixedModelsError(
                f"the collection {name} holds vectors of {_describe(theirs)}, and these are of {_describe(model)}: "
                "`pixelbrain load OUT --rebuild` replaces them"
            )
        if owner and (found.metadata or {}).get("owner", owner) != owner:
            raise StoreError(
                f"the collection {name} of {self.where} holds the vectors of {found.metadata['owner']}: use another "
                "ChromaDB, or `pixelbrain load OUT --rebuild` to replace them"
            )

    def model(self, name: str) -> ModelInfo | None:
        """What computed the vectors of a collection; None when there is no such collection."""
        found = self._find(name)
        return _model_of(found) if found is not None else None

    def count(self, name: str) -> int:
        """Vectors in a collection; 0 when there is no such collection."""
        with chroma_errors(self.where):
            found = self._find(name)
            return found.count() if found is not None else 0

    def drop(self, name: str) -> None:
        """Delete a collection, if it is there."""
        with chroma_errors(self.where), contextlib.suppress(NotFoundError):
            self._open().delete_collection(_known(name))

    # --- writing -------------------------------------------------------------------------------------------------

    def upsert(self, name: str, batch: VectorBatch) -> WriteResult:
        """Write the vectors that are new or changed; those already there are compared by hash and skipped.

        Raises:
            MixedModelsError: vectors of another length than the collection's.
        """
        if not len(batch):
            return WriteResult()
        collection = self._require(name)
        self._check_dim(name, collection, batch.vectors)
        finite = np.isfinite(batch.vectors).all(axis=1)
        errors = tuple((batch.ids[i], "its vector has a NaN or an infinity") for i in np.flatnonzero(~finite))
        if errors:
            batch = batch.take(np.flatnonzero(finite).tolist())
        result = WriteResult(errors=errors)
        with chroma_errors(self.where):
            size = self._open().get_max_batch_size()
            for start in range(0, len(batch), size):
                part = batch.take(range(start, min(start + size, len(batch))))
                hashes = part.row_hashes()
                known = _hashes(collection, part.ids)
                changed = [i for i, one in enumerate(hashes) if known.get(part.ids[i]) != one]
                if changed:
                    fresh = part.take(changed)
                    metadata = [
                        {**values, "row_hash": hashes[i]} for i, values in zip(changed, fresh.metadata, strict=True)
                    ]
                    collection.upsert(ids=fresh.ids, embeddings=fresh.vectors, metadatas=metadata)
                result += WriteResult(written=len(changed), unchanged=len(part) - len(changed))
        return result

    def remove_where(self, name: str, keep: Any) -> int:
        """Remove the ids that `keep` (a callable: list of ids -> bool array) says False of; how many were removed."""
        collection = self._find(name)
        if collection is None:
            return 0
        offset = removed = 0
        with chroma_errors(self.where):
            size = self._open().get_max_batch_size()
            while ids := collection.get(limit=_PAGE_IDS, offset=offset, include=[])["ids"]:
                kept = keep(ids)
                stale = [one for one, stays in zip(ids, kept, strict=True) if not stays]
                for start in range(0, len(stale), size):
                    collection.delete(ids=stale[start : start + size])
                removed += len(stale)
                offset += len(ids) - len(stale)  # what follows has moved up
        return removed

    # --- reading -------------------------------------------------------------------------------------------------

    def iter_vectors(self, name: str, batch: int = 5000) -> Iterator[VectorBatch]:
        """All vectors of a collection, in pages of `batch`; the store must not be written meanwhile."""
        collection = self._require(name)
        offset = 0
        while True:
            with chroma_errors(self.where):
                page = collection.get(limit=batch, offset=offset, include=["embeddings", "metadatas"])
            if not page["ids"]:
                return
            offset += len(page["ids"])
            yield VectorBatch(
                ids=page["ids"],
                vectors=np.asarray(page["embeddings"], dtype=np.float32),
                metadata=[_public(values) for values in page["metadatas"]],
            )

    def query(
        self, name: str, vectors: np.ndarray, n_results: int = 20, where: Mapping[str, Any] | None = None
    ) -> list[list[Match]]:
        """The nearest vectors by cosine distance, nearest first (approximate: HNSW).

        Args:
            name: `faces` or `images`.
            vectors: (m, dim), or one vector (dim,); need not be normalised.
            n_results: how many an own vector.
            where: a ChromaDB filter on the metadata, such as `{"score": {"$gt": 0.99}}`.

        Returns:
            m lists of at most `n_results` matches.

        Raises:
            MixedModelsError: vectors of another length than the collection's.
            StoreError: there is no such collection, or a filter that ChromaDB does not take.
        """
        queries = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
        if n_results < 1:
            raise ConfigError(f"n_results is {n_results}: at least 1")
        collection = self._require(name)
        if queries.size == 0:
            return []
        self._check_dim(name, collection, queries)
        matches: list[list[Match]] = []
        with chroma_errors(self.where):
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
                            Match(id=id, distance=max(0.0, float(distance)), metadata=_public(values))
                            for id, distance, values in zip(*row, strict=True)
                        ]
                    )
        return matches

    # --- inside --------------------------------------------------------------------------------------------------

    def _open(self) -> Any:
        if self._client is None:
            raise StoreError("this vector store is closed: open the database again")
        return self._client

    def _find(self, name: str) -> Collection | None:
        with chroma_errors(self.where):
            try:
                # without embedding_function=None ChromaDB may load, and download, a default model
                return self._open().get_collection(_known(name), embedding_function=None)
            except NotFoundError:
                return None

    def _require(self, name: str) -> Collection:
        found = self._find(name)
        if found is None:
            raise StoreError(f"there are no vectors of {name} in {self.where}: `pixelbrain load OUT` writes them")
        return found

    def _check_dim(self, name: str, collection: Collection, vectors: np.ndarray) -> None:
        theirs = _model_of(collection)
        if vectors.ndim != 2 or vectors.shape[1] != theirs.dim:
            raise MixedModelsError(
                f"vectors of shape {vectors.shape} do not fit the collection {name}, which is of {_describe(theirs)}: "
                "compute them with that model"
            )


def _known(name: str) -> str:
    if name not in COLLECTION_COLUMNS:
        raise ConfigError(f"{name!r} is not a vector collection: {' or '.join(sorted(COLLECTION_COLUMNS))}")
    return name


def _check_space(collection: Collection) -> None:
    space = ((collection.configuration or {}).get("hnsw") or {}).get("space")
    if space != _SPACE:
        raise StoreError(
            f"the collection {collection.name} measures {space!r} and not {_SPACE}: `pixelbrain load OUT --rebuild` "
            "replaces it"
        )


def _model_of(collection: Collection) -> ModelInfo:
    metadata = collection.metadata or {}
    return ModelInfo(
        model=str(metadata.get("model", "unknown")),
        weights_sha256=str(metadata.get("weights_sha256", "")),
        dim=int(metadata.get("dim", 0)),
    )


def _describe(model: ModelInfo) -> str:
    return f"{model.model} ({model.dim} numbers, weights {model.weights_sha256[:12] or 'unknown'})"


def _hashes(collection: Collection, ids: Sequence[str]) -> dict[str, Any]:
    found = collection.get(ids=list(ids), include=["metadatas"])
    return {one: (values or {}).get("row_hash") for one, values in zip(found["ids"], found["metadatas"], strict=True)}


def _public(values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (values or {}).items() if key != "row_hash"}

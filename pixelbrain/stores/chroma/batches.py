"""Vectors into one ChromaDB collection and out of it again, in batches that it takes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from chromadb.api.models.Collection import Collection

from pixelbrain.stores.results import WriteResult
from pixelbrain.stores.vectors import Match, VectorBatch

_PAGE_IDS = 50_000  # ids without vectors: FACTS has 275 k/s
_QUERIES_AT_ONCE = 1_000


def write_changed(collection: Collection, batch: VectorBatch) -> WriteResult:
    """Upsert the vectors that are new or changed; those already there are compared by hash and skipped."""
    hashes = batch.row_hashes()
    found = collection.get(ids=batch.ids, include=["metadatas"])
    known = {one: _hash(values) for one, values in zip(found["ids"], found["metadatas"], strict=True)}
    changed = [i for i, one in enumerate(hashes) if known.get(batch.ids[i]) != one]
    if changed:
        fresh = batch.take(changed)
        metadata = [{**values, "row_hash": hashes[i]} for i, values in zip(changed, fresh.metadata, strict=True)]
        collection.upsert(ids=fresh.ids, embeddings=fresh.vectors, metadatas=metadata)
    return WriteResult(written=len(changed), unchanged=len(batch) - len(changed))


def remove_where(collection: Collection, keep: Callable[[list[str]], np.ndarray], at_once: int) -> int:
    """Remove the ids that `keep` says False of, `at_once` at a time; how many were removed."""
    offset = removed = 0
    while ids := collection.get(limit=_PAGE_IDS, offset=offset, include=[])["ids"]:
        stale = [one for one, stays in zip(ids, keep(ids), strict=True) if not stays]
        for start in range(0, len(stale), at_once):
            collection.delete(ids=stale[start : start + at_once])
        removed += len(stale)
        offset += len(ids) - len(stale)  # what follows has moved up
    return removed


def iter_ids(collection: Collection) -> Iterator[list[str]]:
    """All ids, in pages; the collection must not be written meanwhile."""
    offset = 0
    while ids := collection.get(limit=_PAGE_IDS, offset=offset, include=[])["ids"]:
        offset += len(ids)
        yield ids


def iter_vectors(collection: Collection, limit: int) -> Iterator[VectorBatch]:
    """All vectors, in pages and in ChromaDB's own order; the collection must not be written meanwhile."""
    for offset in itertools.count(0, limit):
        page = collection.get(limit=limit, offset=offset, include=["embeddings", "metadatas"])
        if not page["ids"]:
            return
        yield VectorBatch(
            ids=page["ids"],
            vectors=np.asarray(page["embeddings"], dtype=np.float32),
            metadata=[_public(values) for values in page["metadatas"]],
        )


def fetch(collection: Collection, ids: Sequence[str]) -> dict[str, tuple[np.ndarray, str | None]]:
    """id -> its vector (float32, some of them normalised by ChromaDB) and its row hash, of those that are there."""
    page = collection.get(ids=list(ids), include=["embeddings", "metadatas"])
    vectors = np.asarray(page["embeddings"], dtype=np.float32)
    return {
        one: (vector, _hash(values))
        for one, vector, values in zip(page["ids"], vectors, page["metadatas"], strict=True)
    }


def nearest(
    collection: Collection, vectors: np.ndarray, n_results: int, where: Mapping[str, Any] | None
) -> list[list[Match]]:
    """The `n_results` nearest of each vector (m, dim), nearest first."""
    matches: list[list[Match]] = []
    for start in range(0, len(vectors), _QUERIES_AT_ONCE):
        answer = collection.query(
            query_embeddings=vectors[start : start + _QUERIES_AT_ONCE],
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


def _hash(values: Mapping[str, Any] | None) -> str | None:
    return (values or {}).get("row_hash")


def _public(values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (values or {}).items() if key != "row_hash"}

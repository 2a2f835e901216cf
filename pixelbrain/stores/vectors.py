"""Vectors of images and faces, out of the landed rows that hold them, with the metadata that ChromaDB keeps."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import LandingError, MixedModelsError
from pixelbrain.landing.landing import Landing
from pixelbrain.schema import ModelInfo

#: Which struct column fills each vector collection.
COLLECTION_COLUMNS = {"images": "resnet", "faces": "facenet"}


@dataclass(frozen=True, kw_only=True, eq=False)
class VectorBatch:
    """Vectors with their ids, row by row."""

    ids: list[str]
    vectors: np.ndarray  # float32 (n, dim)
    metadata: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, chosen: Sequence[int]) -> VectorBatch:
        """The rows at these positions."""
        return VectorBatch(
            ids=[self.ids[i] for i in chosen],
            vectors=self.vectors[list(chosen)],
            metadata=[self.metadata[i] for i in chosen],
        )

    def parts(self, size: int) -> Iterator[VectorBatch]:
        """The rows, `size` at a time."""
        return (self.take(range(start, min(start + size, len(self)))) for start in range(0, len(self), size))

    def row_hashes(self) -> list[str]:
        """16 hex digits a row that change with its vector, its image's version or any other of its metadata."""
        rows = (
            vector.tobytes() + repr(sorted(metadata.items())).encode()
            for vector, metadata in zip(self.vectors, self.metadata, strict=True)
        )
        return [hashlib.blake2b(row, digest_size=8).hexdigest() for row in rows]


@dataclass(frozen=True, kw_only=True)
class Match:
    """One neighbour of a query vector."""

    id: str
    distance: float  # cosine distance, 0 to 2
    metadata: dict[str, Any]


def vector_models(landing: Landing) -> dict[str, ModelInfo]:
    """The model of each vector collection whose column landed."""
    landed = landing.states()
    models = {}
    for name, column in COLLECTION_COLUMNS.items():
        if column in landed:
            model = landed[column].model
            if model is None or model.dim < 1:
                raise LandingError(
                    f"the column {column} of {landing.storage.uri} does not say which model computed its vectors, or "
                    "how long they are: its module's model_info() must"
                )
            models[name] = model
    return models


def landed_vectors(collection: str, table: pa.Table) -> VectorBatch | None:
    """The rows of `collection` that `table` holds; None when it lacks their column."""
    column = COLLECTION_COLUMNS[collection]
    if column not in table.column_names or not pa.types.is_struct(table[column].type):
        return None
    return _image_vectors(table) if collection == "images" else _face_vectors(table)


def nearest_landed(landing: Landing, collection: str, queries: np.ndarray, k: int) -> list[list[Match]]:
    """The `k` vectors that landed nearest to each query, nearest first: all are read and compared.

    Args:
        collection: `faces` or `images`; its column has landed.
        queries: float32 (m, dim); they need not be normalised.

    Raises:
        MixedModelsError: queries of another length.
        LandingError: OUT cannot be read.
    """
    best: list[list[tuple[float, str, dict[str, Any]]]] = [[] for _ in queries]
    for table in landing.iter_images([COLLECTION_COLUMNS[collection]]) if len(queries) else ():
        batch = landed_vectors(collection, table)
        if batch is not None:  # ChromaDB has none with a NaN either
            batch = batch.take(np.flatnonzero(np.isfinite(batch.vectors).all(axis=1)).tolist())
        if batch is None or not len(batch):
            continue
        if batch.vectors.shape[1] != queries.shape[1]:
            raise MixedModelsError(
                f"vectors of shape {queries.shape} do not fit the {collection} of {landing.storage.uri}, of "
                f"{batch.vectors.shape[1]} numbers each: compute them with the model that did these"
            )
        # float32's rounding makes the distance to itself -1e-7 or so
        distances = np.maximum(0, 1 - _unit(queries) @ _unit(batch.vectors).T)
        for query, row in enumerate(distances):
            near = [(float(row[i]), batch.ids[i], batch.metadata[i]) for i in np.argsort(row)[:k]]
            best[query] = heapq.nsmallest(k, best[query] + near, key=lambda one: one[0])
    return [[Match(id=one, distance=distance, metadata=values) for distance, one, values in row] for row in best]


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1; of zeros, which have no direction, zeros."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def _image_vectors(table: pa.Table) -> VectorBatch:
    """One vector an image that has one; metadata: version, label."""
    struct = table[COLLECTION_COLUMNS["images"]].combine_chunks()
    embedding, label = (pc.struct_field(struct, name) for name in ("embedding", "label"))
    metadata = pa.table({"version": table["version"], "label": label})
    return _batch(table["image_id"], embedding, metadata)


def _face_vectors(table: pa.Table) -> VectorBatch:
    """One vector a face that has one; metadata: image_id, version, score, width_px (of its box), sharpness."""
    lists = pc.struct_field(table[COLLECTION_COLUMNS["faces"]].combine_chunks(), "faces")
    images = table.select(["image_id", "version"]).take(pc.list_parent_indices(lists))
    faces = pc.list_flatten(lists)
    face = {name: pc.struct_field(faces, name) for name in ("face_id", "embedding", "x1", "x2", "score", "sharpness")}
    metadata = {
        "image_id": images["image_id"],
        "version": images["version"],
        "score": face["score"],
        "width_px": pc.subtract(face["x2"], face["x1"]),
        "sharpness": face["sharpness"],
    }
    return _batch(face["face_id"], face["embedding"], pa.table(metadata))


def _batch(ids: pa.Array | pa.ChunkedArray, embedding: pa.Array, metadata: pa.Table) -> VectorBatch:
    """The rows that have an embedding, all of one length, and of their metadata what ChromaDB can keep."""
    there = pc.is_valid(embedding)
    ids, embedding = ids.filter(there).to_pylist(), embedding.filter(there)
    flat = embedding.flatten().to_numpy(zero_copy_only=False)
    return VectorBatch(
        ids=ids,
        vectors=np.ascontiguousarray(flat, dtype=np.float32).reshape(len(ids), len(flat) // max(len(ids), 1)),
        metadata=[
            {name: v for name, v in row.items() if v is not None and (isinstance(v, str) or math.isfinite(v))}
            for row in metadata.filter(there).to_pylist()
        ],
    )

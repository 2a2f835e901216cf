"""Vectors of images, faces and whatever else a module finds, out of the landed rows, with ChromaDB's metadata.

What is a vector says the type alone, see `schema.vector_fields`; each has a collection, called as its module.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import ConfigError, LandingError, MixedModelsError
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.schema import ModelInfo

#: The modules whose vectors go by another name, from when theirs were the only ones.
COLLECTION_COLUMNS = {"images": "resnet", "faces": "facenet"}
_COLLECTION_OF = {module: name for name, module in COLLECTION_COLUMNS.items()}


@dataclass(frozen=True, kw_only=True)
class VectorField:
    """A vector of a module, one an image or one each of a list of things in it."""

    module: str
    path: str  # in the module's struct: "embedding", "faces.embedding"
    model: ModelInfo

    @property
    def each(self) -> str | None:
        """The list whose things have one each, such as "faces"; None: the image has it."""
        return self.path.rpartition(".")[0] or None


#: Where the vectors are of a table of rows of which nobody said more.
_PATHS = {"images": "embedding", "faces": "faces.embedding"}


@dataclass(frozen=True, kw_only=True, eq=False)
class VectorBatch:
    """Vectors with their ids, row by row."""

    ids: list[str]
    vectors: np.ndarray  # float32 (n, dim)
    metadata: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, chosen: Sequence[int]) -> VectorBatch:
        """The rows at these positions; itself, and no copy, for all of them in their order."""
        if list(chosen) == list(range(len(self))):
            return self
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


def vector_fields(landing: Landing) -> dict[str, VectorField]:
    """What landed that can be searched, by its collection: the module's name, with the field's if it has several.

    Raises:
        MixedModelsError: a column holds vectors of two models.
    """
    found: dict[str, VectorField] = {}
    for module, state in landing.states().items():
        found |= fields_of(module, state)
    return found


def fields_of(module: str, state: ModuleState) -> dict[str, VectorField]:
    """The vectors of one module, as above."""
    model = state.model or ModelInfo(model=module, weights_sha256=state.settings_hash)
    name, vectors = _COLLECTION_OF.get(module, module), state.vectors or {}
    return {
        name if len(vectors) == 1 or _PATHS.get(name) == path else f"{module}.{path}": VectorField(
            module=module, path=path, model=replace(model, dim=dim)
        )
        for path, dim in vectors.items()
    }


def vector_models(landing: Landing) -> dict[str, ModelInfo]:
    """The model of each vector collection whose column landed; of a module that names none, the module is it."""
    return {name: field.model for name, field in vector_fields(landing).items()}


def check_collection(landing: Landing, name: str) -> None:
    """Raise `ConfigError`, with the names that there are, for one that is no vector collection of this OUT."""
    if name not in COLLECTION_COLUMNS and name not in (found := vector_fields(landing)):
        names = ", ".join(sorted({*COLLECTION_COLUMNS, *found}))
        raise ConfigError(f"{name!r} is not a vector collection: one of {names}")


def landed_field(landing: Landing, name: str) -> VectorField:
    """What a collection is of.

    Raises:
        ConfigError: none is called so.
        LandingError: it is one of a module that comes along, and none of its vectors has landed.
    """
    fields = vector_fields(landing)
    if name not in fields and (column := (COLLECTION_COLUMNS | {"clip": "clip"}).get(name)):
        others = f"; there are those of {', '.join(sorted(fields))}: --by" if fields else ""
        way = f"run `pixelbrain extract` with --module {column}{others}"
        raise LandingError(f"{landing.storage.uri} has no {column} vectors: {way}")
    check_collection(landing, name)
    return fields[name]


def checked_queries(vectors: np.ndarray) -> np.ndarray:
    """float32 (m, dim): what is searched by. Raises `ConfigError`: there is a NaN or an infinity in it."""
    queries = np.atleast_2d(np.asarray(vectors, np.float32))
    if not np.isfinite(queries).all():
        raise ConfigError("a vector to search by has a NaN or an infinity, and nothing is near it")
    return queries


def landed_vectors(collection: str | VectorField, table: pa.Table) -> VectorBatch | None:
    """One vector an image, or a thing in it, that has one; None when `table` lacks the module's column.

    Metadata: of an image `version` and `label`; of a thing in it `image_id`, `version`, `score`, `sharpness` and
    `width_px` (of its box); each where there is one. The id is the image's, or the thing's `face_id`, or made like it.
    """
    if isinstance(collection, VectorField):
        module, path = collection.module, collection.path
    else:
        module, path = COLLECTION_COLUMNS[collection], _PATHS[collection]
    if module not in table.column_names or not pa.types.is_struct(table[module].type):
        return None
    struct, (each, _dot, name) = table[module].combine_chunks(), path.rpartition(".")
    ids, metadata = table["image_id"], {"version": table["version"]}
    if each:
        lists = pc.struct_field(struct, each)
        struct, parents = pc.list_flatten(lists), pc.list_parent_indices(lists)
        metadata = {key: table[key].take(parents) for key in ("image_id", "version")}
        ids = metadata["image_id"]
    fields = {field.name: pc.struct_field(struct, field.name) for field in struct.type}
    if name not in fields:  # rows of before it was added
        return None
    if each:
        ids = fields.get("face_id", pc.binary_join_element_wise(ids, _place_in(parents), "#"))
    metadata |= {key: fields[key] for key in (("score", "sharpness") if each else ("label",)) if key in fields}
    if each and {"x1", "x2"} <= fields.keys():
        metadata["width_px"] = pc.subtract(fields["x2"], fields["x1"])
    return _batch(ids, fields[name], pa.table(metadata))


def _place_in(parents: pa.Array) -> pa.Array:
    """Of each thing, in its list, from 0, as text."""
    of = np.asarray(parents)
    return pa.array(np.arange(len(of)) - np.searchsorted(of, of), pa.int64()).cast(pa.string())


def nearest_landed(
    landing: Landing, collection: str, queries: np.ndarray, k: int, images: pa.ChunkedArray | None = None
) -> list[list[Match]]:
    """The `k` vectors that landed nearest to each query, nearest first: all are read and compared.

    Args:
        collection: one of `vector_fields`.
        queries: float32 (m, dim); they need not be normalised.
        images: the ids of those whose vectors are looked at; all by default.

    Raises:
        ConfigError: a NaN in a query.
        MixedModelsError: queries of another length.
        LandingError: OUT cannot be read.
    """
    queries = checked_queries(queries)
    best: list[list[tuple[float, str, dict[str, Any]]]] = [[] for _ in queries]
    field = vector_fields(landing)[collection]
    places = None
    if images is not None:
        places = np.flatnonzero(np.asarray(pc.is_in(landing.index.image_id, images.combine_chunks())))
    for table in landing.iter_images([field.module], images=places) if len(queries) else ():
        batch = landed_vectors(field, table)
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

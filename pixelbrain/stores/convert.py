"""Landed rows, as MongoDB and ChromaDB want them: documents without vectors, and vectors with a little metadata."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema

__all__ = [
    "COLLECTION_COLUMNS",
    "Match",
    "VectorBatch",
    "column_order",
    "documents",
    "face_vectors",
    "image_vectors",
    "vectors",
]

#: Which struct column fills each vector collection.
COLLECTION_COLUMNS = {"images": "resnet", "faces": "facenet"}

_BASE_NAMES = tuple(field.name for field in schema.BASE_FIELDS)


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

    def row_hashes(self) -> list[str]:
        """16 hex digits a row that change with its vector, its image's version or any other of its metadata."""
        hashes = []
        for vector, metadata in zip(self.vectors, self.metadata, strict=True):
            digest = hashlib.blake2b(vector.tobytes(), digest_size=8)
            digest.update(repr(sorted(metadata.items())).encode())
            hashes.append(digest.hexdigest())
        return hashes


@dataclass(frozen=True, kw_only=True)
class Match:
    """One neighbour of a query vector."""

    id: str
    distance: float  # cosine distance, 0 to 2
    metadata: dict[str, Any]


def documents(table: pa.Table) -> Iterator[dict[str, Any]]:
    """One document a row: `_id` and the base fields, and one sub-document a module, embeddings left out.

    What is null in a base field or a whole module is None in the document (an upsert then removes the field); inside
    a module, null fields are left out.
    """
    names = column_order(table)[len(_BASE_NAMES) :]
    lean = pa.table({name: _without_embeddings(table[name].combine_chunks()) for name in names}) if names else None
    base_rows = table.select(_BASE_NAMES).to_pylist()
    module_rows = lean.to_pylist() if lean is not None else [{}] * len(base_rows)
    for base, modules in zip(base_rows, module_rows, strict=True):
        yield {"_id": base["image_id"], **base, **{name: _without_nulls(value) for name, value in modules.items()}}


def column_order(table: pa.Table) -> list[str]:
    """The columns in the order in which `documents` has them: the base fields, then the others."""
    return [*_BASE_NAMES, *(name for name in table.column_names if name not in _BASE_NAMES)]


def vectors(collection: str, table: pa.Table) -> VectorBatch | None:
    """The rows of `collection` that `table` holds; None when it lacks their column."""
    column = COLLECTION_COLUMNS[collection]
    if column not in table.column_names or not pa.types.is_struct(table[column].type):
        return None
    return image_vectors(table) if collection == "images" else face_vectors(table)


def image_vectors(table: pa.Table) -> VectorBatch:
    """One vector an image that has one; metadata: version, label."""
    struct = table[COLLECTION_COLUMNS["images"]].combine_chunks()
    embedding = pc.struct_field(struct, "embedding")
    there = pc.is_valid(embedding)
    chosen = table.select(["image_id", "version"]).filter(there)
    labels = pc.struct_field(struct, "label").filter(there)
    metadata = [
        _metadata({"version": version, "label": label})
        for version, label in zip(chosen["version"].to_pylist(), labels.to_pylist(), strict=True)
    ]
    return VectorBatch(ids=chosen["image_id"].to_pylist(), vectors=_matrix(embedding.filter(there)), metadata=metadata)


def face_vectors(table: pa.Table) -> VectorBatch:
    """One vector a face that has one; metadata: image_id, version, score, width_px (of its box), sharpness."""
    lists = pc.struct_field(table[COLLECTION_COLUMNS["faces"]].combine_chunks(), "faces")
    image_of = pc.list_parent_indices(lists)
    faces = pc.list_flatten(lists)
    embedding = pc.struct_field(faces, "embedding")
    there = pc.is_valid(embedding)
    images = table.select(["image_id", "version"]).take(image_of.filter(there))
    columns = {name: pc.struct_field(faces, name).filter(there) for name in ("face_id", "score", "sharpness")}
    width = pc.subtract(pc.struct_field(faces, "x2"), pc.struct_field(faces, "x1")).filter(there)
    metadata = [
        _metadata(
            {"image_id": image_id, "version": version, "score": score, "width_px": width_px, "sharpness": sharpness}
        )
        for image_id, version, score, width_px, sharpness in zip(
            images["image_id"].to_pylist(),
            images["version"].to_pylist(),
            columns["score"].to_pylist(),
            width.to_pylist(),
            columns["sharpness"].to_pylist(),
            strict=True,
        )
    ]
    return VectorBatch(ids=columns["face_id"].to_pylist(), vectors=_matrix(embedding.filter(there)), metadata=metadata)


def _matrix(embedding: pa.Array) -> np.ndarray:
    """float32 (n, dim) of a fixed-size list array without nulls."""
    flat = embedding.flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(flat, dtype=np.float32).reshape(len(embedding), embedding.type.list_size)


def _without_embeddings(array: pa.Array) -> pa.Array:
    """The same structs, and structs in lists, without the fields named `embedding`."""
    kind = array.type
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        fields = [field for field in fields if field.name != "embedding"]
        children = [_without_embeddings(pc.struct_field(array, field.name)) for field in fields]
        if not children:
            return pa.nulls(len(array))
        return pa.StructArray.from_arrays(children, names=[field.name for field in fields], mask=array.is_null())
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        values = _without_embeddings(pc.list_flatten(array))
        return pa.ListArray.from_arrays(pa.array(offsets), values, mask=array.is_null())
    return array


def _without_nulls(value: Any) -> Any:
    """Without the fields of dicts that are None; lists keep their places."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _metadata(values: dict[str, Any]) -> dict[str, Any]:
    """What ChromaDB can keep: no None, no NaN."""
    return {
        key: value
        for key, value in values.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }

"""Search: the nearest faces, and whose they are, images, or other vectors of a module, to those of a query photo."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import ConfigError, MixedModelsError
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.schema import ModelInfo
from pixelbrain.stores.chroma.fields import Collection
from pixelbrain.stores.database import Database
from pixelbrain.stores.load_record import StoreCounts
from pixelbrain.stores.vectors import COLLECTION_COLUMNS, check_collection, nearest_landed, vector_fields, vector_models

logger = logging.getLogger(__name__)

#: So many vectors are read and compared faster than ChromaDB is imported, examined and opened: 2 s of a processor.
_FEW = 20_000


@dataclass(frozen=True, kw_only=True)
class FaceMatch:
    """A face of the library that is near a face of the query photo."""

    face_id: str
    image_id: str
    distance: float  # cosine distance, 0 to 2
    identity_id: str | None  # None: unassigned, or `pixelbrain identify` has not run
    score: float | None  # detection probability, 0 to 1


@dataclass(frozen=True, kw_only=True)
class ImageMatch:
    """An image of the library that looks like the query photo."""

    image_id: str
    distance: float  # cosine distance, 0 to 2
    label: str | None  # the likeliest, however likely
    label_score: float | None = None  # its probability, 0 to 1


@dataclass(frozen=True, kw_only=True)
class VectorMatch:
    """What is near a vector that a module of the user's own made of the query photo."""

    id: str  # image_id, or the id of one of several things in it
    image_id: str
    distance: float  # cosine distance, 0 to 2


def search(
    database: Database,
    vectors: np.ndarray,
    *,
    by: Collection = "faces",
    model: ModelInfo,
    k: int = 20,
    images: pa.ChunkedArray | None = None,
) -> list[list[FaceMatch]] | list[list[ImageMatch]] | list[list[VectorMatch]]:
    """The nearest faces, images or other vectors to each query vector, after a check that one model computed both.

    Of an OUT on disk with few vectors, which embedded stores hold as they landed, Parquet itself is asked: nothing is
    started or opened.

    Args:
        database: after a load. Only its vectors are read: MongoDB is not started.
        vectors: (m, dim) float32, m may be 0: of the query photo's faces in their order (`by="faces"`), or of whole
            photos. They need not be normalised.
        by: which collection is searched: `faces`, `images`, or what a module's vectors are called.
        model: what computed `vectors`.
        k: matches a vector.
        images: the ids of those that matches are of, all by default: Parquet is asked, which has them as they landed.

    Returns:
        m lists, nearest first.

    Raises:
        ConfigError: there are no vectors that are called like `by`, or k is below 1.
        MixedModelsError: the collection's vectors are another model's, or of another length.
        StoreError: nothing was loaded yet.
    """
    check_collection(database.landing, by)
    if k < 1:
        raise ConfigError(f"k is {k}: at least 1")
    few = images is not None or _in_step_and_few(database, by)
    if not few and (why := database.behind(by)) is not None:
        logger.warning("%s: `pixelbrain load %s` brings it in step", why, database.landing.storage.uri)
    theirs = vector_models(database.landing)[by] if few else database.vector_model(by)
    if theirs != model:
        raise MixedModelsError(
            f"the {by} of {database.landing.storage.uri} were embedded with {theirs.model} (weights "
            f"{theirs.weights_sha256[:12]}), the query with {model.model} ({model.weights_sha256[:12]}): use the same"
        )
    if few:
        found = nearest_landed(database.landing, by, np.atleast_2d(np.asarray(vectors, np.float32)), k, images)
    else:
        found = database.query_vector_field(by, vectors, n_results=k)
    if by == "images":
        scores = _label_scores(database.landing, [match.id for row in found for match in row])
        return [
            [
                ImageMatch(
                    image_id=one.id,
                    distance=one.distance,
                    label=one.metadata.get("label"),
                    label_score=scores.get(one.id),
                )
                for one in row
            ]
            for row in found
        ]
    if by != "faces":
        return [
            [VectorMatch(id=m.id, image_id=m.metadata.get("image_id", m.id), distance=m.distance) for m in row]
            for row in found
        ]
    identities = _identities(IDENTITIES.read(database.landing).rows, [match.id for row in found for match in row])
    return [
        [
            FaceMatch(
                face_id=match.id,
                image_id=match.metadata["image_id"],
                distance=match.distance,
                identity_id=identities.get(match.id),
                score=match.metadata.get("score"),
            )
            for match in row
        ]
        for row in found
    ]


def _in_step_and_few(database: Database, by: Collection) -> bool:
    """Whether the closed, embedded stores hold what landed, by what their last load wrote down, and that is few."""
    landing = database.landing
    landing.refresh()  # others may have landed more
    if database.remote_vectors or not (database.has_vectors and landing.storage.is_local):
        return False
    loaded, field = database.mongo_connection.left() or {}, vector_fields(landing).get(by)
    return (
        field is not None
        and 0 < StoreCounts(**loaded.get("counts", {}))[by] <= _FEW
        and loaded.get("vectors", {}).get(by) == landing.index.digest(field.module)
    )


def _label_scores(landing: Landing, image_ids: Sequence[str]) -> dict[str, float]:
    """image_id -> the probability of its label, of those that have one."""
    column = COLLECTION_COLUMNS["images"]
    wanted = pc.is_in(landing.index.image_id, value_set=pa.array(image_ids, pa.string()))
    found: dict[str, float] = {}
    for table in landing.iter_images([column], vectors=False, images=np.flatnonzero(np.asarray(wanted))):
        if column in table.column_names:
            scores = pc.struct_field(table[column], "label_score").to_pylist()
            found.update((i, s) for i, s in zip(table["image_id"].to_pylist(), scores, strict=True) if s is not None)
    return found


def _identities(table: pa.Table | None, face_ids: Sequence[str]) -> dict[str, str | None]:
    """face_id -> identity_id of those faces, None of the unassigned."""
    if table is None:
        return {}
    wanted = table.filter(pc.is_in(table["face_id"], value_set=pa.array(face_ids, pa.string())))
    return dict(zip(wanted["face_id"].to_pylist(), wanted["identity_id"].to_pylist(), strict=True))

"""`PeopleIdentifierModule`: who is who, over those face vectors of a database that are good enough to say so."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pixelbrain import schema
from pixelbrain.config import STRATEGIES, Strategy, choose
from pixelbrain.errors import ConfigError
from pixelbrain.identity.assign import Assignment, assign
from pixelbrain.identity.calibration import threshold_of
from pixelbrain.landing.published import publish
from pixelbrain.locks.run import RunLock
from pixelbrain.shown import Shown

if TYPE_CHECKING:
    from pixelbrain.stores.database import Database


logger = logging.getLogger(__name__)

#: Without the origin, which `Landing.write_identities` adds.
_COLUMNS = pa.schema([schema.IDENTITY_SCHEMA.field(i) for i in range(5)])


@dataclass(frozen=True, kw_only=True)
class QualityGate:
    """What a face needs to join people. Others stay visible, as unassigned.

    Blurred faces are like each other whoever they are, so that a few of them join many people into one, and the more
    faces there are, the more such bridges. Raises `ConfigError` for values that cannot work.
    """

    min_score: float = 0.95  # detection probability, 0 to 1; below it MTCNN's boxes are often no faces
    min_width_px: float = 30.0  # of the box, in the original's pixels
    # Variance of the Laplacian of the 160 px grey crop. 48 sharp faces of 6 people, blurred, embedded by dlib: at a
    # sharpness of 3.4 pairs of different people pass its threshold three times as often as sharp ones, at 2.5 twenty
    # times. Sharp faces are above 60; small ones, enlarged to 160 px, come down to 3 and are still recognised.
    min_sharpness: float = 3.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise ConfigError(f"min_score is {self.min_score}: a probability, 0 to 1")
        for name in ("min_width_px", "min_sharpness"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: 0 (all faces) or more")

    def passes(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a face with this metadata (`score`, `width_px`, `sharpness`) may join people.

        What was not measured is not held against a face.
        """
        return (
            metadata.get("score", 1.0) >= self.min_score
            and metadata.get("width_px", self.min_width_px) >= self.min_width_px
            and metadata.get("sharpness", self.min_sharpness) >= self.min_sharpness
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class IdentityReport(Shown):
    """What `PeopleIdentifierModule.run` did."""

    faces: int  # all of them: assigned + single + gated
    assigned: int  # to people
    single: int  # good enough, and like too few others
    gated: int  # not good enough, see `QualityGate`
    people: int
    threshold: float  # cosine similarity
    seconds: float


@dataclass(eq=False)
class PeopleIdentifierModule:
    """Clusters the faces of a database into people. Raises `ConfigError` for values that cannot work.

    It is not a `PipelineModule`: who a face is can only be said when all faces are there, so it runs after a load.
    """

    strategy: Strategy = "average"  # linkage; or "dbscan", or "pairwise" (chains of alike pairs)
    _: KW_ONLY
    threshold: float | None = None  # cosine similarity; None: the embedder's own, see `pixelbrain.identity.thresholds`
    gate: QualityGate = QualityGate()  # what a face needs to join people
    # Of one person. A face that is like no other says nothing about who recurs in a collection, so with 2 it stays
    # unassigned; with 1 it is a person of its own.
    min_faces: int = 2
    k: int = 20  # neighbours that each face is compared with first

    def __post_init__(self) -> None:
        choose("strategy", self.strategy, STRATEGIES)
        if self.threshold is not None and not -1 < self.threshold < 1:
            raise ConfigError(f"threshold is {self.threshold}: a cosine similarity between -1 and 1")
        if self.min_faces < 1 or self.k < 1:
            raise ConfigError(f"min_faces is {self.min_faces} and k is {self.k}: both are 1 or more")

    def run(self, db: Database) -> IdentityReport:
        """Say who is who, and write it into `OUT/identities`, `OUT/faces` and MongoDB, in place of what was there.

        The same faces get the same ids, whatever order they come in: see `cluster_name`.

        Raises:
            ConfigError: vectors of a model without a threshold, and none given.
            StoreError: the vector index does not hold what landed, or a store cannot be reached.
            OutLockedError: another process works on this OUT.
        """
        with RunLock(db.landing.storage, what="identify"):
            return self._run(db)

    def _run(self, db: Database) -> IdentityReport:
        start = time.perf_counter()
        db.require_in_step("faces")
        threshold = self.threshold
        if threshold is None:
            threshold = threshold_of(db.landing.storage, db.vector_model("faces").model, self.strategy)
        faces = _read_faces(db, self.gate)
        logger.info("%d faces, of which %d are good enough", len(faces.ids), len(faces.vectors))
        good = np.flatnonzero(faces.good)
        ids = [faces.ids[row] for row in good]
        assignment = assign(
            ids,
            faces.vectors,
            threshold=threshold,
            strategy=self.strategy,
            photos=[faces.image_ids[row] for row in good],
            min_size=self.min_faces,
            k=self.k,
        )
        table = _identity_table(faces, assignment, assignment.names(ids, "person"))
        db.landing.write_identities(table)
        db.store_derived("identities")
        publish(db.landing)
        assigned = int((assignment.cluster >= 0).sum())
        return IdentityReport(
            faces=len(faces.ids),
            assigned=assigned,
            single=len(good) - assigned,
            gated=len(faces.ids) - len(good),
            people=assignment.count,
            threshold=threshold,
            seconds=time.perf_counter() - start,
        )


@dataclass(frozen=True, eq=False)
class _Faces:
    ids: list[str]
    image_ids: list[str]
    good: np.ndarray  # bool (n,)
    vectors: np.ndarray  # float32 (good.sum(), d)


def _read_faces(db: Database, gate: QualityGate) -> _Faces:
    """Stream all faces; only the vectors of good ones are kept."""
    ids: list[str] = []
    image_ids: list[str] = []
    good: list[bool] = []
    vectors: list[np.ndarray] = []
    for batch in db.iter_vectors("faces"):
        passed = [gate.passes(metadata) for metadata in batch.metadata]
        ids += batch.ids
        image_ids += [metadata["image_id"] for metadata in batch.metadata]
        good += passed
        vectors.append(batch.vectors[np.array(passed, bool)])
    whole = np.concatenate(vectors) if vectors else np.empty((0, 1), np.float32)
    return _Faces(ids, image_ids, np.array(good, bool), whole)


def _identity_table(faces: _Faces, assignment: Assignment, names: np.ndarray) -> pa.Table:
    """One row of `schema.IDENTITY_SCHEMA` a face, ordered by face_id; `names` are those of the good faces' people."""
    n = len(faces.ids)
    people, distances, how = np.full(n, None), np.full(n, np.nan, np.float32), np.full(n, "gated", object)
    people[faces.good], distances[faces.good] = names, assignment.distance
    clustered = np.where(assignment.late, "late", "clustered")
    how[faces.good] = np.where(assignment.cluster < 0, "single", clustered)
    distance = pa.array(distances, mask=np.isnan(distances))
    columns = [faces.ids, faces.image_ids, people, distance, how]
    return pa.table(dict(zip(_COLUMNS.names, columns, strict=True)), schema=_COLUMNS).sort_by("face_id")

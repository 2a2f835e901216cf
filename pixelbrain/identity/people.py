"""`PeopleIdentifierModule`: who is who, over the face vectors of a database."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pixelbrain import schema
from pixelbrain.config import STRATEGIES, Strategy, choose
from pixelbrain.errors import ConfigError
from pixelbrain.identity.assign import Assignment, assign
from pixelbrain.identity.neighbours import neighbours_in
from pixelbrain.identity.quality import QualityGate
from pixelbrain.identity.thresholds import face_threshold

if TYPE_CHECKING:
    from pixelbrain.stores.database import Database


logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class IdentityReport:
    """What `PeopleIdentifierModule.run` did."""

    faces: int  # all of them: assigned + single + gated
    assigned: int  # to people
    single: int  # good enough, and like too few others
    gated: int  # not good enough, see `QualityGate`
    people: int
    threshold: float  # cosine similarity
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class PeopleIdentifierModule:
    """Clusters the faces of a database into people.

    It is not a `PipelineModule`: who a face is can only be said when all faces are there, so it runs after a load.
    """

    def __init__(
        self,
        strategy: Strategy = "average",
        *,
        threshold: float | None = None,
        gate: QualityGate = QualityGate(),  # noqa: B008  (frozen)
        min_faces: int = 2,
        k: int = 20,
    ) -> None:
        """Configure; nothing is read.

        Args:
            strategy: "average" (linkage; the default), "dbscan", or "pairwise" (chains of alike pairs).
            threshold: cosine similarity; the embedder's own by default, see `pixelbrain.identity.thresholds`.
            gate: what a face needs to join people.
            min_faces: of one person. A face that is like no other says nothing about who recurs in a collection, so
                with 2, the default, it stays unassigned; with 1 it is a person of its own.
            k: neighbours that each face is compared with first.

        Raises:
            ConfigError: a value that cannot work.
        """
        choose("strategy", strategy, STRATEGIES)
        if threshold is not None and not -1 < threshold < 1:
            raise ConfigError(f"threshold is {threshold}: a cosine similarity between -1 and 1")
        if min_faces < 1 or k < 1:
            raise ConfigError(f"min_faces is {min_faces} and k is {k}: both are 1 or more")
        self.strategy: Strategy = strategy
        self.threshold = threshold
        self.gate = gate
        self.min_faces = min_faces
        self.k = k

    def run(self, db: Database) -> IdentityReport:
        """Say who is who, and write it into `OUT/identities` and MongoDB, in place of what was there.

        The same faces get the same ids, whatever order they come in: see `identity_name`.

        Raises:
            ConfigError: vectors of a model without a threshold, and none given.
            StoreError: no vectors were loaded, or a store cannot be reached.
        """
        start = time.perf_counter()
        threshold = self.threshold
        if threshold is None:
            threshold = face_threshold(db.vector_model("faces").model, self.strategy)
        faces = _read_faces(db, self.gate)
        logger.info("%d faces, of which %d are good enough", len(faces.ids), len(faces.vectors))
        good = np.flatnonzero(faces.good)
        assignment = assign(
            [faces.ids[row] for row in good],
            faces.vectors,
            threshold=threshold,
            strategy=self.strategy,
            photos=[faces.image_ids[row] for row in good],
            min_size=self.min_faces,
            k=self.k,
            neighbours=neighbours_in(db, "faces"),
        )
        table = _identity_table(faces, assignment)
        db.landing.write_identities(table)
        db.store_identities(table)
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


def identity_name(first_face_id: str) -> str:
    """The id of the person whose faces' smallest `face_id` this is: "person-" and 12 hex digits.

    It is a function of what the person's faces are, so the same photos give it again, in any order, with any other
    people beside. Photos added later leave it as it is unless they sort before all of the person's earlier ones (names
    with rising numbers or dates do not), and a medoid would move with every photo.
    """
    return f"person-{hashlib.sha256(first_face_id.encode()).hexdigest()[:12]}"


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


def _identity_table(faces: _Faces, assignment: Assignment) -> pa.Table:
    """One row of `schema.IDENTITY_SCHEMA` a face, ordered by face_id."""
    good = np.flatnonzero(faces.good)
    place = np.full(len(faces.ids), -1, np.int64)  # in the assignment; -1: gated
    place[good] = np.arange(len(good))
    names = {row: identity_name(faces.ids[good[row]]) for row in np.unique(assignment.cluster).tolist() if row >= 0}

    order = sorted(range(len(faces.ids)), key=faces.ids.__getitem__)
    people: list[str | None] = []
    distances: list[float | None] = []
    how: list[str] = []
    for row in place[order].tolist():
        name = names.get(int(assignment.cluster[row])) if row >= 0 else None
        people.append(name)
        distances.append(float(assignment.distance[row]) if name else None)
        if name:
            how.append("late" if assignment.late[row] else "clustered")
        else:
            how.append("single" if row >= 0 else "gated")
    return pa.table(
        {
            "face_id": [faces.ids[face] for face in order],
            "image_id": [faces.image_ids[face] for face in order],
            "identity_id": people,
            "distance": distances,
            "assigned": how,
        },
        schema=schema.IDENTITY_SCHEMA,
    )

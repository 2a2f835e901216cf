"""`PeopleIdentifierModule`: who is who, over those face vectors of a database that are good enough to say so."""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from pixelbrain.config import STRATEGIES, Strategy, choose
from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.identity.assign import assign
from pixelbrain.identity.calibration import threshold_of
from pixelbrain.identity.corrections.memory import Memory
from pixelbrain.identity.quality.gate import QualityGate
from pixelbrain.identity.quality.pose import turned_or_covered
from pixelbrain.landing.published import publish
from pixelbrain.locks.run import RunLock
from pixelbrain.shown import Shown

if TYPE_CHECKING:
    from pixelbrain.stores.database import Database


logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, repr=False)
class IdentityReport(Shown):
    """What `PeopleIdentifierModule.run` did."""

    faces: int  # all of them: assigned + single + gated
    assigned: int  # to people, by whatever was found or said
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
            StoreError: the vector index does not hold what landed, a store cannot be reached, or the folder for
                temporary files has no room for the vectors.
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
        memory = Memory(db.landing)
        faces = _read_faces(db, self.gate, memory)
        clustered = np.flatnonzero((faces.good | faces.guests) & ~faces.nobodys)
        logger.info("%d faces, of which %d are good enough", len(faces.ids), int(faces.good.sum()))
        ids = [faces.ids[row] for row in clustered]
        assignment = assign(
            ids,
            faces.of(clustered),
            threshold=threshold,
            strategy=self.strategy,
            photos=[faces.image_ids[row] for row in clustered],
            min_size=self.min_faces,
            k=self.k,
            cannot_link=memory.never_one(ids),
            guests=faces.guests[clustered],
        )
        cluster, how = np.full(len(faces.ids), -1, np.int64), np.full(len(faces.ids), "gated", object)
        cluster[clustered] = assignment.cluster
        how[faces.good] = "single"
        how[clustered[assignment.cluster >= 0]] = "clustered"
        how[clustered[assignment.late]] = "late"
        model = db.vector_model("faces")
        table = memory.keep(
            faces.ids,
            faces.image_ids,
            cluster,
            how,
            faces.of,
            min_faces=self.min_faces,
            settings={"model": model.model, "strategy": self.strategy, "threshold": threshold},
        )
        db.store_derived("identities")
        publish(db.landing)
        somebodys = table["identity_id"]
        assigned = len(somebodys) - somebodys.null_count
        gated = pc.sum(pc.and_(pc.is_null(somebodys), pc.equal(table["found_how"], "gated"))).as_py() or 0
        return IdentityReport(
            faces=len(faces.ids),
            assigned=assigned,
            single=len(faces.ids) - assigned - gated,
            gated=gated,
            people=pc.count_distinct(somebodys).as_py(),
            threshold=threshold,
            seconds=time.perf_counter() - start,
        )


@dataclass(frozen=True, eq=False)
class _Faces:
    ids: list[str]
    image_ids: list[str]
    good: np.ndarray  # bool (n,)
    guests: np.ndarray  # bool (n,), in profile or covered, and else good: they link nobody, and may join somebody
    nobodys: np.ndarray  # bool (n,), by what somebody said
    place: np.ndarray  # int64 (n,), of each in `units`; -1: not there
    units: np.ndarray  # float32 (m, d), of length 1

    def of(self, rows: np.ndarray) -> np.ndarray:
        """float32 (m, d), the unit vectors of these faces; nan where it was not kept."""
        place = self.place[rows]
        if np.array_equal(place, np.arange(len(self.units))):
            return self.units  # no copy of what may be gigabytes
        found = np.full((len(rows), self.units.shape[1]), np.nan, np.float32)
        if len(self.units):
            np.take(self.units, place, axis=0, out=found, mode="clip")
        found[place < 0] = np.nan
        return found


def _read_faces(db: Database, gate: QualityGate, memory: Memory) -> _Faces:
    """Stream all faces; the vectors are kept of good ones, and of those of which somebody said whose they are.

    They are kept in a file that is mapped into memory, so that those of a million faces, 2 GB, are there once at most.

    Raises:
        StoreError: the folder for temporary files has no room for them.
    """
    ids: list[str] = []
    image_ids: list[str] = []
    good: list[bool] = []
    kept: list[bool] = []
    dim = 1
    with tempfile.TemporaryFile(buffering=0) as file:  # so that a full disk is heard of here, and not on closing
        for batch in db.iter_vectors("faces"):
            passed = [gate.passes(metadata) for metadata in batch.metadata]
            wanted = [good or one in memory.somebodys for one, good in zip(batch.ids, passed, strict=True)]
            ids += batch.ids
            image_ids += [metadata["image_id"] for metadata in batch.metadata]
            good += passed
            kept += wanted
            units = batch.vectors[np.array(wanted, bool)]
            lengths = np.linalg.norm(units, axis=1, keepdims=True)
            dim = units.shape[1]
            rest = memoryview((units / np.where(lengths > 0, lengths, 1)).astype(np.float32, copy=False).tobytes())
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError as error:
                raise StoreError(
                    f"{tempfile.gettempdir()} has no room for {sum(kept):,} vectors ({error.strerror}): "
                    "make room there, or name another folder in TMPDIR"
                ) from error
        shape = (sum(kept), dim)  # an empty file cannot be mapped
        units = np.memmap(file, np.float32, "c", shape=shape) if any(kept) else np.empty(shape, np.float32)
    place = np.where(np.array(kept, bool), np.cumsum(kept) - 1, -1).astype(np.int64)
    nobodys = np.array([one in memory.nobodys for one in ids], bool)
    out, unsure = turned_or_covered(db.landing, gate)
    fit = np.array([ok and one not in out for one, ok in zip(ids, good, strict=True)], bool)
    guests = fit & np.array([one in unsure for one in ids], bool)
    return _Faces(ids, image_ids, fit & ~guests, guests, nobodys, place, units)

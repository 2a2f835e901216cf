"""`PeopleIdentifierModule`: who is who, over those face vectors of a database that are good enough to say so."""

from __future__ import annotations

import functools
import json
import logging
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.config import STRATEGIES, Strategy, choose
from pixelbrain.engine.shards import OverShards, in_threads
from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.identity.assign import assign
from pixelbrain.identity.corrections.increment import Increment
from pixelbrain.identity.corrections.last import Last, forget_last, state_of
from pixelbrain.identity.corrections.memory import Memory
from pixelbrain.identity.neighbours import nearest_neighbours
from pixelbrain.identity.quality.gate import QualityGate
from pixelbrain.identity.quality.pose import turned_or_covered
from pixelbrain.identity.thresholds import threshold_of
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.published import publish, republished
from pixelbrain.landing.registry import write_registry
from pixelbrain.locks.run import RunLock
from pixelbrain.shown import Shown
from pixelbrain.storage.base import Storage
from pixelbrain.stores.in_step import is_untouched
from pixelbrain.stores.vectors import VectorBatch, landed_vectors

if TYPE_CHECKING:
    from pixelbrain.stores.database import Database


logger = logging.getLogger(__name__)

#: Of the known faces, how many may be gone, and to how many times those of the last linking of all an OUT may grow,
#: before all are linked again.
_GONE = 0.1
_GROWN = 2.0


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
    # nothing: all is as it was, and nothing was written; grown: only new faces, and what they touch; linked: all faces
    done: Literal["nothing", "grown", "linked"] = "linked"
    why: str = ""  # of linked: why all of them
    new: int = 0  # of grown: faces that were not known before
    joined: int = 0  # of these, faces of people who were
    joined_people: int = 0  # so many people
    new_people: int = 0
    lost: int = 0  # faces that were known, and are not there any more

    def __str__(self) -> str:
        whole = f"{self.people:,} people in {self.assigned:,} of {self.faces:,} faces"
        if self.done == "nothing":
            return f"nothing new since the last time: {whole}"
        if self.done == "linked":
            return f"{whole}, {self.seconds:,.0f} s; all were linked: {self.why}"
        came = f"{self.joined:,} joined {self.joined_people:,} known people, {self.new_people:,} new people"
        came = f"{self.new:,} new faces: {came}" if self.new else "no new face"
        gone = f", {self.lost:,} are gone" if self.lost else ""
        return f"{came}{gone}; {whole}, {self.seconds:,.0f} s; --rebuild links all again"


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

    def run(self, db: Database, *, rebuild: bool = False, over: OverShards = in_threads) -> IdentityReport:
        """Say who is who, and write it into `OUT/identities`, `OUT/faces` and MongoDB, in place of what was there.

        The same faces get the same ids, whatever order they come in: see `cluster_name`. Where people were found before
        by the same settings, new faces are linked with each other and with the people known, see `growth.grow`, and who
        is not touched stays as found; where nothing is new, nothing is written. All faces are linked with "dbscan" and
        "pairwise", the first time, by other settings, where more than a tenth of the known faces are gone, where the
        faces have doubled since all were linked, and to `rebuild`. `over`: where many are compared, see
        `nearest_neighbours`.

        Raises:
            ConfigError: vectors of a model without a threshold, and none given.
            StoreError: the vector index does not hold what landed, a store cannot be reached, or the folder for
                temporary files has no room for the vectors.
            OutLockedError: another process works on this OUT.
        """
        with RunLock(db.landing.storage, what="identify"):
            return (None if rebuild else self.unchanged(db)) or self._run(db, rebuild, over)

    def unchanged(self, db: Database) -> IdentityReport | None:
        """What the last run found, if nothing came, went or was said since, and the settings are the same; or None.

        A few listings: no row is read, and no store opened that nobody wrote to.
        """
        start = time.perf_counter()
        last = Last.read(db.landing.storage)
        if last is None or last.state != state_of(db.landing, db.where):
            return None
        if last.settings != self._settings(db.landing.storage, last.settings["model"]):
            return None
        if not is_untouched(db) and db.behind("faces") is not None:
            return None
        told: dict[str, Any] = {**last.counts, "threshold": last.settings["threshold"], "done": "nothing"}
        return IdentityReport(**told, seconds=time.perf_counter() - start)

    def _settings(self, storage: Storage, model: str) -> dict[str, Any]:
        """All that decides who is who."""
        threshold = threshold_of(storage, model, self.strategy) if self.threshold is None else self.threshold
        own = {"strategy": self.strategy, "min_faces": self.min_faces, "k": self.k, "gate": asdict(self.gate)}
        return {"model": model, "threshold": threshold, **own}

    def _run(self, db: Database, rebuild: bool, over: OverShards = in_threads) -> IdentityReport:
        start = time.perf_counter()
        db.require_in_step("faces")
        storage = db.landing.storage
        settings = self._settings(storage, db.vector_model("faces").model)
        memory, last = Memory(db.landing), Last.read(storage)
        increment = None if rebuild else Increment(memory)
        why = "as was asked for" if increment is None else self._why_all(increment, last, settings)
        found: dict[str, Any]
        if increment is None or last is None or why:
            table, found = self._link(db, memory, settings, over), {"done": "linked", "why": why}
        else:
            table, found = self._grow(db, increment, settings)
        somebodys = table["identity_id"]
        assigned = len(somebodys) - somebodys.null_count
        gated = pc.sum(pc.and_(pc.is_null(somebodys), pc.equal(table["found_how"], "gated"))).as_py() or 0
        counts = {
            "faces": len(table),
            "assigned": assigned,
            "single": len(table) - assigned - gated,
            "gated": gated,
            "people": pc.count_distinct(somebodys).as_py(),
        }
        linked = len(table) if last is None or why else last.linked
        Last(settings=settings, state=state_of(db.landing, db.where), linked=linked, counts=counts).write(storage)
        seconds = time.perf_counter() - start
        return IdentityReport(**counts, threshold=settings["threshold"], seconds=seconds, **found)

    def _why_all(self, increment: Increment, last: Last | None, settings: Mapping[str, Any]) -> str:
        """Why all faces are linked; empty: new ones are enough."""
        known = len(increment.faces) - int(increment.new.sum())
        gone = len(increment.lost)
        if last is None or not known + gone:
            return "for the first time" if not known + gone else "the last time was another version's, or was cut short"
        changed = sorted(name for name in settings if settings[name] != last.settings.get(name))
        if changed:
            return f"another {' and '.join(changed)} than the last time"
        if self.strategy != "average":
            return f"{self.strategy} knows no other way"
        if gone > _GONE * (known + gone):
            return f"{gone:,} of {known + gone:,} known faces are gone"
        if len(increment.faces) > _GROWN * last.linked:
            return f"{len(increment.faces):,} faces are there, and {last.linked:,} were when all were linked last"
        return ""

    def _link(self, db: Database, memory: Memory, settings: Mapping[str, Any], over: OverShards) -> pa.Table:
        faces = _read_faces(db.iter_vectors("faces"), self.gate, memory)
        clustered = np.flatnonzero((faces.good | faces.guests) & ~faces.nobodys)
        logger.info("%d faces, of which %d are good enough", len(faces.ids), int(faces.good.sum()))
        ids = [faces.ids[row] for row in clustered]
        assignment = assign(
            ids,
            faces.of(clustered),
            threshold=settings["threshold"],
            strategy=self.strategy,
            photos=[faces.image_ids[row] for row in clustered],
            min_size=self.min_faces,
            k=self.k,
            neighbours=functools.partial(nearest_neighbours, over=over),
            cannot_link=memory.never_one(ids),
            guests=faces.guests[clustered],
        )
        cluster, how = np.full(len(faces.ids), -1, np.int64), np.full(len(faces.ids), "gated", object)
        cluster[clustered] = assignment.cluster
        how[faces.good] = "single"
        how[clustered[assignment.cluster >= 0]] = "clustered"
        how[clustered[assignment.late]] = "late"
        forget_last(db.landing.storage)
        table = memory.keep(
            faces.ids, faces.image_ids, cluster, how, faces.of, min_faces=self.min_faces, settings=_told(settings)
        )
        db.store_derived("identities")
        publish(db.landing)
        return table

    def _grow(self, db: Database, increment: Increment, settings: Mapping[str, Any]) -> tuple[pa.Table, dict[str, Any]]:
        landing = db.landing
        rows = increment.faces["image_id"].take(pa.array(np.union1d(np.flatnonzero(increment.new), increment.singles)))
        found = pc.index_in(pc.unique(rows), landing.index.image_id.combine_chunks())
        images = np.sort(np.asarray(found.drop_null(), np.int64))
        batches = (landed_vectors("faces", table) for table in landing.iter_images(["facenet"], images=images))
        faces = _read_faces((batch for batch in batches if batch is not None), self.gate, increment.memory, images)
        applied, told = increment.run(
            faces.ids,
            faces.good,
            faces.guests,
            faces.of(np.arange(len(faces.ids))),
            threshold=settings["threshold"],
            min_faces=self.min_faces,
            k=self.k,
            settings=json.dumps(_told(settings), sort_keys=True),
        )
        digest = IDENTITIES.digest(landing)
        with republished(landing, applied.faces, applied.changed):
            IDENTITIES.rewrite(landing, applied.faces)
            write_registry(landing, applied.people)
        among = pa.concat_tables([applied.faces.take(pa.array(applied.changed)), increment.lost])["image_id"]
        db.store_derived("identities", pc.unique(among).to_pylist(), since=digest)
        new, lost = int(increment.new.sum()), len(increment.lost)
        return applied.faces, {"done": "grown", "new": new, **told, "lost": lost}


def _told(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept with each person."""
    return {name: settings[name] for name in ("model", "strategy", "threshold")}


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


def _read_faces(
    batches: Iterable[VectorBatch], gate: QualityGate, memory: Memory, images: np.ndarray | None = None
) -> _Faces:
    """Stream faces; the vectors are kept of good ones, and of those of which somebody said whose they are.

    They are kept in a file that is mapped into memory, so that those of a million faces, 2 GB, are there once at most.

    Args:
        images: of which the faces are, by their positions in the index; None: all.

    Raises:
        StoreError: the folder for temporary files has no room for them.
    """
    ids: list[str] = []
    image_ids: list[str] = []
    good: list[bool] = []
    kept: list[bool] = []
    dim = 1
    with tempfile.TemporaryFile(buffering=0) as file:  # so that a full disk is heard of here, and not on closing
        for batch in batches:
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
    out, unsure = turned_or_covered(memory.landing, gate, images)
    fit = np.array([ok and one not in out for one, ok in zip(ids, good, strict=True)], bool)
    guests = fit & np.array([one in unsure for one in ids], bool)
    return _Faces(ids, image_ids, fit & ~guests, guests, nobodys, place, units)

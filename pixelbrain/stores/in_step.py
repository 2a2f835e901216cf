"""Whether the stores are in step with Parquet: what a load remembers of it, compared with what is there now."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelbrain.landing.derived import DERIVED
from pixelbrain.landing.landing import Landing
from pixelbrain.stores.chroma import health_process
from pixelbrain.stores.chroma.health import damage_of
from pixelbrain.stores.database import Database
from pixelbrain.stores.load_record import RECORD_ID, StoreCounts, landed_digest
from pixelbrain.stores.mongo.documents import LANDED
from pixelbrain.stores.vectors import COLLECTION_COLUMNS, vector_models

if TYPE_CHECKING:
    from pixelbrain.stores.chroma.collections import VectorStore


@dataclass(frozen=True, kw_only=True)
class StoreState:
    """Whether the stores hold what Parquet holds; `reasons` says what differs, one line each."""

    reasons: tuple[str, ...]
    counts: StoreCounts = StoreCounts()
    faces: int = 0  # in the documents
    complete: bool = False  # whether the last load left nothing out that a store would not have
    recorded: bool = False  # by the last load; the stores themselves were not asked
    #: The files of runs, see `LandedIndex.origins`, of which the stores are known to hold all; for the next load.
    known: frozenset[str] = frozenset()

    @property
    def in_step(self) -> bool:
        """Nothing differs."""
        return not self.reasons

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "in_step": self.in_step,
            "reasons": self.reasons,
            "counts": asdict(self.counts),
            "recorded": self.recorded,
        }


_NOTHING = StoreState(reasons=("nothing was loaded yet",))


def store_state(landing: Landing, database: Database) -> StoreState:
    """Whether the stores are in step with Parquet: images and their versions, columns, models, counts.

    Reads no image's row beyond the landing's index. Stores that are not there are not made.
    """
    if not (database.has_mongo and database.has_vectors):
        return _NOTHING
    if not database.remote_vectors:
        health_process.warm_up()
    with database.mongo_connection.errors():
        documents = database.mongo["images"].count_documents(LANDED)
        loaded = database.mongo["meta"].find_one({"_id": RECORD_ID}) or {}
    store = database.vectors
    damaged = {} if database.remote_vectors else damage_of(store.connection.examine())
    if damaged:  # asking it anything may crash this process
        lines = tuple(f"the index of {name} is damaged: {finding.reason}" for name, finding in damaged.items())
        return StoreState(reasons=lines, counts=StoreCounts(documents=documents))
    models = vector_models(landing)
    names = {*COLLECTION_COLUMNS, *models, *loaded.get("vectors", {})}
    held = StoreCounts.of(documents, {name: store.count(name) for name in names})
    reasons = _differences(landing, loaded, held)
    for name, model in models.items():
        theirs = store.model(name)
        if theirs is not None and theirs != model:
            reasons.append(f"the vectors of {name} are of {theirs.model}, and {model.model} landed")
        elif not reasons and (why := database.behind(name)):
            reasons.append(why)
    state = _state(loaded, reasons, held)
    return replace(state, known=_known(loaded, state, landing, store))


def recorded_state(landing: Landing, database: Database) -> StoreState | None:
    """The same of embedded stores, by what the last load wrote down of them: none is opened, and nothing is started.

    None: nothing is written down, as of servers, or of a load that was killed: `store_state` asks.
    """
    if not (database.has_mongo and database.has_vectors):
        return _NOTHING
    loaded = None if database.remote_vectors else database.mongo_connection.left()
    if loaded is None:
        return None
    held = StoreCounts(**loaded.get("counts", {}))
    return replace(_state(loaded, _differences(landing, loaded, held), held), recorded=True)


def _state(loaded: Mapping[str, Any], reasons: Sequence[str], held: StoreCounts) -> StoreState:
    complete = not loaded.get("refused", 1)
    return StoreState(reasons=tuple(reasons), counts=held, faces=loaded.get("faces", 0), complete=complete)


def is_untouched(database: Database) -> bool:
    """Whether the files of both embedded stores are as `note_untouched` saw them: so is what they hold."""
    try:
        return json.loads(_note(database).read_text()) == _files(database) is not None
    except (OSError, ValueError):
        return False


def note_untouched(database: Database) -> None:
    """Note the files of embedded stores: after a load, or what changed nothing that it wrote, and closed."""
    with contextlib.suppress(OSError):  # the next load looks at the stores themselves
        _note(database).write_text(json.dumps(_files(database)))


def _note(database: Database) -> Path:
    return database.mongo_connection.folder.parent / "untouched.json"


def _files(database: Database) -> str | None:
    """Changes with the name, size or time of a file of either store; None: one is a server."""
    if database.remote_vectors or database.mongo_connection.shared:
        return None
    folders = database.mongo_connection.folder, Path(database.chroma_location).expanduser().absolute()
    files = [(str(path), path.stat()) for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    told = [(name, found.st_size, found.st_mtime_ns) for name, found in files]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _differences(landing: Landing, loaded: Mapping[str, Any], held: StoreCounts) -> list[str]:
    """What differs between what landed, what a load remembers, and what the stores hold."""
    if "digest" not in loaded:
        return ["the last load was cut short" if loaded else "nothing was loaded yet"]
    reasons = []
    if landed := loaded["digest"] != landed_digest(landing):
        reasons.append("images landed or changed since the last load")
    if (counts := StoreCounts(**loaded["counts"])) != held:
        reasons.append(f"the stores hold {held}, and {counts} were loaded")
    for name, what in (("identities", "people were identified"), ("groups", "images were grouped")):
        if not landed and loaded.get(name) != DERIVED[name].digest(landing):  # which change with images, too
            reasons.append(f"{what} since the last load")
    return reasons


def _known(loaded: Mapping[str, Any], state: StoreState, landing: Landing, store: VectorStore) -> frozenset[str]:
    """What the stores hold, if nothing but images has come, changed or gone since the last load; else nothing is."""
    models, vectors = vector_models(landing), loaded.get("vectors", {})
    sure = (
        state.complete
        and loaded.get("digest", "").endswith(landing.answer_log.digest())
        and StoreCounts(**loaded.get("counts", {})) == state.counts
        and all(vectors.get(name) == store.loaded(name) for name in {*COLLECTION_COLUMNS, *models, *vectors})
        and all(store.model(name) in (None, model) for name, model in models.items())
    )
    known, there = frozenset(loaded.get("origins", ())), {origin for part in landing.parts for origin in part.origins}
    return known if sure and known <= there else frozenset()  # where a file is gone, older rows count again

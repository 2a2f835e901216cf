"""Whether the stores are in step with Parquet: what a load remembers of it, compared with what is there now."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import LandingError
from pixelbrain.landing.digests import digest_versions
from pixelbrain.landing.landing import Landing
from pixelbrain.schema import ModelInfo
from pixelbrain.stores.chroma import health_client as fresh
from pixelbrain.stores.chroma.health import Sample
from pixelbrain.stores.convert import COLLECTION_COLUMNS
from pixelbrain.stores.database import Database
from pixelbrain.stores.meta import GROUP_COLUMNS, IDENTITY_COLUMNS, LANDED, META_ID, table_digest

__all__ = [
    "StoreCounts",
    "StoreState",
    "landed_columns",
    "store_state",
    "vector_models",
    "version_digest",
]

_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True, kw_only=True)
class StoreCounts:
    """How much the stores hold."""

    documents: int = 0  # images in MongoDB
    images: int = 0  # vectors in ChromaDB
    faces: int = 0

    def __str__(self) -> str:
        return f"{self.documents:,} images, {self.images:,} image vectors and {self.faces:,} face vectors"

    def as_dict(self) -> dict[str, Any]:
        """For JSON and for MongoDB."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class StoreState:
    """Whether the stores hold what Parquet holds; `reasons` says what differs, one line each."""

    reasons: tuple[str, ...]
    counts: StoreCounts = StoreCounts()

    @property
    def in_step(self) -> bool:
        """Nothing differs."""
        return not self.reasons

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"in_step": self.in_step, **asdict(self)}


def store_state(landing: Landing, database: Database) -> StoreState:
    """Whether the stores are in step with Parquet: images and their versions, columns, models, counts.

    Reads no image's row beyond the landing's index. Stores that are not there are not made.
    """
    if not (database.has_mongo and database.has_vectors):
        return StoreState(reasons=("nothing was loaded yet",))
    if not database.remote_vectors:
        fresh.warm_up()
    with database.mongo_errors():
        documents = database.mongo["images"].count_documents(LANDED)
        loaded = database.mongo["meta"].find_one({"_id": META_ID}) or {}
    store = database.vectors
    findings = {} if store.remote else store.examine({name: Sample() for name in COLLECTION_COLUMNS})
    damaged = {name: finding for name, finding in findings.items() if finding.kind != "recall"}
    if damaged:  # asking it anything may crash this process
        lines = tuple(f"the index of {name} is damaged: {finding.reason}" for name, finding in damaged.items())
        return StoreState(reasons=lines, counts=StoreCounts(documents=documents))
    held = StoreCounts(documents=documents, images=store.count("images"), faces=store.count("faces"))
    reasons = []
    if "digest" not in loaded:
        reasons.append("the last load was cut short" if loaded else "nothing was loaded yet")
    else:
        digest = _landed_digest(landing)
        if loaded["digest"] != f"{digest:016x}" or loaded["landed"] != landed_columns(landing):
            reasons.append("images landed or changed since the last load")
        if loaded["counts"] != held.as_dict():
            reasons.append(f"the stores hold {held}, and {StoreCounts(**loaded['counts'])} were loaded")
        if loaded.get("identities") != table_digest(landing.read_identities(), IDENTITY_COLUMNS):
            reasons.append("people were identified since the last load")
        if loaded.get("groups") != table_digest(landing.read_groups(), GROUP_COLUMNS):
            reasons.append("images were grouped since the last load")
    for name, model in vector_models(landing).items():
        theirs = store.model(name)
        if theirs is not None and theirs != model:
            reasons.append(f"the vectors of {name} are of {theirs.model}, and {model.model} landed")
    return StoreState(reasons=tuple(reasons), counts=held)


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


def landed_columns(landing: Landing) -> dict[str, Any]:
    """What computed each column, and for how many images: a column that was added or done again is to be loaded."""
    columns = {
        name: {"settings": state.settings_hash, "images": int((landing.index.modules[name][0] >= 0).sum())}
        for name, state in sorted(landing.states().items())
    }
    for name, answers in sorted(landing.answers.items()):
        digest = hashlib.sha256("\n".join(map(repr, answers.to_pylist())).encode()).hexdigest()[:12]
        columns[name] = {"settings": digest, "images": len(answers) - answers.null_count}
    return columns


def _landed_digest(landing: Landing) -> int:
    index = landing.index
    table = pa.table({"image_id": index.image_id, "version": index.version, "status": index.status})
    slices = (table.slice(start, _ROWS_AT_ONCE) for start in range(0, len(table), _ROWS_AT_ONCE))
    return sum(version_digest(part) for part in slices) % 2**64


def version_digest(table: pa.Table) -> int:
    """A number, to be summed modulo 2^64: the sum changes when an image comes, goes or changes, in any order."""
    rows = pc.binary_join_element_wise(table["image_id"], table["version"], table["status"], "\0")
    return int(digest_versions(rows).sum(dtype=np.uint64))

"""A look at a vector collection: does it hold what it should, and does each vector find itself?"""

from __future__ import annotations

import contextlib
import errno
import re
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pixelbrain.errors import StoreError

#: A vector's distance to itself; an index in float32 rounds to 1e-7 or so.
_ITSELF = 1e-3
#: Of two unit vectors, an element's difference. ChromaDB keeps float32, some of them normalised.
_TOLERANCE = 1e-5
#: HNSW is approximate: that a vector of a sound index does not find itself happens 1 time in 500 (FACTS).
_FOUND_SHARE = 0.9
#: Collections that have no other name in ChromaDB, and how those of a module's vectors begin.
_SHORT, _OURS = ("images", "faces"), "module."
_PLACES, _IDS_A_PLACE = 5, 20  # where a collection is looked at when no sample is given
#: SQLite's BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL and CANTOPEN.
_NOT_DAMAGE_CODES = {5, 6, 7, 8, 10, 13, 14}
#: SQLite's own check reads the whole file: 0.5 s for so much.
_CHECKED_BYTES = 1 << 28


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong with a collection.

    `folder`: ChromaDB cannot be opened at all; `index`: this collection is damaged; `recall`: all is there, and the
    index finds less than 9 of 10 vectors when asked for them.
    """

    kind: Literal["folder", "index", "recall"]
    reason: str

    @property
    def is_damage(self) -> bool:
        """Whether writing it again would mend it: a weak index would only be as weak again."""
        return self.kind != "recall"


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """What a collection should hold, as far as it is known."""

    count: int | None = None  # vectors; None: whatever it holds, also when there is no such collection
    ids: Sequence[str] = ()  # some of them; none: a hundred of the collection's own
    vectors: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))  # (n, dim), as they were written


def collection_name(vectors: str) -> str:
    """What ChromaDB calls a collection: 3 letters or more, no other signs, and not one of another program's."""
    return vectors if vectors in _SHORT else f"{_OURS}{re.sub('[^a-zA-Z0-9._-]', '-', vectors)}.vectors"


def vectors_in(collections: Collection[str]) -> list[str]:
    """Those of Pixelbrain's among ChromaDB's collections, as we call them."""
    modules = (name[len(_OURS) :].removesuffix(".vectors") for name in collections if name.startswith(_OURS))
    return [*(name for name in _SHORT if name in collections), *sorted(modules)]


def examine_collections(client: Any, samples: Mapping[str, Sample]) -> dict[str, Finding]:
    """Compare collections with what they should hold, by a client opened after the last write; what is wrong, by name.

    Raises:
        StoreError: one cannot be read for another reason than damage: no permission, no room.
        httpx.HTTPError: the client's server went away.
    """
    found = {name: _examine_collection(client, name, sample) for name, sample in samples.items()}
    return {name: finding for name, finding in found.items() if finding is not None}


def _examine_collection(client: Any, name: str, sample: Sample) -> Finding | None:
    from chromadb.errors import ChromaError, NotFoundError

    try:
        collection = client.get_collection(collection_name(name), embedding_function=None)
        held = collection.count()
        if sample.count is not None and held != sample.count:
            return Finding(kind="index", reason=f"it holds {held:,} vectors, and {sample.count:,} were written")
        ids, vectors = (list(sample.ids), sample.vectors) if len(sample.ids) else _some(collection, held)
        return _compare(collection, ids, vectors) if ids else None
    except NotFoundError:
        return Finding(kind="index", reason="it is not there") if sample.count else None
    except (ChromaError, ValueError, TypeError) as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        if not is_damage(reason):
            raise StoreError(f"ChromaDB cannot be read: {reason}") from None
        return Finding(kind="index", reason=reason)


def examine_file(folder: Path) -> Finding | None:
    """SQLite's own check of a folder's tables; of very large ones, none."""
    path = folder / "chroma.sqlite3"
    try:
        if path.stat().st_size > _CHECKED_BYTES:
            return None
        # not read-only: the journal of a killed process is to be rolled back first
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
            ((said,), *_rest) = connection.execute("PRAGMA quick_check(1)").fetchall()
    except (OSError, sqlite3.OperationalError):  # locked, no permission, no room: ChromaDB will say so
        return None
    except sqlite3.DatabaseError as error:
        said = str(error)
    return None if said == "ok" else Finding(kind="folder", reason=f"chroma.sqlite3: {said}")


def damage_of(findings: Mapping[str, Finding]) -> dict[str, Finding]:
    """The findings that are damage."""
    return {name: finding for name, finding in findings.items() if finding.is_damage}


def is_damage(reason: str) -> bool:
    """Whether ChromaDB's words are about what it read, and not about a lock, a permission, or a full disk."""
    codes = {int(code) & 0xFF for code in re.findall(r"\(code: (\d+)\)", reason)}  # the low byte is SQLite's own code
    system = {int(code) for code in re.findall(r"\(os error (\d+)\)", reason)} - {errno.ENOENT}  # a lost file is damage
    return not system and not codes & _NOT_DAMAGE_CODES


def same_direction(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """bool (n,): whether vectors (n, dim) are the same within float32; a cosine index keeps some normalised."""
    scale = [np.maximum(np.linalg.norm(v, axis=1, keepdims=True), np.finfo(np.float32).tiny) for v in (found, wanted)]
    return np.isclose(found / scale[0], wanted / scale[1], rtol=0, atol=_TOLERANCE).all(axis=1)


def _some(collection: Any, held: int) -> tuple[list[str], np.ndarray]:
    """A hundred of its own vectors, from five places."""
    some: dict[str, Any] = {}
    for place in range(_PLACES):
        page = collection.get(limit=_IDS_A_PLACE, offset=held * place // _PLACES, include=["embeddings"])
        some |= zip(page["ids"], page["embeddings"], strict=True)  # places of a small collection overlap
    return list(some), np.array(list(some.values()), np.float32)


def _compare(collection: Any, ids: list[str], vectors: np.ndarray) -> Finding | None:
    page = collection.get(ids=ids, include=["embeddings"])
    there = dict(zip(page["ids"], page["embeddings"], strict=True))
    lost = [one for one in ids if one not in there]
    if lost:
        return Finding(kind="index", reason=f"{len(lost)} of {len(ids)} vectors are not there, such as {lost[0]}")
    found = np.array([there[one] for one in ids], np.float32)
    wrong = np.flatnonzero(~same_direction(found, vectors))
    if len(wrong):
        return Finding(
            kind="index", reason=f"{len(wrong)} of {len(ids)} vectors are not what was written, such as {ids[wrong[0]]}"
        )
    asked = np.flatnonzero(np.linalg.norm(vectors, axis=1) > 0)  # a vector of zeros has no direction
    if not len(asked):
        return None
    answer = collection.query(query_embeddings=vectors[asked], n_results=1, include=["distances"])
    # at distance 0 is the vector, or one of a copy of the same photo
    hits = sum(bool(row) and abs(row[0]) < _ITSELF for row in answer["distances"])
    if hits < _FOUND_SHARE * len(asked):
        return Finding(kind="recall", reason=f"{hits} of {len(asked)} vectors find themselves")
    return None

"""What corrections are made on: the faces as they were found, what was said of them, and the people known."""

from __future__ import annotations

import copy
import functools
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import MixedModelsError, PeopleError
from pixelbrain.identity.corrections.apply import (
    EXEMPLARS,
    Applied,
    Vectors,
    apply_claims,
    claims_by_row,
    found_as,
    pairs_by_row,
    with_columns,
)
from pixelbrain.identity.corrections.claims import Claims
from pixelbrain.identity.corrections.events import Event, FaceRef
from pixelbrain.identity.corrections.faces import BOX, WHERE, hashes_of, landed_hashes
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.registry import Registry, plain, read_registry

#: Letters of a name.
MAX_NAME = 256

_MODULE = "facenet"
_JOINERS = dict.fromkeys(map(ord, "\u200c\u200d"))  # letters of Persian and of Indian languages need them


class State:
    """The people of an OUT, and all that was said about them; `sums`: with the people's sum vectors.

    Raises:
        PeopleError: nobody was identified yet.
        LandingError: OUT cannot be read.
    """

    def __init__(self, landing: Landing, events: Sequence[Event], *, sums: bool = False) -> None:
        found = IDENTITIES.whole(landing)
        if found is None:
            uri = landing.storage.uri
            raise PeopleError(f"{uri} has no people yet: `pixelbrain identify {uri}` finds them")
        if pc.any(pc.is_null(found["x1"])).as_py():  # an older version did not write where the faces are
            found = _with_origin(landing, found)
        self.landing, self.events, self.faces = landing, events, found
        self._sums = sums

    def after(self, event: Event) -> State:
        """The same faces and people, with one event more. Raises `ContradictionError`."""
        following = copy.copy(self)
        following.events = [*self.events, event]
        for name in ("claims", "said", "own"):
            following.__dict__.pop(name, None)
        Claims(following.events)
        return following

    @functools.cached_property
    def claims(self) -> Claims:
        """All that holds."""
        return Claims(self.events)

    @functools.cached_property
    def said(self) -> dict:
        """By row of `faces`."""
        return claims_by_row(self.claims, self.faces, landed_hashes(self.landing))

    @functools.cached_property
    def registry(self) -> Registry:
        """Who is known. Of an OUT of an older version, whoever has faces."""
        known = read_registry(self.landing.storage, sums=self._sums)
        if known.ids or not len(self.faces):
            return known
        empty = read_registry(self.landing.storage, sums=True)
        return Registry(apply_claims(self.faces, self.claims, {}, empty, no_vectors, everybody=True).people)

    @property
    def ever(self) -> set[str]:
        """Every id that was ever given."""
        return {*self.registry.ids, *(one for event in self.events for one in event.people)}

    @functools.cached_property
    def person(self) -> np.ndarray:
        """object (n,), whose each face is; None."""
        return np.array(self.faces["identity_id"].to_pylist(), object)

    @functools.cached_property
    def own(self) -> np.ndarray:
        """object (n,), the same if nobody had been said to be one with another."""
        own = found_as(self.faces)
        for row, claim in self.said.items():
            own[row] = claim.person or None
        return own

    @functools.cached_property
    def place(self) -> dict[str, int]:
        """face_id -> row."""
        return {one: row for row, one in enumerate(self.faces["face_id"].to_pylist())}

    def rows(self, face_ids: Iterable[str]) -> list[int]:
        """Raises `PeopleError` for one that is not there."""
        wanted = list(dict.fromkeys(face_ids))
        if not wanted:
            raise PeopleError("no face is named: `pixelbrain people show OUT PERSON` lists face ids")
        for one in wanted:
            if one not in self.place:
                raise PeopleError(
                    f"no face {one!r} was identified: `pixelbrain export OUT - --table faces` lists all, and "
                    "`pixelbrain identify` looks at new ones"
                )
        return [self.place[one] for one in wanted]

    def find(self, who: str) -> str:
        """The identity_id of a person that is named by id, by name, or by the beginning of an id that only it has.

        Raises:
            PeopleError: nobody is called so, or several are.
        """
        known = self.registry
        if who in known.place:
            return known.current(who)
        if named := known.named(who):
            return self._only(who, named, "are called")
        starts = [one for one in known.ids if who and (one.startswith(who) or one.partition("-")[2].startswith(who))]
        current = sorted({known.current(one) for one in starts})
        if not current:
            raise PeopleError(f"nobody is called {who!r}: `pixelbrain people list` shows names and ids")
        return self._only(who, current, "begin with")

    def _only(self, who: str, found: Sequence[str], how: str) -> str:
        if len(found) > 1:
            some = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
            raise PeopleError(f"{len(found)} people {how} {who!r}: {some}; name one by its id")
        return found[0]

    def rows_of(self, person: str) -> np.ndarray:
        """int64, a person's faces, nearest to its mean first."""
        rows = np.flatnonzero(self.person == person)
        distance = pc.fill_null(self.faces["distance"], 9.0).to_numpy()[rows]
        return rows[np.argsort(distance, kind="stable")]

    def stand_for(self, person: str, but: Collection[int] = ()) -> dict[str, list[FaceRef]]:
        """Some faces of a person, of different photos first, by whose they are of those that were said to be one."""
        rows = [row for row in self.rows_of(person).tolist() if row not in but]
        images = self.faces["image_id"].take(pa.array(rows, pa.int64())).to_pylist()
        first = {image: row for image, row in reversed(list(zip(images, rows, strict=True)))}
        firsts = set(first.values())
        chosen = sorted(rows, key=lambda row: row not in firsts)[:EXEMPLARS]
        found: dict[str, list[FaceRef]] = {}
        for row, ref in zip(chosen, self.refs(chosen), strict=True):
            found.setdefault(self.own[row] or person, []).append(ref)
        return found

    def refs(self, rows: Sequence[int]) -> list[FaceRef]:
        """References to faces that find them again."""
        told = self.faces.select(WHERE).take(pa.array(rows, pa.int64())).to_pylist()
        hashes = hashes_of(self.landing, (row["image_id"] for row in told))
        return [
            FaceRef(
                image_id=row["image_id"],
                sha256=hashes.get(row["image_id"]),
                version=row["image_version"] or "",
                box=(row["x1"], row["y1"], row["x2"], row["y2"]),
                face_id=row["face_id"],
            )
            for row in told
        ]

    @property
    def vectors(self) -> Vectors:
        """Of `faces`, see `landed_vectors`."""
        return landed_vectors(self.landing, self.faces)

    def applied(self) -> Applied:
        """Faces and people with all that is said."""
        never = self.pairs(self.claims.not_theirs)
        return apply_claims(self.faces, self.claims, self.said, self.registry, self.vectors, never=never)

    def pairs(self, pairs: Sequence[tuple[FaceRef, str]]) -> dict[int, set[str]]:
        """By row of `faces`, see `pairs_by_row`."""
        return pairs_by_row(self.claims, pairs, self.faces, landed_hashes(self.landing))


def no_vectors(rows: np.ndarray) -> np.ndarray:
    """Of no face it is known."""
    return np.empty((len(rows), 0), np.float32)


def landed_vectors(landing: Landing, faces: pa.Table) -> Vectors:
    """The unit vectors of faces, by row, read from what landed; nan where there is none."""

    def read(rows: np.ndarray) -> np.ndarray:
        if _MODULE not in landing.index.modules or not len(rows):
            return no_vectors(rows)
        some = faces.select(["face_id", "image_id"]).take(pa.array(rows)).combine_chunks()
        images = pc.index_in(pc.unique(some["image_id"]), landing.index.image_id.combine_chunks()).drop_null()
        found: np.ndarray | None = None
        try:
            for table in landing.iter_images([_MODULE], images=np.sort(np.asarray(images, np.int64))):
                lists = pc.list_flatten(pc.struct_field(table[_MODULE].combine_chunks(), "faces"))
                if lists.type.get_field_index("embedding") < 0:
                    return no_vectors(rows)
                vectors = pc.struct_field(lists, "embedding")
                at = pc.index_in(pc.struct_field(lists, "face_id"), some["face_id"].combine_chunks())
                wanted = pc.and_(pc.is_valid(at), pc.is_valid(vectors))
                at, vectors = np.asarray(at.filter(wanted)), vectors.filter(wanted)
                if not len(at):
                    continue
                units = np.asarray(vectors.flatten(), np.float32).reshape(len(at), -1)
                if found is None:
                    found = np.full((len(rows), units.shape[1]), np.nan, np.float32)
                found[at] = units
        except MixedModelsError:  # distances between two models' vectors say nothing
            return no_vectors(rows)
        return no_vectors(rows) if found is None else found

    return read


def _with_origin(landing: Landing, faces: pa.Table) -> pa.Table:
    there = IDENTITIES.origins(landing)
    at = pc.index_in(faces["face_id"], there["face_id"].combine_chunks())
    names = ("image_version", "computed_by", *BOX)
    faces = with_columns(faces, {name: pc.coalesce(faces[name], there[name].take(at)) for name in names})
    return faces.filter(pc.is_valid(faces["x1"]))


def as_name(text: str) -> str:
    """A name as it is kept. Raises `PeopleError`."""
    name = plain(text)
    if not name.translate(_JOINERS).isprintable() or name.lower().startswith("person-"):
        raise PeopleError(f"{name!r} is no name: it has no control characters, and does not begin with person-")
    if len(name) > MAX_NAME:
        raise PeopleError(f"{name[:20]!r}… has {len(name):,} letters: a name has up to {MAX_NAME}")
    return name


def called(registry: Registry, person: str) -> str:
    """How a person is spoken of: by name, or by id."""
    return registry.names.get(person) or person

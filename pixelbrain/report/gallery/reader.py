"""Reads what the gallery shows from the landed tables, in one streaming pass."""

from __future__ import annotations

import collections
import logging
import math
import sys
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.config import EXIF
from pixelbrain.errors import MixedModelsError
from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.digests import DigestTable, digest_ids, sort_digests
from pixelbrain.landing.duplicates.read import read_duplicates
from pixelbrain.landing.faces import own_fields
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.registry import read_registry
from pixelbrain.report.gallery.camera import camera_values
from pixelbrain.report.gallery.items import Album, Failure, GalleryFace, Library, Person, Photo
from pixelbrain.report.gallery.spool import Picked, Spool, largest_first
from pixelbrain.report.labels import shown_from

logger = logging.getLogger(__name__)

_BASE = frozenset(field.name for field in schema.BASE_FIELDS)
_CLASSIFIER = "resnet"
_FACES = "facenet"
_WHOSE = tuple(field.name for field in schema.WHOSE_FIELDS)
_ERRORS = frozenset(field.name for field in schema.ERROR_FIELDS)
_VALUE_CHARACTERS = 200  # of a user's module; longer ones are cut: the gallery does not replace the export


def read_library(landing: Landing, folder: Path, *, min_label_score: float | None = None) -> Library:
    """Read what was landed, without its vectors.

    Memory grows by some 150 bytes an image and face, its id for the most part; the rest is in a temporary file in
    `folder`, 0.5 kB an image.

    Args:
        landing: the landed tables.
        min_label_score: see `report.labels.shown_from`.

    Raises:
        LandingError: OUT cannot be read.
        ConfigError: `min_label_score` is no probability.
    """
    least = shown_from(landing, min_label_score)
    landed, known = IDENTITIES.read(landing).rows, read_registry(landing.storage)
    identities = _Rows(landed, "face_id", "identity_id", "distance", "assigned")
    groups = _Rows(GROUPS.read(landing).rows, "image_id", "group_id", "distance")
    again = _Rows(read_duplicates(landing), "image_id", "duplicate_id", "keep", "why")
    spooled: Spool[Photo] = Spool(folder)
    failed: Spool[Failure] = Spool(folder)
    ids: list[pa.Array] = []
    failed_ids: list[str] = []
    labels, looks, people, copies = _Members(), _Members(), _Members(), _Members()
    face_of, face_number, gated, unsure = array("i"), array("i"), array("b"), array("b")
    has_faces_column, n_failed = False, 0
    for table in landing.iter_images(vectors=False):
        modules = [name for name in table.column_names if name not in _BASE]
        has_faces_column = has_faces_column or _FACES in modules
        lookers = _lookers(table, modules)
        rows = table.to_pylist()
        faces = [face for row in rows for face in (row.get(_FACES) or {}).get("faces") or ()]
        who = dict(zip((face["face_id"] for face in faces), identities.of([f["face_id"] for f in faces]), strict=True))
        alike = groups.of(table["image_id"])
        for row, group, twice in zip(rows, alike, again.of(table["image_id"]), strict=True):
            for failure in _failures(row, modules):
                failed.append(failure)
                failed_ids.append(failure.image_id)
                n_failed += failure.stage == "image"
            if row["status"] != schema.Status.OK:
                continue
            photo = _photo(row, modules, lookers, who, group, least)
            for number, face in enumerate(photo.faces):
                people.add(face.identity_id, _or_last(face.distance))
                face_of.append(len(spooled))
                face_number.append(number)
                gated.append({"gated": 1, "rejected": 2}.get(face.assigned or "", 0))
            labels.add(photo.label, -(photo.label_score or 0.0))
            unsure.append(photo.unsure)
            photo.duplicate_id, photo.keep, photo.why = twice if twice[0] is not None else (None, True, "")
            copies.add(photo.duplicate_id, not photo.keep)
            looks.add(photo.group_id, _or_last(photo.group_distance))
            spooled.append(photo)
        ids.append(table["image_id"].filter(pc.equal(table["status"], schema.Status.OK.value)).combine_chunks())
    order = np.asarray(pc.sort_indices(pa.chunked_array(ids, pa.string())), np.int64)  # places, by image_id
    listed = np.empty(len(order), np.int64)  # where each place is listed
    listed[order] = np.arange(len(order))
    of, numbers = np.asarray(face_of, np.int64), np.asarray(face_number, np.int64)
    by_photo = np.lexsort((numbers, listed[of]))  # the faces, as the photos are listed

    def photos(places: np.ndarray) -> Picked[Photo]:
        return Picked(spooled.__getitem__, places)

    def pair(place: int) -> tuple[Photo, GalleryFace]:
        photo = spooled[int(of[place])]
        return photo, photo.faces[int(numbers[place])]

    def person(name: str, places: np.ndarray) -> Person:
        _, first = np.unique(of[places], return_index=True)
        return Person(name, Picked(pair, places), photos(of[places[np.sort(first)]]))

    poor = np.asarray(gated, np.int64)
    unassigned = by_photo[(people.codes[by_photo] < 0) & (poor[by_photo] < 2)]  # those that are no faces are not shown
    found = [person(*one) for one in people.largest_first(by_photo)]
    return Library(
        photos=photos(order),
        failures=Picked(failed.__getitem__, np.asarray(pc.sort_indices(pa.array(failed_ids, pa.string())), np.int64)),
        people=[one for one in found if one.identity_id not in known.hidden],
        hidden=[one for one in found if one.identity_id in known.hidden],
        called=known.names,
        # those that were too poor to be compared come last
        unassigned=Picked(pair, unassigned[np.argsort(poor[unassigned], kind="stable")]),
        labels=[Album(name, photos(places)) for name, places in labels.largest_first(order)],
        unsure=photos(labels.by_key(order[np.asarray(unsure, bool)[order]])),
        min_label_score=least,
        groups=[Album(name, photos(places)) for name, places in looks.largest_first(order)],
        duplicates=[Album(name, photos(places)) for name, places in copies.largest_first(order)],
        models=_models(landing),
        n_failed=n_failed,
        n_faces=len(of),
        has_faces_column=has_faces_column,
        has_identities=landed is not None,
    )


class _Rows:
    """Rows of a table of a later stage by the ids that they are about: 24 bytes an id, and the columns."""

    def __init__(self, table: pa.Table | None, key: str, *columns: str) -> None:
        self._missing = (None,) * len(columns)
        self._known = table is not None
        if table is not None:
            digests = digest_ids(table[key])
            order, first = sort_digests(digests)
            self._rows, self._table = order[first], table.select(columns)
            self._digests = DigestTable(digests[self._rows])

    def of(self, ids: Sequence[str] | pa.ChunkedArray) -> list[tuple[Any, ...]]:
        """The columns' values for each id; None where there is no row."""
        if not self._known:
            return [self._missing] * len(ids)
        asked = ids if isinstance(ids, pa.ChunkedArray) else pa.array(ids, pa.string())
        found = self._digests.find(digest_ids(asked))
        there = found >= 0
        values = self._table.take(pa.array(self._rows[found[there]]))
        rows = zip(*(column.to_pylist() for column in values.columns), strict=True)
        return [next(rows) if one else self._missing for one in there.tolist()]


class _Members:
    """Who belongs to which name, and how typical of it: 12 bytes each."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._codes, self._keys = array("i"), array("d")

    @property
    def codes(self) -> np.ndarray:
        """Of each member, the name's number; -1: none."""
        return np.asarray(self._codes, np.int64)

    def add(self, name: str | None, key: float) -> None:
        """One more."""
        self._codes.append(-1 if name is None else self._names.setdefault(name, len(self._names)))
        self._keys.append(key)

    def by_key(self, places: np.ndarray) -> np.ndarray:
        """These members, the most typical first."""
        return places[np.argsort(np.asarray(self._keys)[places], kind="stable")]

    def largest_first(self, order: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """See `spool.largest_first`; among equals, members are in this order."""
        found = largest_first(list(self._names), self.codes[order], np.asarray(self._keys)[order])
        return [(name, order[places]) for name, places in found]


def _models(landing: Landing) -> dict[str, schema.ModelInfo]:
    try:
        return landing.models()
    except MixedModelsError as error:  # no vector is compared here, so that the photos can be shown all the same
        logger.warning("the gallery names no models: %s", error)
        return {}


def _failures(row: dict[str, Any], modules: list[str]) -> Iterator[Failure]:
    if row["status"] != schema.Status.OK:
        yield Failure(row["image_id"], "image", row["error_type"] or "unknown", row["error"] or "")
    for module in modules:
        value = row[module]
        if value and value.get("error_type"):
            yield Failure(row["image_id"], module, value["error_type"], value.get("error") or "")


def _photo(
    row: dict[str, Any],
    modules: list[str],
    lookers: list[str],
    identities: dict[str, tuple[Any, ...]],
    group: tuple[Any, ...],
    least: float,
    longest: int = _VALUE_CHARACTERS,
) -> Photo:
    image_id = row["image_id"]
    # a photo whose size was not recorded is shown as a square
    photo = Photo(image_id, row["version"], row["size_bytes"], row["width"] or 1, row["height"] or 1)
    found = row.get(_CLASSIFIER)
    if found and found.get("label") is not None:
        photo.label_score = found["label_score"] or 0.0
        photo.label = sys.intern(found["label"]) if photo.label_score >= least else None
        photo.top_k = tuple((sys.intern(top["label"]), top["score"]) for top in found["top_k"] or () if top["label"])
    found = row.get(_FACES)
    if found and found.get("faces"):
        said = {name: {_whose(one): one for one in (row[name] or {}).get("faces") or ()} for name in lookers}
        photo.faces = tuple(_face(face, identities, said) for face in found["faces"])
        photo.turn = found.get("turn") or 0
    photo.group_id, photo.group_distance = group
    own = (name for name in modules if name not in (_CLASSIFIER, _FACES, EXIF, *lookers))
    faces = [dict(face.values) for face in photo.faces]
    of_faces = {name: ", ".join(one.get(name, "–") for one in faces) for one in faces for name in one}
    values = (pair for module in own for pair in _values(module, row[module], longest))
    camera = ((sys.intern(name), _shortened(text, longest)) for name, text in camera_values(row.get(EXIF) or {}))
    photo.values = (*camera, *values, *of_faces.items())
    return photo


def read_photo(table: pa.Table, *, longest: int = _VALUE_CHARACTERS) -> Photo:
    """The first row, with all that was said of it and of its faces; whose these are is not looked for.

    longest: letters of a text; of a longer one the beginning.
    """
    (row,) = table.slice(0, 1).to_pylist()
    modules = [name for name in table.column_names if name not in _BASE]
    nobody: dict[str, tuple[Any, ...]] = collections.defaultdict(lambda: (None, None, None))
    return _photo(row, modules, _lookers(table, modules), nobody, (None, None), 0.0, longest)


def _lookers(table: pa.Table, modules: list[str]) -> list[str]:
    """Of the modules, those that say something of each face."""
    return [name for name in modules if name != _FACES and own_fields(table.schema.field(name).type)]


def _face(face: dict[str, Any], identities: dict[str, tuple[Any, ...]], said: dict[str, dict]) -> GalleryFace:
    identity_id, distance, assigned = identities[face["face_id"]]
    results = ((name, faces.get(_whose(face), {})) for name, faces in said.items())
    own = [(name, {key: value for key, value in one.items() if key not in _WHOSE}) for name, one in results]
    values = tuple(pair for name, one in own for pair in _values(name, one))
    found = {name: face[name] for name in (*_WHOSE, "score")}
    return GalleryFace(**found, identity_id=identity_id, distance=distance, assigned=assigned, values=values)


def _whose(face: dict[str, Any]) -> tuple[Any, ...]:
    """Its id and its box: what a result is known by to be about it."""
    return tuple(face[name] for name in _WHOSE)


def _values(name: str, value: Any, longest: int = _VALUE_CHARACTERS) -> Iterator[tuple[str, str]]:
    """A user's struct, or an answer's, as (dotted name, text) pairs; nulls, and errors (failures), are left out."""
    if value is None:
        return
    if isinstance(value, dict) and value.keys() >= {"answer", "status"}:  # a question's: without an answer, why
        answer = value["answer"]
        answer = ", ".join(map(str, answer)) if isinstance(answer, list) else answer
        yield from _values(name, value["status"] if answer is None else answer, longest)
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in _ERRORS:
                yield from _values(f"{name}.{key}", inner, longest)
        return
    yield sys.intern(name), _shortened(f"{value:.6g}" if isinstance(value, float) else str(value), longest)


def _shortened(text: str, longest: int = _VALUE_CHARACTERS) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _or_last(distance: float | None) -> float:
    return math.inf if distance is None else distance

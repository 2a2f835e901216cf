"""Reads what the gallery shows from the landed tables, in one streaming pass."""

from __future__ import annotations

import logging
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.errors import MixedModelsError
from pixelbrain.landing.landing import Landing
from pixelbrain.report.gallery.items import Album, Failure, GalleryFace, Library, Person, Photo
from pixelbrain.report.labels import shown_from

logger = logging.getLogger(__name__)

T = TypeVar("T")

_BASE = frozenset(field.name for field in schema.BASE_FIELDS)
_CLASSIFIER = "resnet"
_FACES = "facenet"
_ERRORS = frozenset(field.name for field in schema.ERROR_FIELDS)
_VALUE_CHARACTERS = 200  # of a user's module; longer ones are cut: the page does not replace the export


def read_library(landing: Landing, *, min_label_score: float | None = None) -> Library:
    """Read what was landed, without its vectors.

    Memory grows by 1.3 kB an image of one face and five likeliest labels (measured), never by an embedding.

    Args:
        landing: the landed tables.
        min_label_score: see `report.labels.shown_from`.

    Raises:
        LandingError: OUT cannot be read.
        ConfigError: `min_label_score` is no probability.
    """
    least = shown_from(landing, min_label_score)
    landed = landing.read_identities()
    identities = _by_id(landed, "face_id", "identity_id", "distance", "assigned")
    groups = _by_id(landing.read_groups(), "image_id", "group_id", "distance")
    photos: list[Photo] = []
    failures: list[Failure] = []
    has_faces_column = False
    for table in landing.iter_images(vectors=False):
        modules = [name for name in table.column_names if name not in _BASE]
        has_faces_column = has_faces_column or _FACES in modules
        for row in table.to_pylist():
            failures += _failures(row, modules)
            if row["status"] == schema.Status.OK:
                photos.append(_photo(row, modules, identities, groups, least))
    photos.sort(key=lambda photo: photo.image_id)
    failures.sort(key=lambda failure: (failure.image_id, failure.stage))
    faces = [(photo, face) for photo in photos for face in photo.faces]
    people = _largest_first(((pair[1].identity_id, pair) for pair in faces), lambda pair: _or_last(pair[1].distance))
    unassigned = [pair for pair in faces if pair[1].identity_id is None]
    return Library(
        photos=photos,
        failures=failures,
        people=[Person(*one) for one in people],
        # those that were too poor to be compared come last
        unassigned=sorted(unassigned, key=lambda pair: pair[1].assigned == "gated"),
        labels=_albums(((photo.label, photo) for photo in photos), _surest_first),
        unsure=sorted((photo for photo in photos if photo.unsure), key=_surest_first),
        min_label_score=least,
        groups=_albums(((photo.group_id, photo) for photo in photos), lambda photo: _or_last(photo.group_distance)),
        models=_models(landing),
        has_faces_column=has_faces_column,
        has_identities=landed is not None,
    )


def _by_id(table: pa.Table | None, key: str, *columns: str) -> dict[str, tuple[Any, ...]]:
    """Rows of a table of a later stage; equal texts are one object."""
    if table is None:
        return {}
    values = [[sys.intern(v) if isinstance(v, str) else v for v in table[name].to_pylist()] for name in columns]
    return dict(zip(table[key].to_pylist(), zip(*values, strict=True), strict=True))


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
    identities: dict[str, tuple[Any, ...]],
    groups: dict[str, tuple[Any, ...]],
    least: float,
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
        photo.faces = tuple(_face(face, identities) for face in found["faces"])
    photo.group_id, photo.group_distance = groups.get(image_id, (None, None))
    photo.values = tuple(
        pair for module in modules if module not in (_CLASSIFIER, _FACES) for pair in _values(module, row[module])
    )
    return photo


def _face(face: dict[str, Any], identities: dict[str, tuple[Any, ...]]) -> GalleryFace:
    identity_id, distance, assigned = identities.get(face["face_id"], (None, None, None))
    box = (face["x1"], face["y1"], face["x2"], face["y2"])
    return GalleryFace(face["face_id"], *box, face["score"], identity_id, distance, assigned)


def _values(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """A user's struct, or an answer's, as (dotted name, text) pairs; nulls, and errors (failures), are left out."""
    if value is None:
        return
    if isinstance(value, dict) and value.keys() >= {"answer", "status"}:  # a question's: without an answer, why
        answer = value["answer"]
        answer = ", ".join(map(str, answer)) if isinstance(answer, list) else answer
        yield from _values(name, value["status"] if answer is None else answer)
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in _ERRORS:
                yield from _values(f"{name}.{key}", inner)
        return
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    yield sys.intern(name), text if len(text) <= _VALUE_CHARACTERS else text[: _VALUE_CHARACTERS - 1] + "…"


def _albums(photos: Iterable[tuple[str | None, Photo]], key: Callable[[Photo], float]) -> list[Album]:
    return [Album(*found) for found in _largest_first(photos, key)]


def _largest_first(found: Iterable[tuple[str | None, T]], key: Callable[[T], float]) -> list[tuple[str, list[T]]]:
    """Names with their members, those of most members first; of each, the members by `key`. None is no name."""
    members: dict[str, list[T]] = defaultdict(list)
    for name, member in found:
        if name is not None:
            members[name].append(member)
    return [
        (name, sorted(members[name], key=key)) for name in sorted(members, key=lambda name: (-len(members[name]), name))
    ]


def _surest_first(photo: Photo) -> float:
    return -(photo.label_score or 0.0)


def _or_last(distance: float | None) -> float:
    return math.inf if distance is None else distance

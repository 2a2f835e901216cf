"""Whose face is whose, as somebody says: a CSV, or a folder a person; and which faces of OUT are meant."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import ConfigError
from pixelbrain.identity.corrections.faces import BOX, SAME_BOX, overlap
from pixelbrain.landing.landing import Landing
from pixelbrain.sources.places import image_uri, one_name
from pixelbrain.storage.file_uri import shown_path

#: What a CSV may call its columns.
_PHOTO, _PERSON = ("photo", "path", "image_id", "image", "file"), ("person", "name", "identity", "label", "identity_id")
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """Somebody says: this is that person."""

    image_id: str
    person: str
    box: Box | None  # pixels of the upright original; None: the photo's largest face is meant


@dataclass(frozen=True, eq=False)
class LabelledFaces:
    """The faces of OUT, and those of them that are labelled."""

    faces: pa.Table  # face_id, image_id, x1, y1, x2, y2, score, sharpness; in the order of the images
    person: np.ndarray  # object (labels,), who it is
    face: np.ndarray  # int64 (labels,), the row of `faces`; -1: the photo has no such face
    not_in_out: Sequence[str] = ()  # photos that are labelled and did not land
    twice: Sequence[str] = ()  # what was said of a face that another label is about: it is taken for no face

    def found(self, whose: Mapping[str, str]) -> np.ndarray:
        """object (labels,), the person found for each label; of whom nobody was found for, nobody else is."""
        ids = self.faces["face_id"].to_pylist()
        people = [whose.get(ids[face]) if face >= 0 else None for face in self.face.tolist()]
        return np.array([one or f"nobody {number}" for number, one in enumerate(people)], object)


def read_labels(file: Path, *, person: Sequence[str] = _PERSON) -> Iterator[Label]:
    """The rows of a CSV: `photo` and `person`, and where several faces of a photo are labelled `x1`, `y1`, `x2`, `y2`.

    A photo is a path, relative to the CSV or absolute, a URI, or what its path or URI ends in.

    Args:
        person: what the column of people may be called, the most wanted first.

    Raises:
        ConfigError: it cannot be read, or lacks a column, or a box is no box.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            first = lines.readline()
            mark = max(",;\t", key=first.count)  # Excel writes what is customary in its user's country
            rows = csv.DictReader(itertools.chain([first], lines), delimiter=mark)
            names = {(name or "").strip().lower(): name for name in rows.fieldnames or ()}
            photo, who = (next((n for n in wanted if n in names), None) for wanted in (_PHOTO, person))
            if photo is None or who is None:
                raise ConfigError(
                    f"{file} needs a column photo and a column person: it has {', '.join(names) or 'none'}"
                )
            for row in rows:
                told = {name: (row[column] or "").strip() for name, column in names.items()}
                if told[photo] and told[who]:
                    values = [told.get(name, "").replace(",", ".") for name in BOX]  # as there, too
                    yield Label(told[photo], told[who], _box(values, f"{file}, line {rows.line_num}"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = (
            "it is not in UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", None) or error
        )
        raise ConfigError(f"{file} cannot be read as a CSV: {why}") from None


def _box(values: Sequence[str], where: str) -> Box | None:
    if not any(values):
        return None
    try:
        x1, y1, x2, y2 = map(float, values)
    except ValueError:
        raise ConfigError(f"{where}: x1, y1, x2 and y2 are four numbers, or all empty") from None
    if not (-math.inf < x1 < x2 < math.inf and -math.inf < y1 < y2 < math.inf):
        raise ConfigError(f"{where}: a box has x1 below x2, and y1 below y2")
    return (x1, y1, x2, y2)


def folder_labels(folder: str, images: Iterable[str], *, nobody: str | None = None) -> Iterator[Label]:
    """A folder a person: each image below `folder` shows whom the first folder of its path is called like.

    Args:
        folder: a path, or s3://bucket/prefix.
        images: those of OUT.
        nobody: the folder whose photos show nobody, and are not judged.
    """
    start = image_uri(one_name(folder)).rstrip("/") + "/"
    for image_id in images:
        if image_id.startswith(start):
            person, slash, _ = image_id[len(start) :].partition("/")
            if slash and (name := shown_path(f"file:///{person}")[1:]) != nobody:
                yield Label(image_id, name, None)


def find_labelled(
    landing: Landing, labels: Iterable[Label], beside: Path | None = None, least_overlap: float = SAME_BOX
) -> LabelledFaces:
    """Find the faces that are meant.

    Args:
        beside: the folder that relative paths of the labels start from.
        least_overlap: of a labelled box and the face that is meant, their intersection over their union.

    Raises:
        ConfigError: two faces of a photo are labelled without boxes, or none of the labelled photos has landed.
    """
    faces = _read_faces(landing)
    rows: dict[str, list[int]] = {}
    for row, image_id in enumerate(faces["image_id"].to_pylist()):
        rows.setdefault(image_id, []).append(row)
    boxes = np.column_stack([faces[name].to_numpy() for name in BOX]) if len(faces) else np.empty((0, 4))
    known = _Photos(landing.index.image_id.to_pylist(), beside)
    people, missing, whole = [], [], set()
    found: list[tuple[int, float]] = []
    for label in dict.fromkeys(labels):
        image_id = known.find(label.image_id)
        if image_id is None:
            missing.append(label.image_id)
            continue
        if label.box is None:
            if image_id in whole:
                raise ConfigError(f"{label.image_id} is labelled twice without a box: x1, y1, x2, y2 say which face")
            whole.add(image_id)
        people.append(label.person)
        found.append(_meant(boxes, rows.get(image_id, []), label.box, least_overlap))
    if not people:
        raise ConfigError(
            f"none of the labelled photos has landed in {landing.storage.uri}"
            + (f": the first is {missing[0]}" if missing else ": there are no labels")
        )
    best: dict[int, int] = {}  # by face, the label that covers it most: two people are not one face
    for at, (face, share) in enumerate(found):
        if face >= 0 and (face not in best or share > found[best[face]][1]):
            best[face] = at
    ids = faces["face_id"].to_pylist()
    twice = [
        f"{ids[face]} is labelled as {people[best[face]]} and, less near, as {people[at]}, who is not found therefore"
        for at, (face, _share) in enumerate(found)
        if face >= 0 and people[best[face]] != people[at]
    ]
    meant = [face if face < 0 or people[best[face]] == people[at] else -1 for at, (face, _share) in enumerate(found)]
    return LabelledFaces(faces, np.array(people, object), np.array(meant, np.int64), missing, twice)


def _read_faces(landing: Landing) -> pa.Table:
    kinds = [("face_id", pa.string()), ("image_id", pa.string())]
    columns = pa.schema([*kinds, *((name, pa.float32()) for name in (*BOX, "score", "sharpness"))])
    tables = [columns.empty_table()]
    for table in landing.iter_images(["facenet"], vectors=False):
        lists = pc.struct_field(table["facenet"].combine_chunks(), "faces")
        faces = pc.list_flatten(lists)
        there = {field.name for field in faces.type}
        values = {name: pc.struct_field(faces, name) for name in columns.names if name in there}
        values["image_id"] = table["image_id"].take(pc.list_parent_indices(lists))
        nulls = pa.nulls(len(faces), pa.float32())
        tables.append(pa.table({name: values.get(name, nulls) for name in columns.names}).cast(columns))
    return pa.concat_tables(tables)


def _meant(boxes: np.ndarray, rows: Sequence[int], box: Box | None, least: float) -> tuple[int, float]:
    """The row of the face that a label means, -1 of none, and how much of it the box covers."""
    if not rows:
        return -1, 0.0
    these = boxes[rows]
    if box is None:
        return rows[int(np.argmax((these[:, 2] - these[:, 0]) * (these[:, 3] - these[:, 1])))], 0.0
    shares = overlap(box, these)
    best = int(np.argmax(shares))
    return (rows[best] if shares[best] >= least else -1), float(shares[best])


class _Photos:
    """Finds the images of OUT by what people call them."""

    def __init__(self, image_ids: Sequence[str], beside: Path | None) -> None:
        self._ids, self._beside = set(image_ids), beside
        self._by_name: dict[str, list[str]] = {}
        for image_id in image_ids:
            self._by_name.setdefault(shown_path(image_id).rpartition("/")[2], []).append(image_id)

    def find(self, text: str) -> str | None:
        """The image's id; None: it is not there, or several are called so."""
        folders = ["", *([str(self._beside), str(self._beside.resolve())] if self._beside is not None else [])]
        for uri in (text, *(image_uri(text, folder) for folder in folders)):
            if uri in self._ids:
                return uri
        end = "/" + text.strip("/")
        same = [one for one in self._by_name.get(end.rpartition("/")[2], ()) if shown_path(one).endswith(end)]
        return same[0] if len(same) == 1 else None

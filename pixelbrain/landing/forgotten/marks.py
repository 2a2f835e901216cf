"""OUT/forgotten: which faces and photos are forgotten, so that no later run brings them back; one small file a call.

A mark says as little as that takes. Of a face it is the photo's sha256, and about where in it the face was: a square
of a grid whose squares are a quarter to a half of the face wide. No vector, no box, no name. Of a photo it is the
sha256, by which a copy is known, and a hash of its name and version, so that it is not even read again.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.landing.digests import DigestTable, digest_ids, sort_digests
from pixelbrain.locks.run import RunLock
from pixelbrain.storage.base import Storage

#: The folder of OUT that holds them.
FORGOTTEN = "forgotten"

#: By what a row of `images` is known to be about a forgotten photo, or a photo with a forgotten face.
ROW_IDS = pa.schema([("image_id", pa.string()), ("version", pa.string()), ("sha256", pa.string())])

_BOX = tuple(one.name for one in schema.BOX_FIELDS)
#: In squares, how far from the middle of its square a face counts as the forgotten one: wherever in the square it was,
#: another detection may move it by a fifth of its width, and who is cheek to cheek with it is not hit.
_REACH = 1.25


class FaceMark(NamedTuple):
    """About where a face is in a photo."""

    photo: str  # sha256 of its bytes, see `photo_keys`
    level: int  # squares are 2 ** level pixels wide
    column: int
    row: int

    @classmethod
    def of(cls, photo: str, box: Sequence[float]) -> FaceMark:
        """Of a box (x1, y1, x2, y2) in pixels of the upright original."""
        x1, y1, x2, y2 = box
        level = max(0, math.floor(math.log2(max(x2 - x1, 2) / 2)))
        column, row = (math.floor((low + high) / 2 / 2**level) for low, high in ((x1, x2), (y1, y2)))
        return cls(photo, level, column, row)

    def hits(self, box: Sequence[float]) -> bool:
        """Whether a face with this box, of the same photo, is the one that is meant."""
        x1, y1, x2, y2 = (value / 2**self.level for value in box)
        middle = (self.column + 0.5, self.row + 0.5)
        return all(abs(a - b) <= _REACH for a, b in zip(middle, ((x1 + x2) / 2, (y1 + y2) / 2), strict=True))


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What one call has forgotten."""

    faces: tuple[FaceMark, ...] = ()
    photos: tuple[str, ...] = ()  # sha256
    places: tuple[str, ...] = ()  # see `digest_places`
    number: int = 0  # its place in the order of all; 0: not written yet
    at: str = ""  # UTC, ISO 8601

    def __str__(self) -> str:
        faces = f"{len(self.faces):,} faces in {len({one.photo for one in self.faces}):,} photos"
        photos = f"{max(len(self.photos), bool(self.places)):,} photos, and their copies"
        return f"{self.number}  {self.at[:10]}  {faces if self.faces else photos}"


class Marks:
    """All that is forgotten in an OUT."""

    def __init__(self, marks: Iterable[Mark]) -> None:
        self.all = tuple(marks)
        self.photos = frozenset(sha256 for mark in self.all for sha256 in mark.photos)
        self.faces: dict[str, list[FaceMark]] = {}
        for one in (face for mark in self.all for face in mark.faces):
            self.faces.setdefault(one.photo, []).append(one)
        places = np.array(
            [[int(one[:16], 16), int(one[16:], 16)] for mark in self.all for one in mark.places], np.uint64
        )
        order, first = sort_digests(places.reshape(-1, 2))
        self._places = DigestTable(places.reshape(-1, 2)[order[first]])

    def hold_places(self, table: pa.Table) -> np.ndarray:
        """bool (n,): which rows with image_id and version are of forgotten photos, by these alone."""
        if not len(self._places) or not len(table):
            return np.zeros(len(table), bool)
        return self._places.find(digest_ids(_joined(table))) >= 0

    def hold_photos(self, table: pa.Table) -> np.ndarray:
        """bool (n,): which rows of `ROW_IDS` are of forgotten photos."""
        return self.hold_places(table) | _is_in(table["sha256"], self.photos)

    def touch(self, table: pa.Table) -> np.ndarray:
        """bool (n,): which rows of `ROW_IDS` are of those, or of photos with forgotten faces."""
        return self.hold_photos(table) | _is_in(pa.array(photo_keys(table), pa.string()), self.faces)

    def hold_faces(self, photos: Sequence[str | None], boxes: Sequence[Sequence[float] | None]) -> list[bool]:
        """Which of these boxes, in the photos of these keys, are forgotten faces; None is no box."""
        return [
            box is not None and None not in box and any(mark.hits(box) for mark in self.faces.get(photo or "", ()))
            for photo, box in zip(photos, boxes, strict=True)
        ]

    def without_pictures(self, pictures: pa.Table, rows: pa.Table) -> pa.Table:
        """Rows of `schema.PICTURE_SCHEMA` without those of forgotten photos and faces; `rows`: the images' own."""
        if not self.all or not len(pictures):
            return pictures
        of_row = pc.index_in(_joined(pictures), _joined(rows).combine_chunks()).to_pylist()
        photo, keys = self.hold_photos(rows), photo_keys(rows)
        faces = self.hold_faces([None if at is None else keys[at] for at in of_row], pictures["box"].to_pylist())
        gone = [face or (at is not None and photo[at]) for face, at in zip(faces, of_row, strict=True)]
        return pictures.filter(pa.array(~np.array(gone, bool))) if any(gone) else pictures

    def without(self, rows: pa.Table) -> pa.Table:
        """Rows of `images` without forgotten photos and faces; the same table where there are none."""
        if not self.all or not len(rows):
            return rows
        gone = self.hold_photos(rows)
        rows = rows.filter(pa.array(~gone)) if gone.any() else rows
        keys = photo_keys(rows)
        touched = np.flatnonzero(_is_in(pa.array(keys, pa.string()), self.faces))
        for name in rows.column_names if len(touched) else ():
            column = rows[name].combine_chunks()
            if (kept := self._without_faces(column, keys, touched)) is not column:
                at = rows.schema.get_field_index(name)
                rows = rows.set_column(at, rows.schema.field(at), kept)
        return rows

    def _without_faces(self, column: pa.Array, keys: Sequence[str], touched: np.ndarray) -> pa.Array:
        """A module's column without forgotten faces; the same where it has none. Others keep their ids."""
        kind = column.type
        if not pa.types.is_struct(kind) or kind.get_field_index("faces") < 0:
            return column
        lists = pc.struct_field(column, "faces")
        faces, parents = pc.list_flatten(lists), np.asarray(pc.list_parent_indices(lists))
        if not pa.types.is_struct(faces.type) or not {field.name for field in faces.type}.issuperset(_BOX):
            return column
        looked = np.flatnonzero(np.isin(parents, touched))
        corners = (pc.struct_field(faces, name).take(pa.array(looked)).to_pylist() for name in _BOX)
        boxes = [*zip(*corners, strict=True)]
        stays = np.ones(len(faces), bool)
        stays[looked] = ~np.array(self.hold_faces([keys[row] for row in parents[looked]], boxes), bool)
        if stays.all():
            return column
        counts = np.bincount(parents[stays], minlength=len(column))
        ends = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
        kept = {
            "faces": pa.ListArray.from_arrays(ends, faces.filter(pa.array(stays)), mask=lists.is_null()).cast(
                lists.type
            ),
            "n_faces": pc.if_else(pc.is_valid(lists), pa.array(counts), pa.scalar(None, pa.int64())),
        }
        fields = [kind.field(at) for at in range(kind.num_fields)]
        values = [
            kept[field.name].cast(field.type) if field.name in kept else pc.struct_field(column, field.name)
            for field in fields
        ]
        return pa.StructArray.from_arrays(values, fields=fields, mask=column.is_null())


def _joined(table: pa.Table) -> pa.ChunkedArray:
    """Name and version of each image, as one text."""
    return pc.binary_join_element_wise(table["image_id"], table["version"], "\0")


def digest_places(table: pa.Table) -> list[str]:
    """32 hex digits for each image, by its name and version."""
    return [f"{high:016x}{low:016x}" for high, low in digest_ids(_joined(table)).tolist()]


def photo_keys(table: pa.Table) -> list[str]:
    """What tells the photo of each row: its sha256; where that is not known, its name and version."""
    known = table["sha256"].to_pylist()
    if None not in known:
        return known
    places = digest_places(table)
    return [place if sha256 is None else sha256 for sha256, place in zip(known, places, strict=True)]


def _is_in(values: pa.Array | pa.ChunkedArray, wanted: Iterable[str]) -> np.ndarray:
    return np.asarray(pc.is_in(values, pa.array([*wanted], pa.string())))


# --- files -----------------------------------------------------------------------------------------------------------


def read_marks(storage: Storage) -> Marks:
    """All marks of an OUT; what was read of files that are as they were is kept. Raises `LandingError`."""
    return _read(storage, tuple(sorted((name, version) for name, version in storage.versions(FORGOTTEN).items())))


@functools.lru_cache(maxsize=8)
def _read(storage: Storage, files: tuple[tuple[str, str], ...]) -> Marks:
    return Marks(_of_file(storage, f"{FORGOTTEN}/{name}") for name, _version in files if name.endswith(".json"))


def _of_file(storage: Storage, name: str) -> Mark:
    try:
        told = json.loads(storage.read(name) or b"")
        return Mark(
            faces=tuple(FaceMark(*face) for face in told["faces"]),
            photos=tuple(told["photos"]),
            places=tuple(told["places"]),
            number=int(told["number"]),
            at=str(told["at"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError):  # without it, who was forgotten would come back
        raise LandingError(f"{storage.uri}/{name} is no mark of `pixelbrain forget`: put it back from a copy") from None


def write_mark(storage: Storage, mark: Mark) -> Mark:
    """Keep what is forgotten from coming back. Returns it with its number. Raises `OutLockedError`, `LandingError`."""
    with RunLock(storage, what="forget"):
        number = 1 + max((one.number for one in read_marks(storage).all), default=0)
        written = replace(mark, number=number, at=datetime.now(timezone.utc).isoformat(timespec="seconds"))
        storage.write(_name(number), (json.dumps(asdict(written)) + "\n").encode())
    return written


def lift_mark(storage: Storage, number: int) -> Mark:
    """Let what a call has forgotten come back with a later run. Returns what it was.

    Raises `ConfigError` where there is none such, and as `write_mark` does.
    """
    with RunLock(storage, what="forget"):
        found = next((one for one in read_marks(storage).all if one.number == number), None)
        if found is None:
            raise ConfigError(f"nothing was forgotten as number {number}: `pixelbrain forget OUT --list` shows all")
        storage.delete(_name(number))
    return found


def _name(number: int) -> str:
    return f"{FORGOTTEN}/{number:08d}.json"

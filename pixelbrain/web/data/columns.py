"""What has landed, as columns in memory: of 100,000 photos some 60 MB; none is an object before it is shown."""

from __future__ import annotations

import functools
import hashlib
import threading
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.config import EXIF
from pixelbrain.landing.digests import digest_versions
from pixelbrain.landing.landing import Landing
from pixelbrain.report.gallery import names
from pixelbrain.report.gallery.camera import camera_name
from pixelbrain.report.gallery.items import Failure, GalleryFace, Photo
from pixelbrain.report.labels import shown_from
from pixelbrain.web.data.facets import Facet, Gathered, is_of_names

_CLASSIFIER, _FACES, _QUALITY = "resnet", "facenet", "quality"
_BASE = frozenset(field.name for field in schema.BASE_FIELDS)
_NOT_SAID = frozenset({"error_type", "error", "status", "model", "phash"})  # nobody looks for it
_ROWS = 5_000  # photos that are read together


def key_of(text: str) -> str:
    """What an id is called in addresses: 16 hex digits, of which nobody can make a path."""
    return f"{int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), 'little'):016x}"


#: By what photos are sorted, beside their ids: by its word in addresses, the column and which way.
ORDERS = {
    "newest": ("taken_at", "descending"),
    "oldest": ("taken_at", "ascending"),
    "name": ("image_id", "ascending"),
    "sharpest": ("sharpness", "descending"),
    "blurred": ("sharpness", "ascending"),
    "largest": ("size_bytes", "descending"),
    "smallest": ("size_bytes", "ascending"),
}
_ordering = threading.Lock()


class Keys:
    """Ids by what they are called in addresses: 16 bytes each."""

    def __init__(self, ids: pa.Array) -> None:
        digests = digest_versions(ids)
        self._order = np.argsort(digests, kind="stable")
        self._sorted = digests[self._order]

    def find(self, key: str) -> int | None:
        """The row of an id; None: no id is called so."""
        try:
            wanted = np.uint64(int(key, 16)) if len(key) == 16 else None
        except ValueError:
            wanted = None
        if wanted is None:
            return None
        at = int(np.searchsorted(self._sorted, wanted))
        return int(self._order[at]) if at < len(self._sorted) and self._sorted[at] == wanted else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Photos:
    """All images in the order of their ids, and their faces. n images, m faces."""

    image_id: pa.Array  # strings (n,)
    version: pa.Array
    taken_at: pa.Array  # as in `schema.BASE_FIELDS`
    text: pa.Array  # large strings (n,): all that words are looked for in, in small letters
    ok: np.ndarray  # bool (n,)
    failed: np.ndarray  # bool (n,): the image, or a module on it
    width: np.ndarray  # int32 (n,), 1 where it is not known
    height: np.ndarray
    size_bytes: np.ndarray  # int64 (n,), -1 where it is not known
    turn: np.ndarray  # int16 (n,)
    label: np.ndarray  # int32 (n,), of `labels`; -1: none, however unlikely
    label_score: np.ndarray  # float32 (n,)
    labels: list[str]
    least: float  # from where on a label is shown
    camera: np.ndarray  # int32 (n,), of `cameras`; -1: not known
    cameras: list[str]
    rating: np.ndarray  # int8 (n,), stars; -1: none were given
    sharpness: np.ndarray  # float32 (n,), nan where it is not known
    said: dict[str, Facet]  # what answers and modules said that has few values, by field
    first: np.ndarray  # int64 (n + 1,): where each image's faces begin
    face_id: pa.Array  # strings (m,)
    box: np.ndarray  # float32 (m, 4)
    score: np.ndarray  # float32 (m,), nan where it is not known
    of: np.ndarray  # int64 (m,): each face's image
    failures: list[Failure]
    by_key: Keys
    face_by_key: Keys
    has_faces: bool  # whether anybody looked for faces

    def __len__(self) -> int:
        return len(self.image_id)

    def ordered(self, by: str) -> np.ndarray:
        """int64 (n,): all images, in one of the orders of ORDERS; what has no value is last, equals are by their id."""
        with _ordering:
            if by not in self._orders:
                column, way = ORDERS[by]
                values = self._names if column == "image_id" else getattr(self, column)
                values = values if isinstance(values, pa.Array) else pa.array(values)
                none = pc.is_nan(values) if pa.types.is_floating(values.type) else pc.equal(values, _IMAGES[column][1])
                values = pc.if_else(none, pa.scalar(None, values.type), values)
                keys = pa.table({"of": values, "at": np.arange(len(self))})
                self._orders[by] = np.asarray(pc.sort_indices(keys, [("of", way), ("at", "ascending")]), np.int64)
            return self._orders[by]

    @functools.cached_property
    def _orders(self) -> dict[str, np.ndarray]:
        return {}

    @functools.cached_property
    def _names(self) -> pa.Array:
        """strings (n,): the files' own names, for sorting."""
        return pa.array([names.short_name(one).casefold() for one in self.image_id.to_pylist()], pa.string())

    def shown(self, row: int, faces: tuple[GalleryFace, ...] = ()) -> Photo:
        """An image as its card shows it."""
        score, sure = float(self.label_score[row]), self.label_score[row] >= self.least
        size, label = int(self.size_bytes[row]), int(self.label[row])
        return Photo(
            self.image_id[row].as_py(),
            self.version[row].as_py(),
            size if size >= 0 else None,
            int(self.width[row]),
            int(self.height[row]),
            label=self.labels[label] if label >= 0 and sure else None,
            label_score=score if label >= 0 else None,
            faces=faces,
            turn=int(self.turn[row]),
        )


def read_photos(landing: Landing, min_label_score: float | None = None) -> Photos:
    """Read all images without their vectors. Raises `LandingError` and `ConfigError` as `read_library` does."""
    least = shown_from(landing, min_label_score)
    found = [_read(table, least) for table in landing.iter_images(vectors=False, batch_rows=_ROWS)]
    images = _concat([one["images"] for one in found], _IMAGES)
    faces = _concat([one["faces"] for one in found], _FACE)
    counts = images["n_faces"].to_numpy()
    order = np.asarray(pc.sort_indices(images["image_id"]), np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)])
    first = np.concatenate([[0], np.cumsum(counts[order])])
    if len(faces):  # the faces of each image, one after another, in the order of the images
        face_order = np.repeat(starts[:-1][order] - first[:-1], counts[order]) + np.arange(len(faces))
        faces = faces.take(pa.array(face_order))
    images = images.take(pa.array(order))
    label, camera = (images[name].combine_chunks().dictionary_encode() for name in ("label", "camera"))
    place = np.argsort(order, kind="stable")  # where each image is then
    columns = {name: images[name].combine_chunks() for name in images.column_names}
    face_ids = faces["face_id"].combine_chunks()
    return Photos(
        **{name: columns[name] for name in ("image_id", "version", "taken_at", "text")},
        **{name: _numbers(columns[name], _IMAGES[name][1], _IMAGES[name][0]) for name in _NUMBERS},
        label=_numbers(label.indices, -1, pa.int32()),
        labels=label.dictionary.to_pylist(),
        least=least,
        camera=_numbers(camera.indices, -1, pa.int32()),
        cameras=camera.dictionary.to_pylist(),
        said={name: facet for name, said in _said(found).items() if (facet := said.facet(place)).values},
        first=first,
        face_id=face_ids,
        box=np.stack([_numbers(faces[name], 0, pa.float32()) for name in ("x1", "y1", "x2", "y2")], axis=1),
        score=_numbers(faces["score"], float("nan"), pa.float32()),
        of=np.repeat(np.arange(len(images)), counts[order]),
        failures=[one for part in found for one in part["failures"]],
        by_key=Keys(columns["image_id"]),
        face_by_key=Keys(face_ids),
        has_faces=any(one["has_faces"] for one in found),
    )


#: What is kept of an image and of a face: types, and what stands where there is nothing.
_IMAGES: dict[str, tuple[pa.DataType, Any]] = {
    "image_id": (pa.string(), ""),
    "version": (pa.string(), ""),
    "taken_at": (pa.string(), ""),
    "text": (pa.large_string(), ""),
    "ok": (pa.bool_(), False),
    "failed": (pa.bool_(), False),
    "width": (pa.int32(), 1),
    "height": (pa.int32(), 1),
    "size_bytes": (pa.int64(), -1),
    "turn": (pa.int16(), 0),
    "label": (pa.string(), ""),
    "label_score": (pa.float32(), 0.0),
    "camera": (pa.string(), ""),
    "rating": (pa.int8(), -1),
    "sharpness": (pa.float32(), float("nan")),
    "n_faces": (pa.int64(), 0),
}
_NUMBERS = ("ok", "failed", "width", "height", "size_bytes", "turn", "label_score", "rating", "sharpness")
_FACE: dict[str, tuple[pa.DataType, Any]] = {
    "face_id": (pa.string(), ""),
    **{name: (pa.float32(), 0.0) for name in ("x1", "y1", "x2", "y2", "score")},
}


def _concat(tables: list[pa.Table], columns: Mapping[str, tuple[pa.DataType, Any]]) -> pa.Table:
    empty = pa.schema([(name, kind) for name, (kind, _none) in columns.items()]).empty_table()
    return pa.concat_tables([empty, *tables]).combine_chunks()


def _numbers(column: pa.Array | pa.ChunkedArray, none: Any, kind: pa.DataType) -> np.ndarray:
    return np.asarray(pc.fill_null(column.cast(kind), none))


def _read(table: pa.Table, least: float) -> dict[str, Any]:
    modules = [name for name in table.column_names if name not in _BASE]
    nothing = pa.nulls(len(table))
    found = {name: table[name].combine_chunks() for name in table.column_names}
    ok = pc.equal(found["status"], schema.Status.OK.value)
    wrong = {name: pc.is_valid(_field(found[name], "error_type")) for name in modules}
    failed = np.asarray(pc.invert(ok)) | np.any([np.zeros(len(table), bool), *map(np.asarray, wrong.values())], axis=0)
    written = found.get(EXIF, nothing)
    exif, rating, make, model = (_field(written, name) for name in ("taken_at", "rating", "make", "model"))
    if pa.types.is_timestamp(exif.type):  # it knows XMP and IPTC, too
        said_there = pc.utf8_slice_codeunits(pc.strftime(exif, "%Y-%m-%dT%H:%M:%S"), 0, 19)
        found["taken_at"] = pc.coalesce(found["taken_at"], said_there)
    label = _field(found.get(_CLASSIFIER, nothing), "label")
    score = _field(found.get(_CLASSIFIER, nothing), "label_score").cast(pa.float32())
    label, score = label.cast(pa.string()), pc.fill_null(score, 0.0)
    per_image, faces = _faces(found.get(_FACES, nothing))
    said = [
        pa.array([_plain(names.full_name(one)) for one in found["image_id"].to_pylist()], pa.string()),
        pc.fill_null(found["taken_at"], ""),
        pc.replace_substring(pc.if_else(pc.greater_equal(score, least), pc.fill_null(label, ""), ""), "_", " "),
        *(part for name in modules if name not in (_CLASSIFIER, _FACES) for part in _words(name, found[name])),
    ]
    kind = pa.large_string()
    columns = {
        **{name: found[name] for name in ("image_id", "version", "taken_at", "width", "height", "size_bytes")},
        "text": pc.utf8_lower(pc.binary_join_element_wise(*(one.cast(kind) for one in said), pa.scalar("\n", kind))),
        "ok": ok,
        "failed": pa.array(failed),
        "turn": _field(found.get(_FACES, nothing), "turn"),
        "label": label,
        "label_score": score,
        "camera": pa.array(map(camera_name, make.to_pylist(), model.to_pylist()), pa.string()),
        "rating": rating,
        "sharpness": _field(found.get(_QUALITY, nothing), "sharpness"),
        "n_faces": per_image,
    }
    images = pa.table({name: columns[name].cast(kind) for name, (kind, _none) in _IMAGES.items()})
    has_faces = _FACES in modules
    few = {name: told for module in modules for name, told in _few(module, found[module])}
    failures = list(_failures(table, ok, wrong))
    return {"images": images, "faces": faces, "failures": failures, "has_faces": has_faces, "said": few}


def _few(name: str, column: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    """What can be chosen from a list, by name: an answer, or a field of an own module, of texts, numbers or truths."""
    if name in (_CLASSIFIER, _FACES, EXIF, _QUALITY) or not pa.types.is_struct(column.type):
        return
    for field in column.type:
        if field.name in _NOT_SAID:
            continue
        inner = name if field.name == "answer" else f"{name}.{field.name}"
        if pa.types.is_struct(field.type):
            yield from _few(inner, pc.struct_field(column, field.name))
        elif is_of_names(field.type):
            yield inner, pc.struct_field(column, field.name)


def _said(found: list[dict[str, Any]]) -> dict[str, Gathered]:
    """Of all tables together, what has few values."""
    said: dict[str, Gathered] = {}
    start = 0
    for part in found:
        for name, column in part["said"].items():
            said.setdefault(name, Gathered()).add(column, start)
        start += len(part["images"])
    return {name: one for name, one in sorted(said.items()) if one.few}


def _field(column: pa.Array, name: str) -> pa.Array:
    """A field of a struct, null where the struct is; nulls where there is no such field."""
    there = pa.types.is_struct(column.type) and column.type.get_field_index(name) >= 0
    return pc.struct_field(column, name) if there else pa.nulls(len(column))


def _faces(column: pa.Array) -> tuple[pa.Array, pa.Table]:
    """How many faces each image has, and these."""
    lists = _field(column, "faces")
    if not pa.types.is_list(lists.type):
        empty = pa.schema([(name, kind) for name, (kind, _none) in _FACE.items()]).empty_table()
        return pa.array(np.zeros(len(column), np.int64)), empty
    structs = pc.list_flatten(lists)
    found = {name: _field(structs, name).cast(kind) for name, (kind, _none) in _FACE.items()}
    return pc.fill_null(pc.list_value_length(lists), 0), pa.table(found)


def _words(name: str, column: pa.Array) -> Iterator[pa.Array]:
    """The texts of a module's struct or an answer's; of what is true, its name."""
    kind = column.type
    if pa.types.is_struct(kind):
        for field in kind:
            if field.name not in _NOT_SAID:
                inner = name if field.name == "answer" else field.name
                yield from _words(inner, pc.struct_field(column, field.name))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield pc.fill_null(column, "")
    elif pa.types.is_boolean(kind):
        yield pc.if_else(pc.fill_null(column, False), name.replace("_", " "), "")
    elif pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        yield pc.fill_null(pc.binary_join(column, " "), "")


def _failures(table: pa.Table, ok: pa.Array, wrong: Mapping[str, pa.Array]) -> Iterator[Failure]:
    for row in table.select(["image_id", "error_type", "error"]).filter(pc.invert(ok)).to_pylist():
        yield Failure(row["image_id"], "image", row["error_type"] or "unknown", row["error"] or "")
    for name, mask in wrong.items():
        for row in table.select(["image_id", name]).filter(mask).to_pylist():
            yield Failure(row["image_id"], name, row[name]["error_type"], row[name].get("error") or "")


def _plain(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)

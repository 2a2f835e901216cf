"""What landed of each photo that says whether it is another one's copy, and which of them is the best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.config import EXIF, QUALITY
from pixelbrain.landing.landing import Landing
from pixelbrain.stores.vectors import landed_vectors

_FACES, _CLASSIFIER = "facenet", "resnet"
NONE = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Photos:
    """Arrays of one entry a photo that could be read."""

    ids: np.ndarray  # object
    sha256: np.ndarray  # int64: the number of its bytes, equal for equal ones
    width: np.ndarray
    height: np.ndarray
    size_bytes: np.ndarray
    format: np.ndarray  # object: Pillow's name
    hashes: np.ndarray  # uint64; see `hashed`
    hashed: np.ndarray  # bool: it has a perceptual hash that says something
    sharpness: np.ndarray  # float; nan: nobody measured it
    seen: np.ndarray  # faces whose eyes and mouth are to be seen
    camera: np.ndarray  # int64: the number of make and model; NONE: not known
    taken_ms: np.ndarray  # int64, by the camera's clock; NONE: not known
    vectors: np.ndarray | None  # float32 (n, d) of unit length, 0 where there is none; None: no photo has one

    def __len__(self) -> int:
        return len(self.ids)


def read_photos(
    landing: Landing, *, vectors: bool = True, progress: Callable[[int, int], object] = lambda _done, _total: None
) -> Photos:
    """All photos that could be read, in the order of their ids; without `vectors`, none is read.

    `progress` is called with how many images were read, of how many.

    Raises:
        LandingError: OUT cannot be read.
        MixedModelsError: of vectors of two models, none can be compared.
    """
    columns, ids_with, found, done = [_row(None)], [], [], 0
    for table in landing.iter_images([EXIF, QUALITY, _FACES], vectors=False):
        done += len(table)
        progress(done, len(landing.index.image_id))
        columns.append(_row(table.filter(pc.equal(table["status"], schema.Status.OK.value))))
    rows = pa.concat_tables(columns).sort_by("image_id")
    for table in landing.iter_images([_CLASSIFIER]) if vectors and _CLASSIFIER in landing.index.modules else ():
        if (batch := landed_vectors("images", table)) is not None and len(batch):
            ids_with += batch.ids
            found.append(batch.vectors)
    return Photos(
        ids=np.array(rows["image_id"].to_pylist(), object),
        sha256=_numbers(rows["sha256"]),
        **{name: _filled(rows[name], 0) for name in ("width", "height", "size_bytes", "seen")},
        format=np.array(rows["format"].to_pylist(), object),
        hashes=np.array([int(one, 16) if one else 0 for one in rows["phash"].to_pylist()], np.uint64),
        hashed=np.asarray(pc.is_valid(rows["phash"])),
        sharpness=_filled(rows["sharpness"], np.nan),
        camera=_numbers(rows["camera"]),
        taken_ms=_filled(rows["taken_ms"], NONE),
        vectors=_placed(rows["image_id"], ids_with, found),
    )


#: A picture of less contrast than this is a wall, a night or a lens cap: its hash is that of its noise.
_LEAST_CONTRAST = 0.02

_BASE = ("image_id", "sha256", "width", "height", "size_bytes", "format")


def _row(table: pa.Table | None) -> pa.Table:
    kinds = {
        "image_id": pa.string(), "sha256": pa.string(), "width": pa.int64(), "height": pa.int64(),
        "size_bytes": pa.int64(), "format": pa.string(), "phash": pa.string(), "sharpness": pa.float64(),
        "seen": pa.int64(), "camera": pa.string(), "taken_ms": pa.int64(),
    }  # fmt: skip
    if table is None:
        return pa.schema(list(kinds.items())).empty_table()

    def of(module: str, name: str) -> pa.Array:
        there = module in table.column_names and table[module].type.get_field_index(name) >= 0
        return pc.struct_field(table[module].combine_chunks(), name) if there else pa.nulls(len(table))

    says = pc.greater_equal(of(QUALITY, "contrast").cast(pa.float64()), _LEAST_CONTRAST)
    make, model = (of(EXIF, name).cast(pa.string()) for name in ("make", "model"))
    values = {name: table[name] for name in _BASE}
    values |= {
        "phash": pc.if_else(says, of(QUALITY, "phash").cast(pa.string()), None),
        "sharpness": of(QUALITY, "sharpness"),
        "seen": _seen_faces(of(_FACES, "faces"), len(table)),
        "camera": pc.binary_join_element_wise(pc.fill_null(make, ""), model, "\0"),
        "taken_ms": of(EXIF, "taken_at").cast(pa.timestamp("ms")).cast(pa.int64()),
    }
    return pa.table({name: values[name].cast(kind) for name, kind in kinds.items()})


def _seen_faces(faces: pa.Array, rows: int) -> pa.Array:
    """How many faces of each photo have nothing before their eyes and mouth."""
    counts = np.zeros(rows, np.int64)
    if pa.types.is_list(faces.type) and faces.type.value_type.get_field_index("visible") >= 0:
        visible = pc.fill_null(pc.greater_equal(pc.struct_field(pc.list_flatten(faces), "visible"), 1), False)
        np.add.at(counts, np.asarray(pc.list_parent_indices(faces).filter(visible)), 1)
    return pa.array(counts)


def _numbers(texts: pa.ChunkedArray) -> np.ndarray:
    """A number a text, the same for the same; NONE for null."""
    encoded = pc.dictionary_encode(texts.combine_chunks())
    return np.asarray(pc.fill_null(encoded.indices.cast(pa.int64()), NONE))


def _filled(column: pa.ChunkedArray, value: float) -> np.ndarray:
    return np.asarray(pc.fill_null(column.combine_chunks(), pa.scalar(value, column.type)))


def _placed(ids: pa.ChunkedArray, ids_with: list[str], found: list[np.ndarray]) -> np.ndarray | None:
    if not found:
        return None
    vectors = np.zeros((len(ids), found[0].shape[1]), np.float32)
    place = np.asarray(pc.fill_null(pc.index_in(pa.array(ids_with), ids.combine_chunks()), NONE))
    whole = np.concatenate(found)
    length = np.linalg.norm(whole, axis=1, keepdims=True)
    vectors[place[place >= 0]] = (whole / np.maximum(length, 1e-12))[place >= 0]
    return vectors

"""Which way a face looks, by its landmarks, and which faces of an OUT are turned away or covered."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.identity.quality.gate import QualityGate
from pixelbrain.landing.landing import Landing
from pixelbrain.schema import BOX_FIELDS

_BOX = [field.name for field in BOX_FIELDS]


def measure_pose(landmarks: np.ndarray, boxes: np.ndarray, turn: np.ndarray | int = 0) -> dict[str, np.ndarray]:
    """How faces are turned, as far as five points say.

    Args:
        landmarks: float (n, 5, 2), in a picture as it is shown.
        boxes: float (n, 4), x1, y1, x2, y2, likewise.
        turn: int (n,), clockwise degrees by which the picture was turned for its faces to be upright.

    Returns:
        float (n,): `mouth_drop`, how far the middle of the mouth is below that of the eyes, in box widths; and
        `nose_within`, how far inside of the eyes' span the nose is, in distances of the eyes: 0.5 is the middle, and
        below 0 it is outside, as in profile. Both are nan of points that are no landmarks of this box, as tables of
        other programs may have them: the eyes are one, or the middle of all is outside.
    """
    turn = np.broadcast_to(turn, len(boxes))
    sides = boxes[:, 2:] - boxes[:, :2]
    width = np.maximum(np.where(turn % 180 == 0, sides[:, 0], sides[:, 1]), 1)
    eyes = landmarks[:, 1] - landmarks[:, 0]
    down = landmarks[:, 3:].mean(axis=1) - landmarks[:, :2].mean(axis=1)
    angle = np.radians(turn)
    span = (eyes**2).sum(axis=1)
    middle = landmarks.mean(axis=1)
    span[(span <= 0) | (middle < boxes[:, :2]).any(axis=1) | (middle > boxes[:, 2:]).any(axis=1)] = np.nan
    along = ((landmarks[:, 2] - landmarks[:, 0]) * eyes).sum(axis=1) / span
    drop = (np.sin(angle) * down[:, 0] + np.cos(angle) * down[:, 1]) / width
    return {"mouth_drop": np.where(np.isnan(span), np.nan, drop), "nose_within": np.minimum(along, 1 - along)}


def measured(faces: pa.StructArray, turn: np.ndarray) -> dict[str, np.ndarray]:
    """`measure_pose` of landed faces (n,), and what was measured of their pixels; nan where it was not."""
    there = {field.name for field in faces.type}
    pixels = [name for name in ("upright", "visible") if name in there]
    found = {name: _floats(pc.struct_field(faces, name)) for name in pixels}
    if "landmarks" in there:
        landmarks = pc.struct_field(faces, "landmarks")
        known = pc.equal(pc.list_value_length(landmarks), 10).fill_null(False).to_numpy(zero_copy_only=False)
        points = np.full((len(faces), 5, 2), np.nan)
        points[known] = _floats(pc.list_flatten(landmarks.filter(pa.array(known)))).reshape(-1, 5, 2)
        boxes = np.column_stack([_floats(pc.struct_field(faces, name)) for name in _BOX])
        found |= measure_pose(points, boxes, turn)
    return found


def turned_or_covered(
    landing: Landing, gate: QualityGate, images: np.ndarray | None = None
) -> tuple[set[str], set[str]]:
    """face_ids of faces that are turned or covered: those that join nobody, and guests, see `QualityGate.fails`.

    Of all images, or of those at these positions in the index, ascending.
    """
    out: set[str] = set()
    guests: set[str] = set()
    for table in landing.iter_images(["facenet"], vectors=False, images=images):
        struct = table["facenet"].combine_chunks()
        lists = pc.struct_field(struct, "faces")
        faces = pc.list_flatten(lists)
        turn = turns(struct)[pc.list_parent_indices(lists).to_numpy()]
        fails, guest = gate.fails(measured(faces, turn), len(faces))
        for ids, which in (out, fails & ~guest), (guests, guest):
            ids |= set(pc.struct_field(faces, "face_id").filter(pa.array(which)).to_pylist())
    return out, guests


def turns(struct: pa.StructArray) -> np.ndarray:
    """int (n,), by how many degrees each photo was turned; 0 where nobody said."""
    if struct.type.get_field_index("turn") < 0:
        return np.zeros(len(struct), int)
    return pc.struct_field(struct, "turn").fill_null(0).to_numpy(zero_copy_only=False).astype(int)


def _floats(values: pa.Array) -> np.ndarray:
    return values.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)

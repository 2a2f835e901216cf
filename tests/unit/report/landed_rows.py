"""Rows as they land, for the tests of this folder."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.images.written.tags import FIELDS

Row = dict[str, Any]

COLUMNS = {
    "resnet": schema.module_struct(schema.classifier_fields(2)),
    "facenet": schema.module_struct(schema.faces_fields(2)),
    "glasses": schema.module_struct(
        [
            pa.field(
                "faces",
                pa.list_(pa.struct([*schema.WHOSE_FIELDS, ("worn", pa.bool_()), ("tint", pa.string())])),
            )
        ]
    ),
    "exif": schema.module_struct([*FIELDS]),
    "colour": schema.module_struct([pa.field("red", pa.float32()), pa.field("name", pa.string())]),
}
MODELS = {
    "resnet": schema.ModelInfo(model="resnet50", weights_sha256="a" * 64, dim=2),
    "facenet": schema.ModelInfo(model="facenet-vggface2", weights_sha256="b" * 64, dim=2),
    "glasses": None,
    "exif": None,
    "colour": None,
}


def image_row(image_id: str, **values: Any) -> Row:
    """A landed row: an image that was read, unless `values` say otherwise."""
    names = [field.name for field in schema.BASE_FIELDS]
    row: Row = {**dict.fromkeys([*names, *COLUMNS]), "image_id": image_id, "version": "1", "status": "ok"}
    return {**row, "width": 80, "height": 60, "size_bytes": 1234, **values}


def labelled(label: str, score: float, *more: str) -> Row:
    """A classifier's struct; more labels are less likely."""
    top_k = [{"label": one, "score": score / (place + 1)} for place, one in enumerate((label, *more))]
    return {"label": label, "label_score": score, "top_k": top_k, "embedding": [0.0, 1.0]}


def with_faces(image_id: str, *boxes: tuple[float, float, float, float]) -> Row:
    """A face module's struct."""
    faces = [
        {
            "face_id": schema.face_id(image_id, i),
            "x1": x1,
            "y1": y1,
            "x2": x2,
            "y2": y2,
            "score": 0.99,
            "landmarks": [0.0] * 10,
            "sharpness": 50.0,
            "embedding": [1.0, 0.0],
        }
        for i, (x1, y1, x2, y2) in enumerate(boxes)
    ]
    return {"n_faces": len(faces), "faces": faces}


def identity(image_id: str, index: int, identity_id: str | None, distance: float | None = 0.1) -> Row:
    """A row of the identities."""
    return {
        "face_id": schema.face_id(image_id, index),
        "image_id": image_id,
        "identity_id": identity_id,
        "distance": distance if identity_id is not None else None,
        "assigned": "clustered" if identity_id is not None else "gated",
    }

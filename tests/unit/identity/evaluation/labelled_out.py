"""An OUT of faces with vectors, of people who are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pixelbrain import schema
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState

DIM = 8
MODEL = schema.ModelInfo(model="dlib", weights_sha256="a" * 64, dim=DIM)


def vector(person: int, number: int, spread: float = 0.1) -> list[float]:
    """Of a person's number-th face: about an axis of their own."""
    rng = np.random.default_rng([person, number])
    return (np.eye(DIM)[person] + spread * rng.normal(size=DIM)).astype(np.float32).tolist()


def face(x1: float, side: float, embedding: Sequence[float], **more: Any) -> dict[str, Any]:
    box = {"x1": x1, "y1": 10.0, "x2": x1 + side, "y2": 10.0 + side}
    return {**box, "score": 1.0, "sharpness": 100.0, "embedding": list(embedding), **more}


def land(out: Path, photos: dict[str, list[dict[str, Any]]], size: tuple[int, int] = (400, 300)) -> Landing:
    """Each photo's faces, by image_id."""
    columns = pa.schema([*schema.BASE_FIELDS, ("facenet", schema.module_struct(schema.faces_fields(DIM)))])
    rows = [
        {
            "image_id": image_id,
            "version": "1",
            "status": "ok",
            "width": size[0],
            "height": size[1],
            "facenet": {
                "n_faces": len(faces),
                "faces": [{**one, "face_id": schema.face_id(image_id, n)} for n, one in enumerate(faces)],
            },
        }
        for image_id, faces in photos.items()
    ]
    landing = Landing(out)
    state = ModuleState(settings={}, model=MODEL)
    landing.write_part(pa.Table.from_pylist(rows, columns), generation=1, block=0, piece=0, modules={"facenet": state})
    return landing


def identify(landing: Landing, whose: dict[str, str | None]) -> None:
    """Say who is who, by face_id."""
    columns = {
        "face_id": list(whose),
        "image_id": [one.rpartition("#")[0] for one in whose],
        "identity_id": list(whose.values()),
        "distance": [None if who is None else 0.1 for who in whose.values()],
        "assigned": ["single" if who is None else "clustered" for who in whose.values()],
    }
    fields = [schema.IDENTITY_SCHEMA.field(name) for name in columns]
    IDENTITIES.write(landing, pa.table(columns, schema=pa.schema(fields)))

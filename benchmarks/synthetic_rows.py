"""Made-up rows for the stores: documents like a classifier's, and vectors in random directions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["ROWS", "directions", "document", "image_id", "land"]

ROWS = 500  # a batch


def image_id(number: int) -> str:
    """Of the image with this number."""
    return f"file:///photos/2026/11/{number:07d}.jpg"


def document(number: int) -> dict[str, Any]:
    """An image's document of 500 bytes or so."""
    top = [{"label": f"label {place}", "score": 0.1} for place in range(5)]
    found = {"label": f"label {number % 1000}", "label_score": 0.5, "top_k": top}
    base = {"version": "1", "size_bytes": number, "sha256": f"{number:064x}", "format": "JPEG", "status": "ok"}
    return {"_id": image_id(number), "image_id": image_id(number), **base, "width": 640, "height": 480, "resnet": found}


def directions(block: int, dim: int) -> np.ndarray:
    """float32 (ROWS, dim): random vectors of length 1, the same for the same block."""
    rows = np.random.default_rng([block, dim]).normal(size=(ROWS, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def land(out: Path, images: int, dim: int) -> None:
    """An OUT with a classifier's embedding an image."""
    import pyarrow as pa

    from pixelbrain import schema
    from pixelbrain.landing.landing import Landing
    from pixelbrain.landing.parts import ModuleState, claim_generation

    landing = Landing(out)
    fields = [*schema.BASE_FIELDS, pa.field("resnet", schema.module_struct(schema.classifier_fields(dim)))]
    model = schema.ModelInfo(model="random", weights_sha256="", dim=dim)
    generation = claim_generation(landing.storage)
    for block in range(images // ROWS):
        rows = [document(block * ROWS + row) for row in range(ROWS)]
        for row, vector in zip(rows, directions(block, dim), strict=True):
            row["resnet"]["embedding"] = vector
        table = pa.Table.from_pylist(rows, schema=pa.schema(fields))
        states = {"resnet": ModuleState(settings={}, model=model)}
        landing.write_part(table, generation=generation, block=block, piece=0, modules=states)

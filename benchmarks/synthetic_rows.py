"""Made-up rows for the stores: documents like a classifier's, and vectors in random directions."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["ROWS", "directions", "document", "image_id", "land", "land_people"]

ROWS = 500  # a batch
_BOX = {"x1": 200.0, "y1": 100.0, "x2": 400.0, "y2": 350.0}


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


def land_people(out: Path, photos: Path, images: int, *, each: int = 20, vectors_every: int = 1) -> None:
    """An OUT of labelled photos with a face each, of people of `each` photos, and the empty files that it is about.

    Faces are as the packaged dlib embeds them, so that `--offline --module facenet` finds nothing left to do, and a
    search its model; labels are made up. Of every `vectors_every`-th photo there are vectors.
    """
    import pyarrow as pa

    from pixelbrain import schema
    from pixelbrain.images.loader import DataLoader
    from pixelbrain.landing.landing import Landing
    from pixelbrain.landing.parts import ModuleState, claim_generation, write_table
    from pixelbrain.modules.registry import create_module

    Image.new("RGB", (64, 48)).save(picture := io.BytesIO(), "JPEG")
    for first in range(0, images, 1_000):
        (folder := photos / f"{first // 1_000:04d}").mkdir(parents=True)
        for number in range(first, min(first + 1_000, images)):
            (folder / f"{number:07d}.jpg").touch()
    facenet = create_module("facenet", embedder="dlib", offline=True)
    facenet.prepare()
    dim = facenet.model_info().dim
    random = schema.ModelInfo(model="random", weights_sha256="", dim=16)
    states = {
        "facenet": ModuleState(settings=facenet.settings(), model=facenet.model_info()),
        "resnet": ModuleState(settings={}, model=random),
    }
    landing = Landing(out)
    generation, start = claim_generation(landing.storage), 0
    for block, table in enumerate(_thousands(DataLoader(str(photos)).list_images())):
        numbers = np.arange(start, start + len(table))
        start += len(table)
        rows = table.append_column("sha256", pa.array([f"{n:064x}" for n in numbers]))
        for name, value in (("format", "JPEG"), ("status", "ok")):
            rows = rows.append_column(name, pa.array([value] * len(table)))
        for name, pixels in (("width", 640), ("height", 480)):
            rows = rows.append_column(name, pa.array([pixels] * len(table), pa.int32()))
        for name in ("error_type", "error"):
            rows = rows.append_column(name, pa.nulls(len(table), pa.string()))
        rows = rows.append_column("resnet", _labels(numbers, random.dim, vectors_every))
        faces = _faces(table["image_id"].to_pylist(), numbers, each, dim, vectors_every)
        rows = rows.append_column("facenet", faces)
        name = landing.write_part(rows, generation=generation, block=block, piece=0, modules=states)
        write_table(
            landing.storage, f"{schema.PICTURES}/{name.rpartition('/')[2]}", _pictures(table, picture.getvalue())
        )


def _pictures(table: Any, picture: bytes) -> Any:
    """The same picture of every image and of its face."""
    import pyarrow as pa

    from pixelbrain import schema

    ids = table.select(["image_id", "version"])
    tables = [
        ids.append_column("box", pa.array([box] * len(ids), schema.PICTURE_SCHEMA.field("box").type))
        .append_column("picture", pa.array([picture] * len(ids), pa.binary()))
        .cast(schema.PICTURE_SCHEMA)
        for box in (None, list(_BOX.values()))
    ]
    return pa.concat_tables(tables)


def _thousands(tables: Any) -> Any:
    for table in tables:
        for start in range(0, len(table), 1_000):
            yield table.slice(start, 1_000)


def _labels(numbers: np.ndarray, dim: int, vectors_every: int) -> Any:
    import pyarrow as pa

    from pixelbrain import schema

    label = [f"label {number % 1000}" for number in numbers]
    top = [
        [{"label": name, "score": 0.5}, *({"label": f"label {n}", "score": 0.1} for n in range(4))] for name in label
    ]
    vectors = np.random.default_rng(numbers[0]).normal(size=(len(numbers), dim)).astype(np.float32)
    rows = zip(label, top, _some(numbers, vectors, vectors_every), strict=True)
    found = [{"label": name, "label_score": 0.5, "top_k": best, "embedding": vector} for name, best, vector in rows]
    return pa.array(found, schema.module_struct(schema.classifier_fields(dim)))


def _some(numbers: np.ndarray, vectors: np.ndarray, every: int) -> list[np.ndarray | None]:
    """The vectors of every `every`-th photo."""
    return [vector if number % every == 0 else None for number, vector in zip(numbers, vectors, strict=True)]


def _faces(image_ids: list[str], numbers: np.ndarray, each: int, dim: int, vectors_every: int) -> Any:
    """A face an image, near to the others of the same person."""
    import pyarrow as pa

    from pixelbrain import schema

    people = numbers // each
    vectors = np.random.default_rng([len(image_ids), people[0]]).normal(size=(len(people), dim)) / 4
    vectors += [np.random.default_rng([7, person]).normal(size=dim) for person in people]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    kind = schema.module_struct(schema.faces_fields(dim))
    found = []
    for one, vector in zip(image_ids, _some(numbers, vectors, vectors_every), strict=True):
        face = {"face_id": schema.face_id(one, 0), **_BOX, "score": 0.99, "sharpness": 500.0, "landmarks": [0.0] * 10}
        found.append({"n_faces": 1, "faces": [face | {"embedding": vector}]})
    return pa.array(found, kind)

"""Small landed tables, and stores that are real: a mongod of our own, and ChromaDB."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState, claim_generation
from pixelbrain.stages import forget
from pixelbrain.stores.database import Database
from pixelbrain.stores.mongo.embedded import EmbeddedMongo
from tests.integration.forked import CONTEXT
from tests.integration.stores.loader import fill_stores

IMAGE_DIM = 8
FACE_DIM = 4
IMAGE_MODEL = schema.ModelInfo(model="resnet18", weights_sha256="a" * 64, dim=IMAGE_DIM)
FACE_MODEL = schema.ModelInfo(model="dlib", weights_sha256="b" * 64, dim=FACE_DIM)


def make_image(
    number: int, *, faces: int = 0, version: str = "1", status: str = "ok", label: str = "tabby"
) -> dict[str, Any]:
    """A landed row. Its vectors depend on number, version and place only."""
    image_id = f"file:///photos/{number:03d}.jpg"
    row: dict[str, Any] = {
        "image_id": image_id,
        "version": version,
        "size_bytes": 1000 + number,
        "sha256": f"{number:064x}",
        "format": "JPEG",
        "width": 640,
        "height": 480,
        "status": status,
    }
    if status == "failed":
        return {**row, "error_type": "DecodeError", "error": "the file is empty"}
    random = np.random.default_rng([number, int(version)])
    row["resnet"] = {
        "label": label,
        "label_score": 0.5 + number / 1000,
        "top_k": [{"label": label, "score": 0.5}],
        "embedding": random.normal(size=IMAGE_DIM).astype(np.float32),
    }
    row["facenet"] = {"n_faces": faces, "faces": [_face(image_id, place, random) for place in range(faces)]}
    return row


def _face(image_id: str, place: int, random: np.random.Generator) -> dict[str, Any]:
    vector = random.normal(size=FACE_DIM).astype(np.float32)
    return {
        "face_id": schema.face_id(image_id, place),
        "x1": 10.0,
        "y1": 20.0,
        "x2": 60.0,
        "y2": 90.0,
        "landmarks": [float(i) for i in range(10)],
        "score": 0.99,
        "sharpness": 100.0,
        "embedding": vector / np.linalg.norm(vector),
    }


def land_rows(
    out: Path,
    rows: Sequence[dict[str, Any]],
    *,
    image_model: schema.ModelInfo = IMAGE_MODEL,
    face_model: schema.ModelInfo = FACE_MODEL,
    replace: bool = True,
) -> Landing:
    """Land rows; `replace` removes what had landed before."""
    landing = Landing(out)
    if replace:
        for name in landing.storage.names("images"):
            landing.storage.delete(f"images/{name}")
    landing.refresh()
    fields = [
        *schema.BASE_FIELDS,
        pa.field("resnet", schema.module_struct(schema.classifier_fields(image_model.dim))),
        pa.field("facenet", schema.module_struct(schema.faces_fields(face_model.dim))),
    ]
    states = {
        "resnet": ModuleState(settings={}, model=image_model),
        "facenet": ModuleState(settings={}, model=face_model),
    }
    table = pa.Table.from_pylist(list(rows), schema=pa.schema(fields))
    landing.write_part(table, generation=claim_generation(landing.storage), block=0, piece=0, modules=states)
    landing.refresh()
    return landing


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMongo]:
    """One mongod for the session; tests use databases of their own in it."""
    with EmbeddedMongo(tmp_path_factory.mktemp("mongod") / "mongo") as server:
        yield server


@pytest.fixture
def open_database(mongod: EmbeddedMongo, tmp_path: Path) -> Iterator[Callable[..., Database]]:
    """Opens databases of `tmp_path/out` in the session's mongod."""
    opened: list[Database] = []
    uri = mongod.uri.replace("/?", f"/test-{abs(hash(tmp_path)):x}?")

    def open_one(out: Path = tmp_path / "out") -> Database:
        database = Database.open(out, mongo=uri)
        opened.append(database)
        return database

    yield open_one
    for database in opened:
        database.close()
    with Database.open(tmp_path / "out", mongo=uri) as database:
        database.delete()


@pytest.fixture
def database(open_database: Callable[..., Database]) -> Database:
    """An empty database over `tmp_path/out`."""
    return open_database()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The OUT folder that `database` belongs to."""
    return tmp_path / "out"


@pytest.fixture
def image() -> Callable[..., dict[str, Any]]:
    """Makes a landed row: `image(number, faces=, version=, status=, label=)`."""
    return make_image


@pytest.fixture
def land(out: Path) -> Callable[..., Landing]:
    """Lands rows in OUT in place of what was there: `land(rows, image_model=, face_model=)`."""
    return functools.partial(land_rows, out)


@pytest.fixture
def forked_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of `forget` that fills the stores, forked from one that never held what is erased.

    `test_no_byte_of_a_person_is_left_in_any_store` has the real one.
    """

    def load_apart(landing: Landing, **stores: str | None) -> None:
        process = CONTEXT.Process(target=fill_stores, args=(dict(os.environ), landing.storage), kwargs=stores)
        process.start()
        process.join()
        assert process.exitcode == 0

    monkeypatch.setattr(forget, "load_apart", load_apart)

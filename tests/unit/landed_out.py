"""An OUT where all has landed, so that a run starts no Ray; and stores that only count what is asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.locks.run import RunLock
from pixelbrain.stores.load import LoadReport
from tests.unit.engine.modules_for_tests import Size

LOADED = LoadReport(
    images=7, faces=0, image_vectors=0, face_vectors=0, images_written=7, image_vectors_written=0,
    face_vectors_written=0, skipped=0, removed=0, rebuilt=(), errors=(), seconds=1.2345,
)  # fmt: skip


@pytest.fixture
def landed(photo_folder, tmp_path) -> Path:
    """OUT with the column `size` of the photo folder's seven images."""
    landing = Landing(tmp_path / "out")
    photos = [row for table in DataLoader(str(photo_folder)).list_images() for row in table.to_pylist()]
    rows = [
        {name: row[name] for name in ("image_id", "version")}
        | {"status": "ok", "width": 60, "height": 40, "size": {"pixels": 2400}}
        for row in photos
    ]
    columns = pa.schema([*schema.BASE_FIELDS, pa.field("size", Size().struct_type())])
    table = pa.Table.from_pylist(rows, columns)
    state = ModuleState(settings={}, model=None)
    landing.write_part(table, generation=1, block=0, piece=0, modules={"size": state})
    return tmp_path / "out"


def land_faces(
    out: Path | str,
    ids: Iterable[str],
    *,
    version: str = "1",
    settings: Mapping[str, Any] = MappingProxyType({}),
    x1: float = 1.0,
    generation: int = 1,
    measures: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
    embeddings: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> Landing:
    """An OUT where these faces landed (`image_id#0`), or images without any, and a label of each image.

    `measures`: of some faces, what was measured of their pixels.
    """
    landing = Landing(out)
    measured = [(name, pa.float32()) for name in ("score", "sharpness", "upright", "visible")]
    measured += [("embedding", pa.list_(pa.float32(), len(one))) for one in list(embeddings.values())[:1]]
    face = pa.struct([("face_id", pa.string()), *schema.BOX_FIELDS, *measured])
    columns = {
        "facenet": schema.module_struct([pa.field("n_faces", pa.int32()), pa.field("faces", pa.list_(face))]),
        "resnet": schema.module_struct(schema.classifier_fields(1)),
    }
    faces: dict[str, list[dict[str, Any]]] = {}
    for one in ids:
        found = faces.setdefault(one.partition("#")[0], [])
        if "#" in one:
            box = {"face_id": one, "x1": x1, "y1": 2, "x2": 3, "y2": 4}
            found.append({**box, "embedding": embeddings.get(one), **measures.get(one, {})})
    rows = [
        {"image_id": one, "version": version, "status": "ok", "resnet": {"label": "tabby", "label_score": 0.9}}
        | {"facenet": {"n_faces": len(found), "faces": found}}
        for one, found in faces.items()
    ]
    table = pa.Table.from_pylist(rows, pa.schema([*schema.BASE_FIELDS, *columns.items()]))
    states = dict.fromkeys(columns, ModuleState(settings=dict(settings), model=None))
    landing.write_part(table, generation=generation, block=0, piece=0, modules=states)
    return landing


@pytest.fixture
def loads(monkeypatch) -> list[str]:
    """Where was loaded into, in place of loading; each time OUT has to be locked."""
    found: list[str] = []

    def load(landing, database, *, rebuild, progress):
        assert RunLock(landing.storage, what="test").holders() > 0
        found.append(repr(database))
        return LOADED

    monkeypatch.setattr("pixelbrain.stores.load.load", load)
    monkeypatch.setattr("pixelbrain.stores.database.Database.check", lambda database, store, **_: None)
    return found


@pytest.fixture
def taken(monkeypatch) -> list[str]:
    """What OUT was locked for; stages that nest take no lock of their own."""
    found: list[str] = []
    take = RunLock._take

    def counted(lock):
        found.append(lock._what)
        return take(lock)

    monkeypatch.setattr(RunLock, "_take", counted)
    return found

"""Vectors out of landed rows: those that are there, with the metadata that ChromaDB can keep."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.errors import LandingError
from pixelbrain.stores.vectors import VectorBatch, landed_vectors, vector_models
from tests.unit.report.conftest import land  # noqa: F401  (a fixture)
from tests.unit.report.landed_rows import COLUMNS, MODELS, image_row, labelled, with_faces

BOX = (1.5, 2.0, 31.5, 40.0)


def _table(rows: list[dict]) -> pa.Table:
    columns = [pa.field(name, COLUMNS[name]) for name in ("resnet", "facenet")]
    return pa.Table.from_pylist(rows, pa.schema([*schema.BASE_FIELDS, *columns]))


def test_one_vector_an_image_that_has_one():
    rows = [image_row("a", resnet=labelled("cat", 0.9)), image_row("b"), image_row("c", resnet={"label": "cup"})]
    batch = landed_vectors("images", _table(rows))
    assert batch.ids == ["a"] and batch.metadata == [{"version": "1", "label": "cat"}]
    assert batch.vectors.dtype == np.float32 and batch.vectors.tolist() == [[0.0, 1.0]]


def test_one_vector_a_face_with_its_image_and_width():
    faces = with_faces("b", BOX, BOX, BOX)
    faces["faces"][1]["embedding"] = None
    faces["faces"][2]["sharpness"] = float("nan")  # ChromaDB has no NaN
    batch = landed_vectors("faces", _table([image_row("a"), image_row("b", version="7", facenet=faces)]))
    assert batch.ids == ["b#0", "b#2"] and batch.vectors.shape == (2, 2)
    first = {"image_id": "b", "version": "7", "width_px": 30.0, "sharpness": 50.0, "score": pytest.approx(0.99)}
    assert batch.metadata == [first, {key: value for key, value in first.items() if key != "sharpness"}]


def test_of_a_table_without_the_column_there_are_none():
    table = _table([image_row("a")])
    assert landed_vectors("faces", table.drop_columns(["facenet"])) is None
    assert len(landed_vectors("faces", table)) == len(landed_vectors("images", table)) == 0


def test_the_row_hash_follows_vector_and_metadata():
    batch = VectorBatch(ids=["a"], vectors=np.ones((1, 2), np.float32), metadata=[{"version": "1", "score": 0.5}])
    (one,) = batch.row_hashes()
    turned = VectorBatch(ids=["b"], vectors=batch.vectors, metadata=[{"score": 0.5, "version": "1"}])
    assert turned.row_hashes() == [one]
    others = [
        VectorBatch(ids=["a"], vectors=batch.vectors * 2, metadata=batch.metadata),
        VectorBatch(ids=["a"], vectors=batch.vectors, metadata=[{"version": "2", "score": 0.5}]),
    ]
    assert len({one, *(other.row_hashes()[0] for other in others)}) == 3


def test_each_collection_is_of_the_model_that_landed(land, monkeypatch):  # noqa: F811
    landing = land([image_row("a", resnet=labelled("cat", 0.9))], modules=("resnet",))
    assert vector_models(landing) == {"images": MODELS["resnet"]}
    monkeypatch.setitem(MODELS, "resnet", None)
    with pytest.raises(LandingError, match="does not say which model"):
        vector_models(land([image_row("a")], modules=("resnet",)))

"""Vectors out of landed rows: those that are there, with the metadata that ChromaDB can keep."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.errors import ConfigError
from pixelbrain.stores.vectors import (
    VectorBatch,
    check_collection,
    landed_vectors,
    nearest_landed,
    vector_fields,
    vector_models,
)
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


def test_each_collection_is_of_the_model_that_landed_or_of_the_module_that_names_none(land, monkeypatch):  # noqa: F811
    rows = [image_row("a", resnet=labelled("cat", 0.9))]
    assert vector_models(land(rows, modules=("resnet",))) == {"images": MODELS["resnet"]}
    monkeypatch.setitem(MODELS, "resnet", None)
    (model,) = vector_models(land([image_row("b")], modules=("resnet",))).values()
    assert (model.model, model.dim) == ("resnet", 2) and model.weights_sha256


def test_whatever_lands_a_vector_is_found_by_its_type(land, monkeypatch):  # noqa: F811
    vector, number = schema.embedding_type(2), pa.float32()
    things = pa.list_(pa.struct([("score", number), ("look", vector), ("corners", pa.list_(number))]))
    monkeypatch.setitem(COLUMNS, "mood", schema.module_struct([pa.field("tone", vector)]))
    monkeypatch.setitem(COLUMNS, "pets", schema.module_struct([pa.field("whole", vector), pa.field("pets", things)]))
    monkeypatch.setitem(MODELS, "mood", None)
    monkeypatch.setitem(MODELS, "pets", schema.ModelInfo(model="pets-1", weights_sha256="c" * 64, dim=7))
    pet = {"score": 0.5, "look": [1.0, 0.0], "corners": [1.0]}
    rows = [
        image_row("a", mood={"tone": [0.0, 2.0]}, pets={"whole": [1.0, 1.0], "pets": [pet, pet]}),
        image_row("b", mood={"tone": None}, pets={"whole": None, "pets": [{**pet, "look": [0.0, 3.0]}]}),
    ]
    landing = land(rows, modules=("mood", "pets"))
    fields = vector_fields(landing)
    assert {name: one.model.dim for name, one in fields.items()} == {"mood": 2, "pets.whole": 2, "pets.pets.look": 2}
    (table,) = landing.iter_images()
    assert [landed_vectors(fields[name], table).ids for name in ("mood", "pets.whole")] == [["a"], ["a"]]
    batch = landed_vectors(fields["pets.pets.look"], table)
    assert batch.ids == ["a#0", "a#1", "b#0"] and batch.metadata[2] == {"image_id": "b", "version": "1", "score": 0.5}
    ((nearest, *_others),) = nearest_landed(landing, "pets.pets.look", np.float32([[0, 1]]), 3)
    assert (nearest.id, nearest.distance) == ("b#0", 0)
    with pytest.raises(ConfigError, match="has a NaN or an infinity, and nothing is near it"):
        nearest_landed(landing, "pets.pets.look", np.float32([[0, np.nan]]), 3)
    for ids, found in {("a", "x"): ["a#0", "a#1"], (): []}.items():  # only among these
        among = pa.chunked_array([ids], pa.string())
        (near,) = nearest_landed(landing, "pets.pets.look", np.float32([[0, 1]]), 3, among)
        assert [one.id for one in near] == found
    (bare,) = landing.iter_images(vectors=False)
    assert [field.name for field in bare["pets"].type] == ["pets", "error_type", "error"]
    assert [field.name for field in bare["pets"].type.field("pets").type.value_type] == ["score", "corners"]
    with pytest.raises(ConfigError, match="'dogs' is not a vector collection: one of faces, images, mood, pets.pets"):
        check_collection(landing, "dogs")

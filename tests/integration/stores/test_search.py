"""Search: the right neighbours, by cosine distance, from one model only."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.errors import ConfigError, MixedModelsError, StoreError
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.report.search import search
from pixelbrain.stores.database import Database
from pixelbrain.stores.load import load
from tests.integration.stores.conftest import FACE_MODEL, IMAGE_MODEL


@pytest.fixture
def rows(image):
    return [image(number, faces=2) for number in range(40)]


@pytest.fixture
def loaded(land, rows, database):
    load(land(rows), database)
    return database


def _search(database: Database, vectors: np.ndarray, by: str = "faces", k: int = 20) -> list[list]:
    return search(database, vectors, by=by, model=database.vector_model(by), k=k)


def _cosine(query: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return 1 - vectors @ query / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(query))


def test_similar_images_by_cosine_distance(loaded, rows):
    vectors = np.array([row["resnet"]["embedding"] for row in rows])
    query = np.random.default_rng(7).normal(size=8).astype(np.float32)
    expected = _cosine(query, vectors)
    order = np.argsort(expected)[:5]

    (found,) = _search(loaded, query, "images", 5)

    assert [match.image_id for match in found] == [rows[i]["image_id"] for i in order]
    assert [match.distance for match in found] == pytest.approx(expected[order].tolist(), abs=1e-5)
    assert found[0].label == "tabby"
    assert [match.label_score for match in found] == pytest.approx([rows[i]["resnet"]["label_score"] for i in order])
    # not of its length: that is what cosine means
    longer, opposite = _search(loaded, np.stack([query * 50, -vectors[0]]), "images", 40)
    assert [match.image_id for match in longer[:5]] == [match.image_id for match in found]
    assert len(opposite) == 40 and opposite[-1].distance == pytest.approx(2, abs=1e-5)


def test_faces_with_their_identities(loaded, rows):
    faces = [face for row in rows for face in row["facenet"]["faces"]]
    vectors = np.array([face["embedding"] for face in faces])
    table = [
        {"face_id": faces[3]["face_id"], "image_id": rows[1]["image_id"], "identity_id": "ann", "assigned": "single"}
    ]
    IDENTITIES.write(loaded.landing, pa.Table.from_pylist(table, schema=schema.IDENTITY_SCHEMA))

    found = _search(loaded, vectors[[3, 10]], k=4)

    assert [len(row) for row in found] == [4, 4]
    assert found[0][0].face_id == faces[3]["face_id"] and found[0][0].image_id == rows[1]["image_id"]
    assert found[0][0].distance == pytest.approx(0, abs=1e-6)
    assert found[0][0].identity_id == "ann" and found[1][0].identity_id is None
    assert [m.distance for m in found[1]] == pytest.approx(
        np.sort(_cosine(vectors[10], vectors))[:4].tolist(), abs=1e-5
    )
    assert dataclasses.asdict(found[1][0]).keys() == {"face_id", "image_id", "distance", "identity_id", "score"}
    assert _search(loaded, np.empty((0, 4), np.float32)) == []


def test_few_vectors_in_step_are_searched_in_parquet_with_nothing_opened(land, rows, image, out, caplog):
    rows[7]["resnet"]["embedding"] = np.full(8, np.nan, np.float32)  # which ChromaDB refuses
    landing = land(rows)
    queries = np.random.default_rng(3).normal(size=(3, 8)).astype(np.float32)
    with Database.open(out) as database:
        load(landing, database)
        by_chroma = _search(database, queries, "images", 50)
    with Database.open(out) as database:
        found = search(database, queries, by="images", model=IMAGE_MODEL, k=50)
        assert database._vectors._store is None and database.mongo_connection.embedded is None
        assert [[match.image_id for match in row] for row in found] == [[m.image_id for m in row] for row in by_chroma]
        assert [m.distance for row in found for m in row] == pytest.approx(
            [m.distance for row in by_chroma for m in row], abs=1e-5
        )
        assert len(found[0]) == 39 and found[0][0].label == "tabby"
        face = rows[9]["facenet"]["faces"][1]
        ((one,),) = search(database, face["embedding"], model=FACE_MODEL, k=1)
        assert (one.face_id, one.image_id) == (face["face_id"], rows[9]["image_id"])
        assert one.score == pytest.approx(0.99) and one.distance == pytest.approx(0, abs=1e-6)
        with pytest.raises(MixedModelsError, match="8 numbers"):
            search(database, np.ones((1, 512)), by="images", model=IMAGE_MODEL)
        land([image(41)], replace=False)
        assert len(search(database, queries[:1], by="images", model=IMAGE_MODEL, k=50)[0]) == 39
        assert database._vectors._store is not None and "holds 39 images, and 41 landed" in caplog.text


def test_a_filter_on_the_metadata(loaded, rows):
    wanted = rows[5]["image_id"]
    (found,) = loaded.query_vector_field("faces", np.ones(4), n_results=10, where={"image_id": wanted})
    assert sorted(match.id for match in found) == [f"{wanted}#0", f"{wanted}#1"]
    with pytest.raises(StoreError, match="ChromaDB at"):
        loaded.query_vector_field("faces", np.ones(4), where={"$nonsense": 1})


def test_only_vectors_of_the_same_model_are_compared(loaded, rows):
    model = loaded.vector_model("images")
    (found,) = search(loaded, rows[0]["resnet"]["embedding"], by="images", model=model, k=1)
    assert found[0].image_id == rows[0]["image_id"]
    with pytest.raises(MixedModelsError, match="use the same"):
        search(loaded, np.ones(8), by="images", model=dataclasses.replace(model, weights_sha256="e" * 64))
    with pytest.raises(MixedModelsError, match="4 numbers"):
        _search(loaded, np.ones((1, 512)))
    with pytest.raises(ConfigError, match="'dogs' is not a vector collection: one of faces, images"):
        search(loaded, np.ones(8), by="dogs", model=model)
    with pytest.raises(ConfigError, match="at least 1"):
        _search(loaded, np.ones(8), "images", 0)


def test_before_a_load_it_says_what_to_do(tmp_path):
    with Database.open(tmp_path) as database:
        with pytest.raises(StoreError, match="pixelbrain load"):
            search(database, np.ones((1, 4)), model=FACE_MODEL)
        with pytest.raises(StoreError, match="pixelbrain load"):
            database.vector_model("faces")
    assert not (tmp_path / "db").exists()

"""Loading: both stores end up with what Parquet has, whatever was there."""

from __future__ import annotations

import dataclasses
import logging
import shutil

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.errors import LandingError, MixedModelsError, StoreError
from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.stores.chroma.collections import VectorStore
from pixelbrain.stores.database import Database
from pixelbrain.stores.in_step import store_state
from pixelbrain.stores.load import load


def _ids(database, collection):
    return sorted(one for batch in database.iter_vectors(collection, batch=3) for one in batch.ids)


def test_a_load_fills_both_stores(land, image, database):
    rows = [image(number, faces=number % 3) for number in range(10)] + [image(10, status="failed")]
    landing = land(rows)
    steps = []

    report = load(landing, database, progress=lambda done, total: steps.append((done, total)))

    assert (report.images, report.faces, report.image_vectors, report.face_vectors) == (11, 9, 10, 9)
    assert (report.images_written, report.image_vectors_written, report.face_vectors_written) == (11, 10, 9)
    assert (report.skipped, report.removed, report.errors) == (0, 0, ())
    assert steps == [(11, 11)]
    assert database.count_images() == 11
    assert _ids(database, "images") == [row["image_id"] for row in rows[:10]]
    assert len(_ids(database, "faces")) == 9
    assert store_state(landing, database).in_step
    assert database.vector_model("images") == landing.models()["resnet"]
    assert database.vector_model("faces") == landing.models()["facenet"]


def test_documents_hold_fields_and_no_vectors(land, image, database):
    load(land([image(1, faces=2), image(2, status="failed")]), database)

    found = database.get_image("file:///photos/001.jpg")
    assert found["_id"] == found["image_id"] == "file:///photos/001.jpg"
    assert (found["status"], found["version"], found["width"]) == ("ok", "1", 640)
    assert found["resnet"]["label"] == "tabby" and "embedding" not in found["resnet"]
    assert len(found["facenet"]["faces"]) == 2
    for place, face in enumerate(found["facenet"]["faces"]):
        assert face["face_id"] == f"file:///photos/001.jpg#{place}"
        assert (face["x1"], face["y2"], len(face["landmarks"])) == (10.0, 90.0, 10)
        assert "embedding" not in face and "identity_id" not in face
    failed = database.get_image("file:///photos/002.jpg")
    assert (failed["status"], failed["error_type"], failed["error"]) == ("failed", "DecodeError", "the file is empty")
    assert "resnet" not in failed and "facenet" not in failed
    assert database.get_image("file:///photos/003.jpg") is None


def test_vectors_come_back_as_they_landed(land, image, database):
    rows = [image(number, faces=2) for number in range(3)]
    load(land(rows), database)

    (batch,) = database.iter_vectors("faces")
    assert batch.vectors.dtype == np.float32 and batch.vectors.shape == (6, 4)
    landed = {face["face_id"]: face["embedding"] for row in rows for face in row["facenet"]["faces"]}
    assert sorted(landed) == sorted(batch.ids)
    for one, vector in zip(batch.ids, batch.vectors, strict=True):
        np.testing.assert_array_equal(vector, landed[one])
    assert batch.metadata[0].keys() == {"image_id", "version", "score", "width_px", "sharpness"}
    assert batch.metadata[0]["width_px"] == 50.0
    (images,) = database.iter_vectors("images")
    assert images.metadata[0] == {"version": "1", "label": "tabby"}


def test_vectors_of_a_users_own(land, image, database):
    rows = [image(number) for number in range(3)]
    landing = land(rows)
    ids = [row["image_id"] for row in rows]
    found = database.store_vectors("mine", dict(zip(ids, np.eye(3, 4), strict=True)), model="my-model")
    assert (found.written, found.errors) == (3, ())
    assert database.vector_model("mine").model == "my-model" and database.behind("mine") is None
    assert database.store_vectors("mine", {ids[0]: [0, 0, 0, 2], ids[1]: None}).written == 2
    for _load in range(2):
        ((first, second),) = database.query_vector_field("mine", [0, 0, 0.1, 1], n_results=5)
        assert (first.id, second.id) == (ids[0], ids[2]) and first.metadata["version"] == rows[0]["version"]
        load(landing, database, rebuild=True)


def test_a_second_load_changes_nothing(land, image, database):
    landing = land([image(number, faces=2) for number in range(5)])
    load(landing, database)
    before = list(database.find_images())

    report = load(landing, database)

    assert (report.images_written, report.image_vectors_written, report.face_vectors_written) == (0, 0, 0)
    assert report.skipped == 5 + 5 + 10
    assert list(database.find_images()) == before


def test_of_an_empty_collection_nothing_is_asked(land, image, database, monkeypatch):
    asked = []
    written = VectorStore.upsert

    def seen(store, name, batch, *, rewrite=False):
        result = written(store, name, batch, rewrite=rewrite)
        asked.append((name, not rewrite, result.written))
        return result

    monkeypatch.setattr(VectorStore, "upsert", seen)
    rows = [image(number, faces=1) for number in range(3)]
    load(land(rows[:2]), database)
    assert sorted(asked) == [("faces", False, 2), ("images", False, 2)]
    asked.clear()
    load(land(rows[1:]), database)  # in a batch, or beside one, of what is there
    assert {(name, first) for name, first, _ in asked} == {("faces", True), ("images", True)}
    assert sum(count for *_, count in asked) == 2


def test_a_changed_photo_is_loaded_again_and_its_fields_stay(land, image, database):
    def asked() -> int:  # how often the server was asked which of some documents it has
        finds = database.mongo["system.profile"].find({"op": "query", "command.find": "images"})
        return sum("_id" in find["command"]["filter"] for find in finds)

    database.mongo.command("profile", 2)
    load(land([image(number, faces=2) for number in range(5)]), database)
    assert asked() == 0  # there was nothing
    database.store_field("note", {"file:///photos/003.jpg": "mine"})
    before = asked()

    rows = [image(number, faces=2) for number in range(5)]
    rows[3] = image(3, faces=2, version="2", label="tiger cat")
    landing = land(rows)
    assert not store_state(landing, database).in_step
    report = load(landing, database)

    assert asked() == before + 1
    database.mongo.command("profile", 0)
    assert (report.images_written, report.image_vectors_written, report.face_vectors_written) == (1, 1, 2)
    found = database.get_image("file:///photos/003.jpg")
    assert (found["version"], found["resnet"]["label"], found["note"]) == ("2", "tiger cat", "mine")
    ((match, *_),) = database.query_vector_field("images", rows[3]["resnet"]["embedding"], n_results=1)
    assert match.id == "file:///photos/003.jpg" and match.distance < 1e-6


def test_a_users_fields_follow_the_bytes_of_a_photo_that_moved(land, image, database):
    copy = image(2) | {"sha256": image(1)["sha256"]}
    load(land([image(0), image(1), copy, image(3)]), database)
    one, two, three, four = (f"file:///photos/{number:03d}.jpg" for number in range(4))
    database.store_field("note", {one: "mine", two: "of the original", three: "of the copy", four: "of none"})
    database.store_field("deep.er", {two: 1})
    moved = image(0) | {"image_id": "file:///elsewhere.jpg"}
    landing = land([moved, copy])
    load(landing, database)
    found = {document["image_id"]: document for document in database.find_images()}
    assert found.keys() == {"file:///elsewhere.jpg", three}
    assert found["file:///elsewhere.jpg"]["note"] == "mine" and "deep" not in found["file:///elsewhere.jpg"]
    assert (found[three]["note"], found[three]["deep"]) == ("of the copy", {"er": 1})
    assert store_state(landing, database).in_step


def test_vanished_faces_and_images_are_removed(land, image, database):
    load(land([image(number, faces=3) for number in range(6)]), database)

    landing = land([image(0, faces=1, version="2"), *(image(number, faces=3) for number in range(1, 4))])
    report = load(landing, database)

    assert (report.images, report.image_vectors, report.face_vectors) == (4, 4, 10)
    assert report.removed == 2 + 2 + (2 + 6)  # images, their vectors, two faces of image 0 and all of 4 and 5
    assert _ids(database, "images") == [f"file:///photos/{number:03d}.jpg" for number in range(4)]
    assert [one for one in _ids(database, "faces") if "000" in one] == ["file:///photos/000.jpg#0"]
    assert store_state(landing, database).in_step


def test_an_image_that_fails_now_loses_its_fields_and_vectors(land, image, database):
    load(land([image(0, faces=1), image(1, faces=1)]), database)
    report = load(land([image(0, faces=1), image(1, version="2", status="failed")]), database)

    assert (report.image_vectors, report.face_vectors) == (1, 1)
    assert "resnet" not in database.get_image("file:///photos/001.jpg")


def test_images_that_a_user_added_stay(land, image, database):
    database.add_images([{"image_id": "file:///mine.jpg", "note": "not landed"}])
    report = load(land([image(0)]), database)

    assert (report.images, report.removed) == (1, 0)
    assert database.count_images() == 2


def test_another_model_is_refused_until_rebuild(land, image, database):
    rows = [image(number, faces=1) for number in range(3)]
    load(land(rows), database)
    database.store_field("note", {"file:///photos/000.jpg": "mine"})
    other = schema.ModelInfo(model="facenet-vggface2", weights_sha256="c" * 64, dim=4)
    landing = land(rows, face_model=other)

    with pytest.raises(MixedModelsError, match="--rebuild"):
        load(landing, database)
    assert database.vector_model("faces").model == "dlib"
    assert any("facenet-vggface2" in reason for reason in store_state(landing, database).reasons)

    report = load(landing, database, rebuild=True)
    assert (report.image_vectors_written, report.face_vectors_written) == (3, 3)
    assert database.vector_model("faces") == other
    assert database.get_image("file:///photos/000.jpg")["note"] == "mine"


def test_other_weights_of_the_same_model_are_refused(land, image, database):
    rows = [image(0, faces=1)]
    load(land(rows), database)
    model = dataclasses.replace(database.vector_model("images"), weights_sha256="d" * 64)
    with pytest.raises(MixedModelsError, match="resnet18"):
        load(land(rows, image_model=model), database)


def test_a_collection_of_another_space_is_refused(land, image, database):
    landing = land([image(0, faces=1)])
    model = landing.models()["resnet"]
    client = database.vectors.connection.client()
    client.create_collection("images", metadata=model.as_dict(), embedding_function=None)
    client.get_collection("images", embedding_function=None).add(ids=["x"], embeddings=np.ones((1, model.dim)))
    with pytest.raises(StoreError, match="'l2' and not cosine.*--rebuild"):
        load(landing, database)


def test_an_oversized_document_costs_only_itself(land, image, database, caplog):
    rows = [image(number) for number in range(5)]
    rows[2]["resnet"]["top_k"] = [{"label": "x" * (17 << 20), "score": 0.5}]
    landing = land(rows)
    with caplog.at_level(logging.WARNING):
        report = load(landing, database)

    assert report.images == 4
    ((one, reason),) = report.errors
    assert one == "file:///photos/002.jpg" and "16 MB" in reason
    assert "not loaded: file:///photos/002.jpg" in caplog.text
    assert database.count_images() == 4
    assert store_state(landing, database).in_step  # as far as the stores can be
    assert load(landing, database).images_written == 0


def test_a_vector_with_nan_costs_only_itself(land, image, database):
    rows = [image(number) for number in range(5)]
    rows[2]["resnet"]["embedding"][0] = np.nan
    rows[3]["resnet"]["label_score"] = float("nan")
    report = load(land(rows), database)

    assert (report.images, report.image_vectors) == (5, 4)
    assert [one for one, _ in report.errors] == ["file:///photos/002.jpg"]
    assert np.isnan(database.get_image("file:///photos/003.jpg")["resnet"]["label_score"])


def test_identities_and_groups_travel_with_a_load(land, image, database):
    landing = land([image(number, faces=2) for number in range(3)])
    IDENTITIES.write(
        landing,
        pa.Table.from_pylist(
            [
                {"face_id": f"file:///photos/{n:03d}.jpg#{place}", "image_id": f"file:///photos/{n:03d}.jpg"}
                | {"identity_id": f"person-{place}" if n < 2 else None, "assigned": "clustered" if n < 2 else "gated"}
                for n in range(3)
                for place in range(2)
            ],
            schema=schema.IDENTITY_SCHEMA,
        ),
    )
    groups = [{"image_id": f"file:///photos/{n:03d}.jpg", "group_id": "g", "distance": 0.25} for n in range(2)]
    GROUPS.write(landing, pa.Table.from_pylist(groups, schema=schema.GROUP_SCHEMA))

    load(landing, database)
    before = list(database.find_images())
    assert len(before) == 3
    assert [found.get("identities") for found in before] == [["person-0", "person-1"], ["person-0", "person-1"], []]
    assert [face["identity_id"] for face in before[0]["facenet"]["faces"]] == ["person-0", "person-1"]
    assert [found.get("group_id") for found in before] == ["g", "g", None]

    assert load(landing, database).images_written == 0
    assert list(database.find_images()) == before


def test_nothing_landed_is_said(out, database):
    with pytest.raises(LandingError, match="pixelbrain run"):
        load(Landing(out), database)


def test_the_state_before_a_load_makes_no_store(land, image, out):
    landing = land([image(0)])
    with Database.open(out) as database:
        assert store_state(landing, database).reasons == ("nothing was loaded yet",)
    assert not (out / "db").exists()


def test_a_module_that_was_added_later_is_out_of_step(land, image, out, database):
    rows = [image(number) for number in range(3)]
    without_faces = [{**row, "facenet": None} for row in rows]
    landing = land(without_faces)
    load(landing, database)
    assert store_state(landing, database).in_step
    landing = land([image(number, faces=1) for number in range(3)])
    report = load(landing, database)
    assert (report.images_written, report.face_vectors_written, report.image_vectors_written) == (3, 3, 0)


def test_another_out_in_the_same_server_database_is_refused(land, image, database, tmp_path, mongod):
    load(land([image(0)]), database)
    uri = f"{mongod.uri.split('/?')[0]}/{database.mongo.name}"
    shutil.copytree(database.landing.storage.local / "images", tmp_path / "elsewhere" / "images")
    elsewhere = Landing(tmp_path / "elsewhere")
    with (
        Database.open(elsewhere.storage.uri, mongo=uri) as other,
        pytest.raises(StoreError, match="holds the images of"),
    ):
        load(elsewhere, other)
    assert database.count_images() == 1

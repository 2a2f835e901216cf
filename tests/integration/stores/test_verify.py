"""Verify: every kind of difference is found, and a rebuild ends it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.errors import LandingError
from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.stores.database import Database
from pixelbrain.stores.in_step import store_state
from pixelbrain.stores.load import load
from pixelbrain.stores.vectors import VectorBatch
from pixelbrain.stores.verify import verify

PHOTO = "file:///photos/{:03d}.jpg".format


@pytest.fixture
def landing(land, image, database) -> Landing:
    """Twenty images with two faces each, one that failed, people and groups; loaded."""
    landing = land([image(number, faces=2) for number in range(20)] + [image(20, status="failed")])
    people = [
        {
            "face_id": f"{PHOTO(n)}#{place}",
            "image_id": PHOTO(n),
            "identity_id": f"p{place}",
            "assigned": "clustered",
        }
        for n in range(10)
        for place in range(2)
    ]
    IDENTITIES.write(landing, pa.Table.from_pylist(people, schema=schema.IDENTITY_SCHEMA))
    groups = [{"image_id": PHOTO(n), "group_id": "g", "distance": 0.1} for n in range(3)]
    GROUPS.write(landing, pa.Table.from_pylist(groups, schema=schema.GROUP_SCHEMA))
    load(landing, database)
    return landing


def _found(landing, database) -> list[tuple]:
    return [(one.where, one.kind, one.count, one.first) for one in verify(landing, database).differences]


def test_what_agrees(landing, database):
    database.store_field("note", {PHOTO(3): "a user's"})
    database.add_images([{"image_id": "file:///mine.jpg", "note": "not landed"}])
    steps = []
    report = verify(landing, database, progress=lambda done, total: steps.append((done, total)))
    assert report.ok and report.differences == ()
    assert (report.images, report.image_vectors, report.face_vectors, report.refused) == (21, 20, 40, 0)
    assert steps == [(21, 21)]
    assert "21 images, 20 image vectors and 40 face vectors" in report.lines()[0] and "agree" in report.lines()[-1]
    assert report.as_dict()["ok"] is True


IMAGES = "MongoDB images"
DIFFERENT = (
    {"$set": {"width": 641}},
    {"$set": {"width": "640"}},
    {"$set": {"version": "0"}},
    {"$set": {"resnet.label": "x"}},
    {"$set": {"facenet.faces.1.x1": 0}},
    {"$pop": {"facenet.faces": 1}},
    {"$set": {"error": "none"}},  # an image without an error
    {"$unset": {"resnet": ""}},
    {"$unset": {"width": "", "row_hash": ""}},
)


def test_documents(landing, database):
    images = database.mongo["images"]
    for number, update in enumerate(DIFFERENT):
        assert images.update_one({"_id": PHOTO(number)}, update).modified_count == 1
    images.delete_many({"_id": {"$in": [PHOTO(18), PHOTO(20)]}})
    images.update_one({"_id": PHOTO(12)}, {"$set": {"resnet.note": "a user's", "facenet.faces.0.note": 1}})
    differences = {one.kind: one for one in verify(landing, database).differences if one.where == IMAGES}
    assert set(differences) == {"missing", "different"}
    assert differences["missing"].first == (PHOTO(18), PHOTO(20)) and differences["missing"].count == 2
    assert differences["different"].count == len(DIFFERENT)
    assert differences["different"].first == tuple(map(PHOTO, range(5)))
    load(landing, database, rebuild=True)
    assert verify(landing, database).ok


def test_documents_that_parquet_does_not_have(landing, database):
    database.mongo["images"].insert_many({"_id": f"file:///extra/{n}.jpg", "status": "ok"} for n in range(7))
    ((where, kind, count, first),) = _found(landing, database)
    assert (where, kind, count) == (IMAGES, "extra", 7)
    assert first == tuple(f"file:///extra/{n}.jpg" for n in range(5))
    (_summary, line) = verify(landing, database).lines()
    assert "MongoDB images: 7 extra: 'file:///extra/0.jpg'" in line and line.endswith(", ...")
    load(landing, database, rebuild=True)
    assert verify(landing, database).ok


def test_vectors(landing, database):
    store = database.vectors
    collection = store.connection.client().get_collection("faces", embedding_function=None)
    faces = [f"{PHOTO(n)}#0" for n in range(6)]
    collection.delete(ids=faces[:2])
    collection.update(ids=faces[2:3], embeddings=np.ones((1, 4), np.float32))
    collection.update(ids=faces[3:4], metadatas=[{"row_hash": "0" * 16}])
    store.upsert("faces", VectorBatch(ids=["x#0"], vectors=np.ones((1, 4), np.float32), metadata=[{"score": 1.0}]))
    assert _found(landing, database) == [
        ("ChromaDB faces", "missing", 2, tuple(faces[:2])),
        ("ChromaDB faces", "different", 2, tuple(faces[2:4])),
        ("ChromaDB faces", "extra", 1, ("x#0",)),
    ]
    load(landing, database, rebuild=True)
    assert verify(landing, database).ok


def test_a_collection_that_is_gone_or_of_another_model(landing, database):
    database.vectors.drop("images")
    assert _found(landing, database) == [("ChromaDB images", "missing", 20, ())]
    database.vectors.ensure("images", schema.ModelInfo(model="other", weights_sha256="c" * 64, dim=8))
    (difference,) = verify(landing, database).differences
    assert (difference.kind, difference.count) == ("different", 20)
    assert "they are of other, and resnet18 landed" in str(difference)
    load(landing, database, rebuild=True)
    assert verify(landing, database).ok


def test_people_and_groups(landing, database):
    images, identities = database.mongo["images"], database.mongo["identities"]
    images.update_one({"_id": PHOTO(0)}, {"$set": {"facenet.faces.0.identity_id": "somebody"}})
    images.update_one({"_id": PHOTO(1)}, {"$unset": {"identities": ""}})
    images.update_one({"_id": PHOTO(15)}, {"$set": {"facenet.faces.1.identity_id": "p1"}})
    images.update_one({"_id": PHOTO(2)}, {"$set": {"group_distance": 0.5}})
    images.update_one({"_id": PHOTO(9)}, {"$set": {"group_id": "g"}})
    identities.update_one({"_id": "p0"}, {"$set": {"n_faces": 3}})
    identities.insert_one({"_id": "p9", "n_faces": 1})
    assert _found(landing, database) == [
        ("MongoDB people of images", "different", 3, (PHOTO(0), PHOTO(1), PHOTO(15))),
        ("MongoDB identities", "different", 1, ("p0",)),
        ("MongoDB identities", "extra", 1, ("p9",)),
        ("MongoDB groups of images", "different", 2, (PHOTO(2), PHOTO(9))),
    ]
    load(landing, database, rebuild=True)
    assert verify(landing, database).ok


def test_rows_that_no_store_can_hold_do_not_differ(land, image, database):
    rows = [image(number) for number in range(4)]
    rows[1]["resnet"]["top_k"] = [{"label": "x" * (17 << 20), "score": 0.5}]
    rows[2]["resnet"]["embedding"][0] = np.nan
    rows[3]["resnet"]["label_score"] = float("nan")
    landing = land(rows)
    load(landing, database)
    report = verify(landing, database)
    assert report.ok and report.refused == 2
    assert "2 rows that no store can hold" in report.lines()[1]


def test_nothing_loaded_makes_no_store(land, image, out):
    landing = land([image(0, faces=1)])
    with Database.open(out) as database:
        report = verify(landing, database)
    assert [(one.where, one.kind, one.count) for one in report.differences] == [
        ("MongoDB images", "missing", 1),
        ("ChromaDB images", "missing", 1),
        ("ChromaDB faces", "missing", 1),
    ]
    assert not (out / "db").exists()


def test_nothing_landed_is_said(out, database):
    with pytest.raises(LandingError, match="pixelbrain run"):
        verify(Landing(out), database)


def test_the_state_tells_people_and_groups_that_are_newer(landing, database):
    assert store_state(landing, database).in_step
    people = IDENTITIES.read(landing).rows
    IDENTITIES.write(landing, people.slice(1))
    assert store_state(landing, database).reasons == ("people were identified since the last load",)
    database.store_derived("identities")
    assert store_state(landing, database).in_step
    GROUPS.write(landing, GROUPS.read(landing).rows.slice(1))
    assert store_state(landing, database).reasons == ("images were grouped since the last load",)
    load(landing, database)
    assert store_state(landing, database).in_step

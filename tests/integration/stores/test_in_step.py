"""What people and groups are made of: a vector index that is known to hold what landed, or it is loaded first."""

from __future__ import annotations

import csv
import logging

import numpy as np
import pytest

from pixelbrain.apps.status import read_status
from pixelbrain.config import RunConfig
from pixelbrain.errors import StoreError
from pixelbrain.identity.group import group_images
from pixelbrain.identity.people import PeopleIdentifierModule
from pixelbrain.landing.compact import compact
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.report.export import export
from pixelbrain.report.search import search
from pixelbrain.stages.stages import Stages
from pixelbrain.stores.chroma.connection import ChromaConnection
from pixelbrain.stores.database import Database
from pixelbrain.stores.in_step import store_state
from pixelbrain.stores.load import load
from pixelbrain.stores.mongo.embedded import EmbeddedMongo
from pixelbrain.stores.verify import verify

EVERYBODY = PeopleIdentifierModule(threshold=-0.99, min_faces=1)  # one person


@pytest.fixture
def behind(land, image, database):
    """Two faces were loaded and named, and four have landed."""
    landing = land([image(0, faces=1), image(1, faces=1)])
    load(landing, database)
    EVERYBODY.run(database)
    landing = land([image(number, faces=1) for number in range(4)], replace=False)
    database.landing.refresh()
    return landing


def test_no_table_is_rewritten_from_an_index_that_is_behind(behind, database):
    with pytest.raises(StoreError, match="holds 2 faces, and 4 landed.*pixelbrain load"):
        EVERYBODY.run(database)
    with pytest.raises(StoreError, match="holds 2 images, and 4 landed"):
        group_images(database)
    assert len(IDENTITIES.read(behind).rows) == 2
    assert IDENTITIES.read(behind).missing == 2


def test_the_stages_load_what_is_missing(behind, out, database):
    stages = Stages(RunConfig(out=str(out)))
    assert stages.identify(database, threshold=-0.99).faces == 4
    assert stages.group(database, threshold=0.9).images == 4
    assert len(IDENTITIES.read(behind).rows) == 4 and store_state(behind, database).in_step


def test_an_index_that_was_emptied_wipes_nobody(behind, out, database):
    load(behind, database)
    EVERYBODY.run(database)
    database.vectors.remove_where("faces", lambda ids: np.zeros(len(ids), bool))
    with pytest.raises(StoreError, match="holds 0 faces, and 4 landed"):
        EVERYBODY.run(database)
    assert not store_state(behind, database).in_step
    assert Stages(RunConfig(out=str(out))).identify(database, threshold=-0.99).assigned == 4


def test_an_index_of_which_another_face_has_the_place_is_behind(behind, land, image, database):
    load(behind, database)
    land([image(0, faces=1, version="2")], replace=False)
    database.landing.refresh()
    assert "holds 4 faces, and 4 landed" in database.behind("faces")


def test_a_search_says_that_it_is_behind(behind, database, caplog):
    model = database.vector_model("images")
    with caplog.at_level(logging.WARNING):
        search(database, np.ones(8, np.float32), by="images", model=model)
    assert "holds 2 images, and 4 landed" in caplog.text and "pixelbrain load" in caplog.text
    load(behind, database)
    caplog.clear()
    search(database, np.ones(8, np.float32), by="images", model=model)
    assert caplog.text == ""


def test_a_name_does_not_pass_to_the_photo_that_takes_a_place(behind, land, image, database, tmp_path):
    load(behind, database)
    EVERYBODY.run(database)
    landing = land([image(2, faces=1, version="2")], replace=False)
    database.landing.refresh()
    load(landing, database)
    assert store_state(landing, database).in_step and verify(landing, database).ok
    assert "identities" not in database.get_image("file:///photos/002.jpg")
    assert len(database.get_image("file:///photos/001.jpg")["identities"]) == 1
    export(landing, tmp_path / "faces.csv", "faces")
    with open(tmp_path / "faces.csv", newline="") as file:
        named = {row["image_id"]: row["identity_id"] for row in csv.DictReader(file)}
    assert named["file:///photos/002.jpg"] == "" != named["file:///photos/003.jpg"]
    assert IDENTITIES.read(landing).missing == 1


def test_a_compact_leaves_the_stores_in_step(behind, database, monkeypatch):
    load(behind, database)
    assert compact(behind).files_after == 1
    database.landing.refresh()
    assert store_state(behind, database).in_step
    monkeypatch.setattr(type(behind), "iter_images", lambda *_, **__: pytest.fail("no row is read"))
    assert load(behind, database).skipped == 4 + 4 + 4


def test_status_of_embedded_stores_starts_none(out, land, image, monkeypatch):
    land([image(number, faces=1) for number in range(3)])
    stages = Stages(RunConfig(out=str(out)))
    with stages.database() as database:
        stages.load(database)
    with monkeypatch.context() as patched:
        patched.setattr(EmbeddedMongo, "__init__", None)
        patched.setattr(ChromaConnection, "__init__", None)
        found = read_status(stages)["stores"]
        assert (found["in_step"], found["recorded"]) == (True, True), found
        assert found["counts"] == {"documents": 3, "images": 3, "faces": 3, "modules": {}}
        with stages.database() as database:  # nor does a load that has nothing to do
            assert (stages.load(database).skipped, stages.load(database).faces) == (9, 3)
        land([image(3)], replace=False)
        found = read_status(Stages(RunConfig(out=str(out))))["stores"]
        assert found["reasons"] == ("images landed or changed since the last load",)
    with stages.database() as database:
        database.mongo["meta"].find_one()
        assert not (out / "db" / "mongo" / "loaded.json").exists()  # of a load that is killed nothing is believed
    assert (out / "db" / "mongo" / "loaded.json").exists()


@pytest.mark.parametrize("change", ["a document went", "a vector went", "another index", "verify found it"])
def test_what_others_did_to_embedded_stores_is_found(out, land, image, change):
    landing = land([image(number, faces=1) for number in range(3)])
    stages = Stages(RunConfig(out=str(out)))
    with stages.database() as database:
        stages.load(database)
    with Database(landing, mongo=None, chroma=None) as others:
        if change == "a vector went":
            others.vectors.remove_where("faces", lambda ids: np.arange(len(ids)) > 0)
        elif change == "another index":
            others.vectors.drop("images")
        else:
            others.mongo["images"].delete_one({})
    if change == "verify found it":
        with stages.database() as database:
            assert not stages.verify(database).ok
    with stages.database() as database:
        stages.load(database)
        assert stages.verify(database).ok


def test_a_load_reads_the_rows_that_are_new(behind, land, image, out, database, monkeypatch):
    load(behind, database)
    EVERYBODY.run(database)
    group_images(database, threshold=-0.99)
    database.store_field("note", {"file:///photos/000.jpg": "mine"})
    rows = [image(0, faces=2, version="2"), image(1, version="2", status="failed"), image(4, faces=2)]
    landing = land(rows, replace=False)
    read, iter_images = [], type(landing).iter_images

    def counted(*args, vectors=True, **kwargs):
        for table in iter_images(*args, vectors=vectors, **kwargs):
            read.extend(table["image_id"].to_pylist() if vectors else ())
            yield table

    monkeypatch.setattr(type(landing), "iter_images", counted)
    report = load(landing, database)
    assert sorted(read) == [f"file:///photos/{number:03d}.jpg" for number in (0, 1, 4)]
    assert (report.images, report.faces, report.face_vectors, report.image_vectors) == (5, 6, 6, 4)
    assert (report.images_written, report.face_vectors_written, report.removed) == (3, 4, 2)
    assert store_state(landing, database).in_step and verify(landing, database).ok
    assert database.get_image("file:///photos/000.jpg")["note"] == "mine"
    assert [("group_id" in found, bool(found.get("identities"))) for found in database.find_images()] == [
        (False, False), (False, False), (True, True), (True, True), (False, False),
    ]  # fmt: skip
    landing.storage.delete(landing.parts[-1].name)  # image 4 is gone, and 0 and 1 are what they were
    landing.refresh()
    assert load(landing, database).images == 4
    assert store_state(landing, database).in_step and verify(landing, database).ok

"""Database over MongoDB: addresses, fields, filters, totals, identities, CSV."""

from __future__ import annotations

import csv
import functools
import logging
import time
import traceback
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.config import mask_uri
from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.stages.stages import Stages
from pixelbrain.stores.database import Database
from pixelbrain.stores.load import load
from pixelbrain.stores.mongo.connection import connect
from pixelbrain.web.app import make_app
from tests.unit.web.visitor import TOKEN, Visitor, key_of, shown

PHOTOS = "file:///photos"


@pytest.fixture
def loaded(land, image, database):
    """Six images: two labels, 0 to 2 faces, the last one failed."""
    labels = ["tabby", "tabby", "cup", "tabby", "cup"]
    rows = [image(n, faces=n % 3, label=label) for n, label in enumerate(labels)] + [image(5, status="failed")]
    load(land(rows), database)
    return database


def test_passwords_are_masked():
    assert mask_uri("mongodb://me:s3cr3t@host:1/db?x=1") == "mongodb://me:***@host:1/db?x=1"
    assert mask_uri("mongodb://me:p@ss:w@host/db") == "mongodb://me:***@host/db"
    assert mask_uri("mongodb://host:27017/db") == "mongodb://host:27017/db"
    assert "k3y" not in mask_uri("mongodb://host/?tlsCertificateKeyFilePassword=k3y&tls=true")


@pytest.mark.parametrize(
    "uri", ["mongodb://me:s3cr3t@127.0.0.1:9/db", "mongodb://me:s3cr/3t@host/db", "mongodb://me:s3cr@3t@host/db"]
)
def test_an_error_hides_the_password_and_comes_soon(uri):
    began = time.monotonic()
    with pytest.raises((StoreError, ConfigError)) as caught:
        connect(uri)
    assert time.monotonic() - began < 20  # 30 s are waited for a server without a limit of ours
    assert "\n" not in str(caught.value)
    assert "s3cr" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("password", ["s3cr3t", "s3cr3t%40%2F%3A"])
def test_a_wrong_password_is_an_error_that_hides_it(mongod, password, caplog, tmp_path):
    with caplog.at_level(logging.DEBUG, logger="pymongo"), pytest.raises(StoreError) as caught:
        Database.open(tmp_path, mongo=mongod.uri.replace("//", f"//me:{password}@")).mongo  # noqa: B018
    assert "is the password right" in str(caught.value) and "me:***@" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250
    told = caplog.text + "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__)
    assert any(record.name == "pymongo.connection" for record in caplog.records) and "s3cr3t" not in told


def test_writes_are_acknowledged_from_disk(loaded):
    assert loaded.mongo.write_concern.document == {"w": "majority", "j": True, "wtimeout": 60000}
    names = {index["key"].popitem()[0] for index in loaded.mongo["images"].list_indexes()}
    assert {"status", "sha256", "resnet.label", "facenet.n_faces", "facenet.faces.face_id", "identities"} <= names


@pytest.mark.parametrize("name", ["admin", "a b", "a$b", "x" * 64])
def test_bad_database_names_are_refused(mongod, name):
    with pytest.raises((ConfigError, StoreError)):
        connect(mongod.uri.replace("/?", f"/{name}?"))


def test_not_a_uri_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="mongodb://"):
        Database.open(tmp_path, mongo="localhost:27017")


def test_find_images(loaded):
    many = list(loaded.find_images({"facenet.n_faces": {"$gte": 1}}, sort="-facenet.n_faces"))
    assert [found["facenet"]["n_faces"] for found in many] == [2, 1, 1]
    assert [found["_id"] for found in loaded.find_images(limit=2)] == [f"{PHOTOS}/000.jpg", f"{PHOTOS}/001.jpg"]
    assert [found["_id"] for found in loaded.find("resnet.label", "cup")] == [f"{PHOTOS}/002.jpg", f"{PHOTOS}/004.jpg"]
    (lean,) = loaded.find_images({"status": "failed"}, fields=["error"])
    assert lean == {"_id": f"{PHOTOS}/005.jpg", "error": "the file is empty"}
    assert loaded.count_images({"$or": [{"resnet.label": "cup"}, {"status": "failed"}]}) == 3


@pytest.mark.parametrize("field", ["", ".", "a..b", "$where", "a.$b", "a\0b", "a."])
def test_names_that_are_no_fields_are_refused(tmp_path, field):
    with Database.open(tmp_path) as database:
        for call in (
            lambda: database.find(field, 1),
            lambda: database.find_images({field: 1}),
            lambda: database.find_images(sort=field),
        ):
            with pytest.raises(ConfigError):
                call()
    assert not (tmp_path / "db").exists()  # refused before anything is started


def test_filters_run_no_code(tmp_path):
    with Database.open(tmp_path) as database:
        for bad in ({"$where": "1"}, {"$expr": {"$eq": [[{"$function": {"body": "1"}}], 1]}}, {"a": {"$where": "1"}}):
            with pytest.raises(ConfigError, match="runs code"):
                database.find_images(bad)


def test_fields_are_stored_and_read(loaded, caplog):
    ids = [f"{PHOTOS}/{n:03d}.jpg" for n in range(3)]
    values = {ids[0]: np.float32(0.5), ids[1]: [1, np.int64(2)], ids[2]: {"a": (1, 2)}, "file:///none.jpg": 1}
    result = loaded.store_field("mine", values)
    assert (result.written, result.errors) == (3, (("file:///none.jpg", "not in the database"),))
    (warning,) = caplog.messages
    assert warning == "mine is not set of 1 images that are not in the database, such as file:///none.jpg"
    assert loaded.get_field("mine") == {ids[0]: 0.5, ids[1]: [1, 2], ids[2]: {"a": [1, 2]}}
    assert loaded.store_field("mine", values).written == 0
    assert loaded.get_field("mine.a", [ids[2], "file:///none.jpg"]) == {ids[2]: [1, 2]}
    loaded.store_field("mine", {ids[0]: None})
    assert loaded.get_field("mine", ids[:1]) == {}
    assert loaded.get_image("file:///none.jpg") is None
    assert loaded.get_field("facenet.faces.score", [ids[2]]) == {ids[2]: pytest.approx([0.99, 0.99])}


def test_an_array_is_no_list_of_numbers(loaded):
    ids = [f"{PHOTOS}/{n:03d}.jpg" for n in range(2)]
    with pytest.raises(StoreError, match=r"1 values of mine were refused; of .*001.jpg: an array: .*value.tolist\(\)"):
        loaded.store_field("mine", {ids[0]: np.array(0.5), ids[1]: np.array([1, 2])})
    assert loaded.get_field("mine") == {ids[0]: 0.5}


def test_a_field_is_called_as_users_call_it(loaded, tmp_path):
    ids = [f"{PHOTOS}/{n:03d}.jpg" for n in range(6)]
    log = loaded.landing.answer_log
    journal = log.journal("one", {"is_person": pa.bool_()})
    record = {"version": "1", "field": "is_person", "question": "q", "key": None, "cost_usd": "0", "model": "m"}
    for image, answer in ((ids[0], True), (ids[1], False), (ids[2], True), (ids[3], None)):
        status = "failed" if answer is None else "ok"
        journal.append(
            {**record, "image_id": image, "version": version(loaded, image), "answer": answer, "status": status}
        )
    journal.close()
    log.fold()
    loaded.landing.refresh()
    load(loaded.landing, loaded)

    def found(*how, **more):
        return [document["_id"] for document in loaded.find_images(*how, **more)]

    for name in ("is_person", "is_person.answer"):
        assert [document["_id"] for document in loaded.find(name, True)] == [ids[0], ids[2]]
        assert [document["_id"] for document in loaded.find(name, None)] == ids[3:]
        assert loaded.get_field(name) == {ids[0]: True, ids[1]: False, ids[2]: True}
        assert loaded.most_common(name) == [(True, 2), (False, 1)]
        assert (loaded.aggregate(name).field, loaded.aggregate(name).count) == (name, 3)
        assert loaded.count_images({"$or": [{name: False}, {"$nor": [{name: {"$in": [True, False, None]}}]}]}) == 1
    assert found({"is_person": True, "label": "cup"}) == [ids[2]]
    assert found({"n_faces": {"$gte": 1}}, sort=["-n_faces", "-label"]) == [ids[2], ids[1], ids[4]]
    (lean,) = loaded.find_images({"is_person": True, "label": "cup"}, fields=["label", "is_person"])
    assert lean == {"_id": ids[2], "resnet": {"label": "cup"}, "is_person": {"answer": True}}
    assert loaded.get_field("is_person.status")[ids[3]] == "failed"
    loaded.export_csv(tmp_path / "a.csv", ["image_id", "label", "is_person", "is_person.model", "resnet"])
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["label"], rows[0]["is_person"], rows[0]["is_person.model"]) == ("tabby", "true", "m")
    assert '"label": "tabby"' in rows[0]["resnet"]
    with pytest.raises(ConfigError, match="columns of every export"):
        loaded.store_field("label", {ids[0]: "cat"})


def version(database, image: str) -> str:
    index = database.landing.index
    return index.version[index.image_id.to_pylist().index(image)].as_py()


def test_fields_of_its_own_are_not_overwritten(tmp_path):
    with Database.open(tmp_path) as database:
        for field in ("_id", "image_id", "status", "identities", "row_hash.x"):
            with pytest.raises(ConfigError, match="kept by Pixelbrain"):
                database.store_field(field, {f"{PHOTOS}/000.jpg": 1})


def test_a_refused_value_costs_only_itself(loaded):
    values = {f"{PHOTOS}/000.jpg": "x", f"{PHOTOS}/001.jpg": "y" * (15 << 20)}
    loaded.store_field("big", values)
    with pytest.raises(StoreError, match="1 values of bigger were refused; of .*001.jpg"):
        loaded.store_field("bigger", values)
    assert list(loaded.get_field("bigger")) == [f"{PHOTOS}/000.jpg"]


NESTED = functools.reduce(lambda inner, _level: {"a": inner}, range(300), {})
HOSTILE = {
    "oversized": "x" * (17 << 20),
    "more than 64 bits": 2**64,
    "lone surrogate": "\ud800",
    "surrogate in a name": {"\ud800": 1},
    "deep": NESTED,
    "no bson": object(),
}


def test_hostile_documents_cost_only_themselves(database, caplog):
    good = [{"image_id": f"file:///good/{n}.jpg", "note": n} for n in range(20)]
    bad = [{"image_id": f"file:///bad/{name}.jpg", "x": value} for name, value in HOSTILE.items()]
    names = [
        {"image_id": f"file:///name/{n}.jpg", name: 1} for n, name in enumerate(["a.b", "$a", "", "a\0b", "\ud800"])
    ]
    ids = [{"note": "no id"}, {"image_id": 7}, {"image_id": "file:///\ud800.jpg"}]
    odd = {"a.b": {"$c": float("nan"), "": [2**63 - 1, None]}}
    mixed = [*good[:5], *bad, *good[5:10], *names, *ids, {"image_id": "file:///odd.jpg", "odd": odd}, *good[10:]]

    result = database.add_images(mixed)

    assert result.written == 21 and len(result.errors) == len(bad) + len(names) + len(ids)
    refused = dict(result.errors)
    assert "16 MB" in refused["file:///bad/oversized.jpg"] and "100 levels" in refused["file:///bad/deep.jpg"]
    assert "no dots" in refused["file:///name/0.jpg"] and "no dots" in refused["file:///name/1.jpg"]
    assert r"file:///\ud800.jpg" in refused and len(caplog.messages) == 10
    assert database.count_images() == 21
    assert database.get_field("note") == {one["image_id"]: one["note"] for one in good}
    kept = database.get_image("file:///odd.jpg")["odd"]
    assert np.isnan(kept["a.b"].pop("$c")) and kept == {"a.b": {"": [2**63 - 1, None]}}


def test_hostile_values_of_a_field_cost_only_themselves(loaded):
    images = [f"{PHOTOS}/{n:03d}.jpg" for n in range(6)]
    for value in HOSTILE.values():
        with pytest.raises(StoreError, match="1 values of x were refused; of .*003.jpg"):
            loaded.store_field("x", {**dict.fromkeys(images, 1), images[3]: value, "file:///\ud800": 1})
        assert sorted(loaded.get_field("x")) == [one for one in images if one != images[3]]
        loaded.store_field("x", dict.fromkeys(images))


def test_totals(loaded):
    loaded.store_field("mixed", {f"{PHOTOS}/000.jpg": 2, f"{PHOTOS}/001.jpg": "x", f"{PHOTOS}/002.jpg": float("nan")})
    scores = loaded.aggregate("resnet.label_score")
    assert (scores.count, scores.distinct, scores.numbers) == (5, 5, 5)
    assert (scores.min, scores.max, scores.mean) == pytest.approx((0.5, 0.504, 0.502))
    mixed = loaded.aggregate("mixed")
    assert (mixed.count, mixed.numbers, mixed.min, mixed.max, mixed.mean) == (3, 1, 2, 2, 2)
    faces = loaded.aggregate("facenet.faces.score")
    assert (faces.count, faces.distinct) == (4, 1)
    nothing = loaded.aggregate("nothing.here")
    assert (nothing.count, nothing.distinct, nothing.min) == (0, 0, None)
    assert loaded.most_common("resnet.label") == [("tabby", 3), ("cup", 2)]
    assert loaded.most_common("resnet.label", 1) == [("tabby", 3)]


def test_added_images(database):
    result = database.add_images(
        [{"image_id": "file:///a.jpg", "note": 1}, {"image_id": "file:///b.jpg", "big": "x" * (17 << 20)}]
    )
    assert result.written == 1
    ((one, reason),) = result.errors
    assert one == "file:///b.jpg" and "16 MB" in reason
    database.add_images([{"image_id": "file:///a.jpg", "other": 2}])
    assert database.get_image("file:///a.jpg") == {
        "_id": "file:///a.jpg",
        "image_id": "file:///a.jpg",
        "note": 1,
        "other": 2,
    }


def test_csv(loaded, tmp_path):
    loaded.store_field("note", {f"{PHOTOS}/000.jpg": 'say "hi", \u00e9\n'})
    assert loaded.export_csv(tmp_path / "deep" / "all.csv") == 6
    with open(tmp_path / "deep" / "all.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert (rows[0]["image_id"], rows[0]["resnet.label"], rows[0]["facenet.n_faces"]) == (
        f"{PHOTOS}/000.jpg",
        "tabby",
        "0",
    )
    assert (rows[5]["status"], rows[5]["error"], rows[5]["resnet.label"]) == ("failed", "the file is empty", "")
    loaded.export_csv(tmp_path / "some.csv", ["image_id", "note", "facenet.faces.face_id"])
    with open(tmp_path / "some.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[1] == [f"{PHOTOS}/000.jpg", 'say "hi", \u00e9\n', ""]
    assert rows[3][2] == f"{PHOTOS}/002.jpg#0;{PHOTOS}/002.jpg#1"
    assert loaded.export_csv(tmp_path / "all.csv", "all") == 6
    columns = (tmp_path / "all.csv").read_text(encoding="utf-8").partition("\n")[0].split(",")
    assert {"image_id", "note", "resnet.label", "facenet.n_faces", "status"} <= {*columns} and "row_hash" not in columns
    with pytest.raises(StoreError, match="cannot write"):
        loaded.export_csv("/proc/nothing/all.csv")


def _identities(names: dict[str, str | None]) -> pa.Table:
    rows = [
        {"face_id": face, "image_id": face.split("#")[0], "identity_id": name, "assigned": "clustered"}
        for face, name in names.items()
    ]
    return pa.Table.from_pylist(rows, schema=schema.IDENTITY_SCHEMA)


def test_identities_replace_what_was_there(loaded):
    names = {f"{PHOTOS}/001.jpg#0": "ann", f"{PHOTOS}/002.jpg#0": "ann", f"{PHOTOS}/002.jpg#1": "ben"}
    table = _identities({**names, f"{PHOTOS}/004.jpg#0": None})
    assert loaded.store_identities(table).written == 3 + 2  # three images, two identities
    assert loaded.get_image(f"{PHOTOS}/002.jpg")["identities"] == ["ann", "ben"]
    assert loaded.get_image(f"{PHOTOS}/004.jpg")["identities"] == []
    assert list(loaded.mongo["identities"].find(sort=[("_id", 1)])) == [
        {"_id": "ann", "n_faces": 2, "n_images": 2},
        {"_id": "ben", "n_faces": 1, "n_images": 1},
    ]
    assert [found["_id"] for found in loaded.find("identities", "ann")] == [f"{PHOTOS}/001.jpg", f"{PHOTOS}/002.jpg"]
    assert loaded.store_identities(table).written == 0

    loaded.mongo["identities"].update_one({"_id": "ann"}, {"$set": {"name": "Ann"}})
    loaded.store_identities(_identities({f"{PHOTOS}/001.jpg#0": "ann", f"{PHOTOS}/002.jpg#1": None}))
    assert list(loaded.mongo["identities"].find()) == [{"_id": "ann", "n_faces": 1, "n_images": 1, "name": "Ann"}]
    assert loaded.get_image(f"{PHOTOS}/002.jpg")["identities"] == []
    assert [face.get("identity_id") for face in loaded.get_image(f"{PHOTOS}/002.jpg")["facenet"]["faces"]] == [
        None,
        None,
    ]
    assert "identities" not in loaded.get_image(f"{PHOTOS}/004.jpg")
    loaded.store_identities(_identities({}))
    assert loaded.mongo["identities"].count_documents({}) == 0
    assert loaded.count_images({"facenet.faces.identity_id": {"$exists": True}}) == 0


def test_identities_of_many_images(database):
    documents = [
        {
            "image_id": f"file:///{n:05d}.jpg",
            "facenet": {"faces": [{"face_id": f"file:///{n:05d}.jpg#{p}"} for p in range(2)]},
        }
        for n in range(2100)
    ]
    database.add_images(documents)
    names = {face["face_id"]: f"p{n % 7}" for n, found in enumerate(documents) for face in found["facenet"]["faces"]}
    shuffled = _identities(names).take(np.random.default_rng(0).permutation(len(names)))
    assert database.store_identities(shuffled).written == 2100 + 7
    assert database.count_images({"facenet.faces.1.identity_id": {"$exists": True}}) == 2100
    assert database.aggregate("facenet.faces.identity_id").count == 4200
    assert database.store_identities(shuffled).written == 0


def test_groups_replace_what_was_there(loaded):
    rows = [{"image_id": f"{PHOTOS}/00{n}.jpg", "group_id": "g1" if n < 2 else None, "distance": 0.5} for n in range(4)]
    table = pa.Table.from_pylist(rows, schema=schema.GROUP_SCHEMA)
    assert loaded.store_groups(table).written == 2
    assert loaded.store_groups(table).written == 0
    assert loaded.get_field("group_id") == {f"{PHOTOS}/000.jpg": "g1", f"{PHOTOS}/001.jpg": "g1"}
    loaded.store_groups(table.slice(1))
    assert loaded.get_field("group_id") == {f"{PHOTOS}/001.jpg": "g1"}
    assert loaded.get_field("group_distance") == {f"{PHOTOS}/001.jpg": 0.5}


def test_delete_and_load_again(loaded):
    name = loaded.mongo.name
    loaded.delete()
    assert name not in loaded.mongo.client.list_database_names()
    assert (loaded.vectors.count("faces"), loaded.vectors.count("images")) == (0, 0)
    report = load(loaded.landing, loaded)
    assert (report.images_written, report.image_vectors_written, report.face_vectors_written) == (6, 5, 4)


def test_a_closed_database_says_so(loaded):
    loaded.close()
    loaded.close()
    with pytest.raises(StoreError, match="closed"):
        loaded.count_images()


def test_the_page_to_work_in_asks_for_stored_fields_as_the_commands_do(loaded, mongod, out, image):
    """In the same words, and with the same errors, also where MongoDB has gone."""
    ids = [image(n)["image_id"] for n in range(3)]
    loaded.store_field("stars", {ids[0]: 5, ids[1]: 2})
    uri = mongod.uri.replace("/?", f"/{loaded.mongo.name}?")
    stages = Stages.over(str(out), mongo=uri)
    visitor = Visitor(out, app=make_app(stages, token=TOKEN))
    for where in ("stars > 3", "label = 'cup' or stars == 2", "faces.n_faces = 2 and stars is null"):
        page = visitor.get(f"/photos?{urlencode({'where': where})}")
        chosen = stages.context.choose(where).to_pylist()
        assert chosen and {one for one in ids if key_of(one) in page} == set(chosen) & set(ids), where
    with pytest.raises(ConfigError) as told:
        stages.context.choose("starz > 3")
    page = visitor.get("/photos?where=starz+%3E+3")
    assert str(told.value) in shown(page)
    gone = Visitor(out, app=make_app(Stages.over(str(out), mongo="mongodb://127.0.0.1:9/db"), token=TOKEN))
    assert 'role="alert"' in (page := gone.get("/photos?where=stars+%3E+3")) and "127.0.0.1:9" in shown(page)

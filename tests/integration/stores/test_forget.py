"""A person who is forgotten: no byte of it in Parquet, MongoDB's and ChromaDB's files, the gallery, or S3; and all
else as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import pixelbrain as pb
from pixelbrain.errors import ConfigError
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.registry import read_registry
from pixelbrain.stages import forget as stage
from pixelbrain.stores.load import load
from pixelbrain.stores.mongo import fresh
from tests.unit.landing.forgotten.world import (
    ANN,
    identify,
    image_id,
    land,
    left_of,
    photo_traces,
)

TRACES = ANN | {"who": b"person-a11"}  # MongoDB packs numbers tight


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    """Both stores, with a field of a user's own, written by this process."""
    out = tmp_path_factory.mktemp("filled") / "out"
    landing = land(out)
    with pb.Database.open(out) as database:
        load(landing, database)
        identify(landing)
        database.store_derived("identities")
        database.store_field("note", {image_id("a.jpg"): "kept"})
        database.mongo["mine"].create_index("n", unique=True)
        database.mongo["mine"].insert_one({"_id": 1, "n": 2})
    return out


@pytest.fixture
def out(filled, tmp_path) -> Path:
    """An OUT with both stores."""
    return shutil.copytree(filled, tmp_path / "out")


def check(out: Path, faces: int) -> None:
    with pb.Database.open(out) as database:
        found = database.get_image(image_id("a.jpg"))
        assert found is not None and found["note"] == "kept" and found["facenet"]["n_faces"] == 2
        assert found["identities"] == ["person-b22"]
        assert database.mongo["mine"].find_one() == {"_id": 1, "n": 2}
        assert database.mongo["mine"].index_information()["n_1"]["unique"]
        assert [one["_id"] for one in database.mongo["identities"].find()] == ["person-b22"]
        assert sum(len(batch.ids) for batch in database.iter_vectors("faces")) == faces


def test_no_byte_of_a_person_is_left_in_any_store(out, command, monkeypatch):
    command("report", out)
    found = left_of(out, TRACES)
    for place in ("db/chroma", "db/mongo", "report/faces", "images/", "thumbnails/"):
        assert any(place in one for one in found), place
    shown = command("forget", out, "--person", "person-a11", "--dry-run").stdout
    assert "person-a11, who has 3 faces" in shown and left_of(out, TRACES) == found
    assert command("forget", out, "--person", "person-a11", check=False).returncode == 1  # nobody says yes
    assert left_of(out, TRACES) == found
    with monkeypatch.context() as patch:  # this process held the vectors, and ChromaDB writes what memory has
        patch.setattr("pixelbrain.stores.load.load_unlocked", lambda *_args, **_options: 1 / 0)
        command("forget", out, "--person", "person-a11", "--yes")
    assert left_of(out, TRACES) == []
    check(out, faces=4)
    command("verify", out)
    assert "3 faces in 2 photos" in command("forget", out, "--list").stdout
    command("forget", out, "--lift", "1")
    assert "nothing was forgotten" in command("forget", out, "--list").stdout


def test_killed_anywhere_the_same_call_finishes(out, forked_load, monkeypatch):
    """Before the stores, between them, and between the two names of MongoDB's folder."""

    class Killed(Exception):
        pass

    def die(*_args, **_options):
        raise Killed

    def die_between(self, target):
        if self.name.endswith(".new"):
            raise Killed
        return rename(self, target)

    rename = Path.rename
    for where, name, how in (
        (stage, "_renew_stores", die), (fresh, "write_files_anew", die), (fresh, "_copy_documents", die),
        (Path, "rename", die_between),
    ):  # fmt: skip
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(where, name, how)
            pb.forget(out, person="person-a11")
    assert pb.forget(out, person="person-a11").number is None
    assert left_of(out, TRACES) == []
    assert sorted(path.name for path in (out / "db").iterdir() if path.is_dir()) == ["chroma", "mongo"]
    check(out, faces=4)
    with pytest.raises(ConfigError, match="there is no person"):
        pb.forget(out, person="person-a11")


def test_all_photos(out, forked_load):
    with pytest.raises(ConfigError, match="or photos"):
        pb.forget(out, photos=["/photos/a.jpg"], person="person-a11")
    assert pb.forget(out, photos=["/photos/a.jpg", image_id("b.jpg")]).photos == 3
    assert left_of(out, {"vector": TRACES["vector of a.jpg"], **photo_traces("b.jpg")}) == []
    with pb.Database.open(out) as database:
        assert database.count_images() == 0
        assert database.mongo["mine"].find_one() == {"_id": 1, "n": 2}


def test_in_s3(s3, tmp_path, forked_load, monkeypatch):
    """The bucket's objects, and the stores in the cache folder of this machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    s3.create_bucket(Bucket="forgetful")
    endpoint = s3.meta.endpoint_url
    landing = Landing("s3://forgetful/out", s3_endpoint=endpoint)
    land(landing.storage)
    identify(landing)
    with pb.Database.open("s3://forgetful/out", s3_endpoint=endpoint) as database:
        load(landing, database)

    def objects() -> Path:
        folder = tmp_path / "bucket" / str(len(list(tmp_path.iterdir())))
        for item in s3.list_objects_v2(Bucket="forgetful")["Contents"]:
            path = folder / item["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(s3.get_object(Bucket="forgetful", Key=item["Key"])["Body"].read())
        return folder

    assert {"vector", "crop"} <= {one.partition(" of ")[0] for one in left_of(objects(), TRACES)}
    for path in sorted((tmp_path / "bucket").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    pb.forget("s3://forgetful/out", person="person-a11", s3_endpoint=endpoint)
    assert left_of(objects(), TRACES) == [] and left_of(tmp_path / "cache", TRACES) == []
    land(landing.storage)  # the next run, with --force
    assert left_of(objects(), {"crop": TRACES["crop of a.jpg"], "vector": TRACES["vector of a.jpg"]}) == []
    assert read_registry(landing.storage).ids == []

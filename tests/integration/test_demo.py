"""The demo as a user runs it, in a process and with a Ray of its own; then every command on what it left."""

from __future__ import annotations

import csv
import json
import os
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest

import pixelbrain as pb
from pixelbrain.apps.demo import SAMPLES
from pixelbrain.apps.status import describe
from pixelbrain.landing.derived import IDENTITIES


@pytest.fixture(scope="module")
def out(demo):
    return demo[0]


def test_it_says_what_was_found_and_names_the_gallery(demo):
    out, done = demo
    assert "16 images (0 failed)" in done.stdout and "3 people" in done.stdout
    page = done.stdout.split("Open the gallery: ")[1].strip()
    assert os.path.samefile(url2pathname(urlsplit(page).path), out / "report" / "index.html")


def test_nothing_but_stage_lines_is_shown(demo):
    lines = demo[1].stderr.splitlines()
    stages = list(dict.fromkeys(line.split()[0] for line in lines))  # on a slow machine, how far they are, too
    assert stages == ["Photos:", "extract", "load", "identify", "group", "report"]


def test_no_server_is_left_running(out):
    running = [p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"])]
    assert not [line for line in running if "mongod" in " ".join(line[:1]) and str(out) in " ".join(line)]


def test_who_is_who_is_right(out):
    table = IDENTITIES.read(pb.Landing(out)).rows
    folders = {}
    for row in table.to_pylist():
        if row["identity_id"]:
            folders.setdefault(row["identity_id"], []).append(row["image_id"].split("/")[-2])
    assert sorted(map(tuple, folders.values())) == [
        (name,) * 4 for name in ("barack-obama", "eileen-collins", "joe-biden")
    ]


def test_labels_and_orientation_are_right(out):
    rows = {r["image_id"].split("/samples/")[1]: r for t in pb.Landing(out).iter_images() for r in t.to_pylist()}
    assert len(rows) == 16
    assert "cat" in rows["things/cat.jpg"]["resnet"]["label"]
    assert rows["things/coffee.jpg"]["resnet"]["label"] == "espresso"
    on_its_side = rows["joe-biden/blue-room-grey-on-its-side.jpg"]
    assert on_its_side["height"] > on_its_side["width"]
    (face,) = on_its_side["facenet"]["faces"]
    assert face["y2"] < on_its_side["height"] / 2, "the head is at the top"


def test_parquet_is_plain_and_says_which_model(out):
    part = sorted((out / "images").glob("*.parquet"))[0]
    states = json.loads(pq.read_schema(part).metadata[b"pixelbrain"])["modules"]
    assert states["facenet"]["model"]["model"] == "dlib" and len(states["facenet"]["model"]["weights_sha256"]) == 64
    kind = pq.read_schema(part).field("resnet").type.field("embedding").type
    assert kind.value_type == "float" and states["resnet"]["model"]["dim"] == 1280


def test_run_json_has_settings_versions_and_figures(out):
    record = json.loads((out / "run.json").read_text())
    assert record["settings"]["source"] == str(SAMPLES) and record["settings"]["offline"] is True
    assert set(record["stages"]) == {"extract", "load", "identify", "group", "report"}
    assert record["stages"]["extract"]["images_per_s"] > 0 and record["versions"]["ray"]


def test_status(out, command):
    found = json.loads(command("status", out, "--json").stdout)
    assert (found["images"], found["failed"], found["people"], found["assigned_faces"]) == (16, 0, 3, 12)
    assert found["stores"]["in_step"] is True, found["stores"]
    assert any("in step" in line for line in describe(found))


def test_export(out, command, tmp_path):
    command("export", out, tmp_path / "images.csv")
    with open(tmp_path / "images.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    assert list(rows[0])[:7] == ["image_id", "status", "error", "label", "label_score", "n_faces", "identities"]
    assert sum(bool(row["identities"]) for row in rows) == 12
    command("export", out, tmp_path / "faces.csv", "--table", "faces")
    with open(tmp_path / "faces.csv", newline="") as file:
        header = next(csv.reader(file))
    assert header[:8] == ["image_id", "face_id", "x1", "y1", "x2", "y2", "score", "identity_id"]
    assert len(pd.read_parquet(out / "images")) == 16 and pd.read_parquet(out / "faces")["identity_id"].nunique() == 3
    failed = command("export", out, tmp_path / "images.xlsx", check=False)
    assert failed.returncode == 2 and ".csv, .jsonl" in failed.stderr


def test_search_finds_the_person_and_the_picture(out, command):
    photo = SAMPLES / "barack-obama" / "portrait-2012.jpg"
    found = json.loads(command("search", out, "--image", photo, "-k", "4", "--json").stdout)
    assert found["unit"].startswith("cosine distance")
    matches = found["queries"][0]["matches"]  # of the photo's largest face
    assert len(matches) == 4 and matches[0]["distance"] < 1e-3
    assert all("/barack-obama/" in match["image_id"] for match in matches)
    assert len({match["identity_id"] for match in matches}) == 1
    found = json.loads(command("search", out, "--image", photo, "--similar", "-k", "2", "--json").stdout)
    assert found["queries"][0]["matches"][0]["image_id"].endswith("/portrait-2012.jpg")
    failed = command("search", out, "--image", SAMPLES / "things" / "coffee.jpg", check=False)
    assert failed.returncode == 1 and "no face" in failed.stderr


def test_load_again_changes_nothing(out, command):
    with pb.Database.open(out) as database:
        before = list(database.find_images(sort="_id"))
    assert len(before) == 16
    command("load", out)
    record = json.loads((out / "run.json").read_text())["stages"]["load"]
    assert (record["images_written"], record["image_vectors_written"], record["face_vectors_written"]) == (0, 0, 0)
    with pb.Database.open(out) as database:
        assert list(database.find_images(sort="_id")) == before


def test_identities_are_the_same_again_and_other_strategies_work(out, command):
    before = IDENTITIES.read(pb.Landing(out)).rows
    with pb.Database.open(out) as database:
        for strategy in ("dbscan", "pairwise"):
            assert pb.PeopleIdentifierModule(strategy).run(database).people == 3
    command("identify", out, "--strategy", "average")
    assert IDENTITIES.read(pb.Landing(out)).rows.equals(before)


def test_weights_that_cannot_be_had_are_named(tmp_path, command):
    mirror = {"PIXELBRAIN_WEIGHTS_MIRROR": "http://127.0.0.1:9/", "TORCH_HOME": str(tmp_path)}
    failed = command("run", SAMPLES / "things", "--out", tmp_path / "out", check=False, **mirror)
    assert failed.returncode == 1 and failed.stderr.count("Error: ") == 1
    for wanted in ("resnet50-11ad3fa6.pth", str(tmp_path), "--weights-dir", "--offline"):
        assert wanted in failed.stderr

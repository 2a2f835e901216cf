"""tag_identity: a folder in, a CSV out, with the flags of its predecessor."""

from __future__ import annotations

import collections
import csv
import shutil
from pathlib import Path

import numpy as np

from pixelbrain.apps.demo import SAMPLES
from pixelbrain.images.decode import decode_image
from tests.fake_openai.running import FakeOpenAI
from tests.integration.conftest import run_pixelbrain


def test_a_folder_to_a_csv(ray_running, command, tmp_path):
    file, home = tmp_path / "people.csv", tmp_path / "home"
    for folder in ("barack-obama", "eileen-collins", "things"):  # the demo's test has all of them
        shutil.copytree(SAMPLES / folder, tmp_path / "photos" / folder)
    flags = [
        "--data_path", tmp_path / "photos", "--export", file, "--database_id", "mine", "--identity_field_name", "who",
        "--identifying_strategy", "pairwise", "--offline", "--executor", "local",
    ]  # fmt: skip
    done = run_pixelbrain(*flags, program="tag_identity", PIXELBRAIN_HOME=str(home))
    assert "12 images, 2 people" in done.stdout
    with open(file, newline="") as source:
        rows = list(csv.DictReader(source))
    assert len(rows) == 12 and list(rows[0]) == ["image", "who"]
    by_folder = collections.defaultdict(set)
    for row in rows:
        by_folder[row["image"].split("/")[-2]].add(row["who"])
    assert by_folder.pop("things") == {""}
    assert all(len(who) == 1 for who in by_folder.values())
    assert len(set.union(*by_folder.values())) == 2

    with FakeOpenAI() as fake:  # it sees a person in what is more red than not
        environment = {**fake.environment, "PIXELBRAIN_HOME": str(home)}
        command("tag-identity", *flags, "--apply_people_detector", "--rm", **environment)
    with open(file, newline="") as source:
        found = {row["image"]: row["who"] for row in csv.DictReader(source)}
    for row in rows:
        reddish = np.asarray(decode_image(Path(row["image"]).read_bytes()).pixels)[..., 0].mean() > 127
        assert found[row["image"]] == (row["who"] if reddish else "")
    assert not (home / "mine").exists()


def test_bad_values_are_usage_errors(command, tmp_path):
    for flags in (
        ["--export", str(tmp_path / "x.txt")],
        ["--export", str(tmp_path / "x.csv"), "--database_id", "../up"],
        ["--export", str(tmp_path / "x.csv"), "--identity_field_name", "image"],
    ):
        done = command("tag-identity", "--data_path", SAMPLES, *flags, check=False)
        assert done.returncode == 2 and done.stderr.startswith("Error: ")

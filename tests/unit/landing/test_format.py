"""OUTs of every format so far are read, and go on; one of a later format is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from pixelbrain.cli.main import cli
from pixelbrain.errors import LandingError, NewerFormatError
from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import claim_generation
from pixelbrain.landing.published import publish
from pixelbrain.storage.format import FORMAT, check_format

OUTS = Path(__file__).parents[2] / "outs"  # written by make.py there
IDS = ["s3://photos/0.jpg", "s3://photos/1.jpg", "s3://photos/2.jpg", "s3://photos/3.jpg", "s3://photos/broken.jpg"]


def test_there_is_one_of_each_format():
    assert [path.name for path in sorted(OUTS.glob("format-*"))] == [f"format-{n}" for n in range(1, FORMAT + 1)]


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_an_out_of_each_format_is_read(tmp_path, number):
    out = tmp_path / "out"
    shutil.copytree(OUTS / f"format-{number}", out)
    landing = Landing(out)
    assert check_format(landing.storage) == number
    taken = {"s3://photos/0.jpg": None if number < 2 else "2024-05-01T12:00:00+02:00"}

    def check() -> None:
        landing.refresh()
        rows = {row["image_id"]: row for table in landing.iter_images() for row in table.to_pylist()}
        assert sorted(rows) == IDS
        assert {name: rows[name]["taken_at"] for name in taken} == taken
        assert rows[IDS[2]]["facenet"]["n_faces"] == 2 and rows[IDS[3]]["version"] == "2"
        assert rows[IDS[0]]["resnet"]["label"] == "tabby" and rows[IDS[4]]["status"] == "failed"
        assert rows[IDS[0]]["is_cat"]["answer"] is True
        assert len(IDENTITIES.read(landing).rows) == 2 and len(GROUPS.read(landing).rows) == 2

    check()
    claim_generation(landing.storage)  # as whatever lands something does first
    publish(landing)
    check()
    assert check_format(landing.storage) == FORMAT
    assert sorted(pd.read_parquet(out / "images")["image_id"]) == IDS
    faces = pd.read_parquet(out / "faces")
    assert len(faces) == 6 and sorted(faces["identity_id"].dropna()) == ["person-1", "person-2"]


@pytest.mark.parametrize("arguments", [["status"], ["export", "images.csv"], ["verify"], ["compact"]])
def test_a_newer_one_is_refused_by_name(tmp_path, arguments):
    shutil.copytree(OUTS / f"format-{FORMAT}", tmp_path / "out")
    said = {"format": FORMAT + 1, "written_by": "pixelbrain 9.1"}
    (tmp_path / "out" / "format.json").write_text(json.dumps(said))
    result = CliRunner().invoke(cli, [arguments[0], str(tmp_path / "out"), *arguments[1:]])
    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"Error: {tmp_path}/out is of format {FORMAT + 1}, by pixelbrain 9.1; this is pixel"
    )
    assert result.stderr.endswith("pip install --upgrade pixelbrain\n") and result.stderr.count("\n") == 1
    for use in (lambda landing: landing.exists(), lambda landing: claim_generation(landing.storage)):
        with pytest.raises(NewerFormatError):
            use(Landing(tmp_path / "out"))


def test_a_format_that_nobody_can_read_is_named(tmp_path):
    (tmp_path / "format.json").write_text("{}")
    with pytest.raises(LandingError, match="format.json does not say a format: delete it"):
        Landing(tmp_path).exists()

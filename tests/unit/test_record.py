"""run.json keeps what other stages wrote, and says so when it is none."""

from __future__ import annotations

import json

import pytest

from pixelbrain.errors import LandingError
from pixelbrain.record import read_record, write_stage


def test_stages_and_settings_add_up(tmp_path):
    assert read_record(tmp_path) == {}
    write_stage(tmp_path, "extract", {"done": 3}, settings={"source": "photos", "mongo": None})
    write_stage(tmp_path, "load", {"images": 3}, settings={"mongo": "mongodb://db/x"})
    found = json.loads((tmp_path / "run.json").read_text())
    assert found == read_record(tmp_path)
    assert found["settings"] == {"source": "photos", "mongo": "mongodb://db/x"}
    assert found["stages"]["extract"]["done"] == 3 and found["stages"]["load"]["finished"]
    assert {"python", "ray", "pyarrow"} <= found["versions"].keys()


def test_what_is_no_record_is_named(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(LandingError, match="cannot read .*run.json: .*delete it"):
        read_record(tmp_path)

"""The stages hand on what they are told; `verify --repair` is one piece of work, while nobody else has OUT."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import Any

import pytest
from click.testing import CliRunner

from pixelbrain.cli.main import cli
from pixelbrain.identity.group import GroupReport
from pixelbrain.identity.people import IdentityReport
from pixelbrain.modules.weights.table import WEIGHTS
from pixelbrain.stages.stages import Stages
from pixelbrain.stores.verify_report import Difference, VerifyReport


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["load"], {"rebuild": False}),
        (["load", "--rebuild"], {"rebuild": True}),
        (["identify", "--strategy", "dbscan", "--threshold", "0.5"], {"threshold": 0.5, "rebuild": False}),
        (["group"], {"threshold": None, "by": "images", "where": None}),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_stage_is_told_over_one_database(words, told, landed, monkeypatch):
    heard = []
    name, *options = words
    monkeypatch.setattr(
        Stages, "database", lambda stages, stage: contextlib.nullcontext((stages.config.strategy, stage))
    )
    monkeypatch.setattr(Stages, name, lambda _, database, **how: heard.append((*database, how)))
    result = CliRunner().invoke(cli, [name, str(landed), *options])
    assert result.exit_code == 0, result.output
    assert heard == [("dbscan" if name == "identify" else "average", name, told)]


def compared(*differences: Difference) -> VerifyReport:
    return VerifyReport(images=7, image_vectors=0, face_vectors=0, refused=0, differences=differences, seconds=1.0)


MISSING = compared(Difference(where="MongoDB images", kind="missing", count=2))


@pytest.mark.parametrize(
    ("options", "found", "code", "loaded"),
    [([], [MISSING], 1, 0), (["--repair"], [MISSING, compared()], 0, 1), (["--repair"], [compared()], 0, 0)],
)
def test_repair_is_one_piece_of_work(options, found, code, loaded, landed, loads, taken, monkeypatch):
    reports = iter(found)
    monkeypatch.setattr("pixelbrain.stores.verify.verify", lambda *_, **__: next(reports))
    result = CliRunner().invoke(cli, ["verify", str(landed), *options])
    assert (result.exit_code, len(loads), taken) == (code, loaded, ["verify"]), result.output
    assert ("2 missing" in result.output) == (found[0] is MISSING) and next(reports, None) is None


def test_as_json_standard_output_is_json_alone(landed, loads, tmp_path, monkeypatch):
    def told(*words: str) -> Any:
        return json.loads(CliRunner().invoke(cli, [*words, "--json"]).stdout)

    reports = iter([MISSING, compared()])
    monkeypatch.setattr("pixelbrain.stores.verify.verify", lambda *_, **__: next(reports))
    found = told("verify", str(landed), "--repair")
    assert (found["ok"], found["images"], found["differences"]) == (True, 7, [])
    people = IdentityReport(faces=3, assigned=2, single=1, gated=0, people=1, threshold=0.5, seconds=1.0)
    monkeypatch.setattr(Stages, "identify", lambda *_, **__: people)
    assert told("identify", str(landed)) == dataclasses.asdict(people)
    groups = GroupReport(images=3, grouped=2, groups=1, threshold=0.5, seconds=1.0)
    monkeypatch.setattr(Stages, "group", lambda *_, **__: groups)
    assert told("group", str(landed)) == dataclasses.asdict(groups)
    (tmp_path / WEIGHTS["resnet50"].file_name).write_bytes(b"other weights")
    listed = told("weights", "list", "--weights-dir", str(tmp_path))
    assert [one["name"] for one in listed] == list(WEIGHTS) and {"path", "sha256", "used_by"} <= listed[0].keys()
    checked = {one["name"]: one for one in told("weights", "verify", "--weights-dir", str(tmp_path))}
    assert checked["resnet50"]["problem"] and checked["resnet50"]["path"].startswith(str(tmp_path))

"""`pixelbrain run` and `extract` end with a code that --strict asks for; `plan` with one that says whether it fits."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from pixelbrain.cli.main import cli
from pixelbrain.stages.stages import Stages


@pytest.mark.parametrize(("failed", "strict", "code"), [(0, True, 0), (2, False, 0), (2, True, 3)])
@pytest.mark.parametrize("name", ["run", "extract"])
def test_strict_is_an_exit_code(name, failed, strict, code, tmp_path, monkeypatch):
    extracted = SimpleNamespace(failed=failed)
    monkeypatch.setattr(Stages, "extract", lambda _: extracted)
    monkeypatch.setattr(Stages, "run", lambda _: {"extract": extracted, "report": tmp_path / "index.html"})
    words = [name, "photos", "--out", str(tmp_path), *(["--strict"] if strict else [])]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == code
    assert (f"Open file://{tmp_path}/index.html" in result.output) == (name == "run")


@pytest.mark.parametrize(("shortage", "code"), [(None, 0), ("it takes 2 GPUs", 1)])
def test_a_plan_that_does_not_fit_is_an_error(shortage, code, tmp_path, monkeypatch):
    found = dataclasses.make_dataclass("Found", ["left", "shortage"])(7, shortage)
    monkeypatch.setattr("pixelbrain.apps.plan.plan_run", lambda _: found)
    result = CliRunner().invoke(cli, ["plan", "photos", "--out", str(tmp_path), "--json"])
    assert result.exit_code == code and '"left": 7' in result.output
    assert (f"Error: {shortage}" in result.output) == (code == 1)


def test_printing_the_settings_does_nothing(monkeypatch):
    monkeypatch.setattr(Stages, "__init__", lambda *_, **__: pytest.fail("nothing is to run"))
    for name in ("run", "extract"):
        assert CliRunner().invoke(cli, [name, "photos", "--out", "o", "--print-config"]).exit_code == 0

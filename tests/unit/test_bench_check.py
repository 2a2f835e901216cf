"""benchmarks/check.py: results against their floors, as a command that a build can go by."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "check.py"


@pytest.fixture
def check(monkeypatch, tmp_path):
    """The command's `main`, given results by name: what it returns."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    from benchmarks.check import main

    def run(**results: object) -> int:
        for name, result in results.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(result))
        return main([str(tmp_path / f"{name}.json") for name in results])

    return run


@pytest.mark.parametrize(
    ("figures", "status"),
    [
        ({"pipeline.vs_bare_reader": 0.85}, 0),  # the floor itself is kept
        ({"pipeline.vs_bare_reader": 0.849}, 1),
        ({"memory.growth_20k_to_100k": 1.05}, 0),
        ({"memory.growth_20k_to_100k": 1.06}, 1),  # where less is better, it is a ceiling
        ({"pipeline.vs_bare_reader": float("nan")}, 1),  # what could not be measured is not kept
        ({"memory.growth_20k_to_100k": None}, 1),
        ({"pipeline.vs_bare_reader": 2, "of.nobody": 0}, 0),
        ({"of.nobody": 0}, 2),  # nothing was checked
    ],
)
def test_a_figure_under_its_floor_ends_with_1(check, figures, status):
    assert check(one={"figures": figures}) == status


def test_what_is_under_and_what_is_missing_is_named(check, capsys):
    good, bad = {"pipeline.vs_bare_reader": 0.9, "load.mongo_vs_bare": 1}, {"load.mongo_vs_bare": 0.5}
    assert check(good={"figures": good}, bad={"figures": bad}) == 1  # one file's does not make up for another's
    said = capsys.readouterr()
    assert said.err.strip() == "under the floor: load.mongo_vs_bare"
    missing = said.out.rpartition("not checked: ")[2].strip().split(", ")
    assert "faces.recall_of_baseline" in missing and not {*good} & {*missing}
    assert [row.count("NOT KEPT") for row in said.out.splitlines() if "load.mongo_vs_bare" in row] == [0, 1]


@pytest.mark.parametrize("result", [[], {}, {"figures": 3}, {"figures": {"a": "b"}}, 7])
def test_what_is_no_result_is_said_in_a_line(check, capsys, result):
    assert check(one=result) == 2
    assert "one.json is no result" in capsys.readouterr().err


def test_it_is_a_command(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT, tmp_path / "none.json"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "none.json is no result" in done.stderr

"""`pixelbrain people` as a user has it: names, corrections, refusals, and what other commands make of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from pixelbrain import schema
from pixelbrain.cli.main import cli
from pixelbrain.landing.derived import IDENTITIES
from tests.unit.landed_out import land_faces

FACES = [f"file:///photos/{number}.jpg#0" for number in range(7)]


@pytest.fixture
def out(tmp_path) -> Path:
    """Three people of two faces, and one face that is nobody's."""
    landing = land_faces(tmp_path / "out", FACES)
    rows = [
        {"face_id": one, "image_id": one[:-2], "identity_id": f"person-{number // 2}aa", "assigned": "clustered"}
        | ({"identity_id": None, "assigned": "single"} if number == 6 else {"distance": number / 100})
        for number, one in enumerate(FACES)
    ]
    IDENTITIES.write(landing, pa.Table.from_pylist(rows, schema=schema.IDENTITY_SCHEMA))
    return tmp_path / "out"


def people(*words: Any, code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["people", *map(str, words)])
    assert result.exit_code == code, result.output
    return result.output


def test_names_and_corrections(out, tmp_path):
    assert "event 1" in people("name", out, "person-0", "Ann", "--as", "me")
    people("merge", out, "Ann", "1aa")
    people("assign", out, "Ann", FACES[6])
    people("hide", out, "person-2aa")
    listed = people("list", out).splitlines()
    assert len(listed) == 2 and listed[1].split() == ["Ann", "person-0aa", "5", "5"] and len(max(listed)) <= 80
    both = json.loads(people("list", out, "--hidden", "--json"))
    assert [(one["identity_id"], one["n_faces"], one["hidden"]) for one in both] == [
        ("person-0aa", 5, False), ("person-2aa", 2, True),
    ]  # fmt: skip
    shown = json.loads(people("show", out, "person-1aa", "--json"))  # who became another one
    assert shown["name"] == "Ann" and shown["ids"] == ["person-1aa"] and len(shown["faces"]) == 5
    assert "by_hand: somebody said so" in people("show", out, FACES[6])
    refused = people("apart", out, "Ann", "person-1aa", code=1)
    assert "event 2" in refused and "this apart" in refused and "nothing was written" in refused
    for table, column, expected in (
        ("faces", "name", ["Ann"] * 4 + [None] * 2 + ["Ann"]),
        ("images", "names", ["Ann"] * 4 + [None] * 2 + ["Ann"]),
        ("people", "name", ["Ann", None]),
    ):
        file = tmp_path / f"{table}.jsonl"
        assert CliRunner().invoke(cli, ["export", str(out), str(file), "--table", table]).exit_code == 0
        assert [json.loads(line).get(column) for line in file.read_text().splitlines()] == expected
    found = CliRunner().invoke(cli, ["search", str(out), "--person", "ann", "-k", "3", "--json"]).output
    (query,) = json.loads(found)["queries"]
    assert [match["face_id"] for match in query["matches"]] == FACES[:3]
    people("undo", out, 2)
    assert [line.split()[-3:] for line in people("list", out).splitlines()[1:]] == [
        ["person-0aa", "3", "3"], ["person-1aa", "2", "2"],
    ]  # fmt: skip
    history = people("history", out).splitlines()
    assert len(history) == 5 and history[0].startswith("event 1 (") and "me) names" in history[0]
    assert history[1].startswith("(event 2") and history[4].endswith("takes back 2")
    assert [one["holds"] for one in json.loads(people("history", out, "--json"))] == [True, False, True, True, True]


def test_the_gallery_calls_people_by_name_and_shows_no_hidden_ones(out):
    people("name", out, "person-0", "Ann")
    people("hide", out, "person-1aa")
    assert CliRunner().invoke(cli, ["report", str(out)]).exit_code == 0
    index = (out / "report" / "index.html").read_text()
    assert [f"people/person-{number}aa" in index.partition('id="labels"')[0] for number in range(3)] == [
        True,
        False,
        True,
    ]
    assert "Ann" in index
    people("unhide", out, "person-1aa")
    assert CliRunner().invoke(cli, ["report", str(out)]).exit_code == 0
    index = (out / "report" / "index.html").read_text()
    assert "people/person-1aa" in index.partition('id="labels"')[0]


def test_what_is_not_there_is_one_line(out):
    assert "nobody is called 'Bob'" in people("show", out, "Bob", code=1)
    assert "no face" in people("reject", out, "file:///nothing#0", code=1)
    assert "whose vectors are known" in people("suggest", out, code=1)
    assert json.loads(people("history", out, "--json")) == []

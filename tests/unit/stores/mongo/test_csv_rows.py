"""Rows of a CSV as documents: what is a value, and which rows are none."""

from __future__ import annotations

from pathlib import Path

import pytest

import pixelbrain as pb
from pixelbrain.errors import ConfigError
from pixelbrain.stores.mongo.csv_rows import read_rows


def read(tmp_path: Path, text: str, **how):
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8-sig")
    errors: list[tuple[str, str]] = []
    return list(read_rows(tmp_path / "rows.csv", errors, check=lambda _name: None, **how)), errors


@pytest.mark.parametrize("apart", [",", ";", "\t"])
def test_values_are_what_they_are(tmp_path: Path, apart: str):
    cells = ["b.jpg", "5", "0.5", "007", "true", " ", "nan", '"say ""a"""', "ü"]
    head = ["path", "n", "x", "code", "ok", "none", "nan", "text", "letter"]
    (row,), errors = read(tmp_path, f"{apart.join(head)}\n{apart.join(cells)}\n\n")
    assert not errors and row.pop("image_id") == (tmp_path / "b.jpg").as_uri()
    values = {"n": 5, "x": 0.5, "code": "007", "ok": True, "none": None, "nan": "nan", "text": 'say "a"', "letter": "ü"}
    assert row == values
    assert read(tmp_path, "image_id,a,b\ns3://b/k.jpg,1,2", fields=["b"])[0] == [{"image_id": "s3://b/k.jpg", "b": 2}]


def test_bad_rows_are_told_by_their_line_and_cost_nobody_else(tmp_path: Path):
    text = 'uri,note\na.jpg,"two\nlines"\n,nobody\na.jpg,again\n./a.jpg,again\nc.jpg,1,2\nd.jpg\n'
    rows, errors = read(tmp_path, text)
    assert [Path(row["image_id"]).name for row in rows] == ["a.jpg", "d.jpg"] and rows[1]["note"] is None
    assert [line for line, _why in errors] == ["line 4", "line 5", "line 6", "line 7"]
    assert "no image_id" in errors[0][1] and "is on line 3, too" in errors[1][1] and "3 cells" in errors[3][1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,note\na,b\n", "no column that names the images, image_id or uri.*: name, note"),
        ("", "its columns: none"),
        ("uri,note,note\n", "two columns 'note'"),
        ("uri,status\na,ok\n", "'status' needs another name"),
        ("uri,a.b\na,1\n", "'a.b' is not a field"),
    ],
)
def test_a_file_that_cannot_be_is_refused_before_a_server_is_started(tmp_path: Path, text: str, says: str):
    (tmp_path / "rows.csv").write_text(text)
    with pb.Database.open(tmp_path / "out") as database, pytest.raises(ConfigError, match=says):
        database.create_from_csv(tmp_path / "rows.csv")
    assert not (tmp_path / "out" / "db").exists()
    with (
        pb.Database.open(tmp_path / "out") as database,
        pytest.raises(ConfigError, match="cannot read .*absent.csv: No"),
    ):
        database.create_from_csv(tmp_path / "absent.csv")

"""One file for other programs: every value survives each format, and the file is complete or as it was."""

from __future__ import annotations

import csv
import datetime
import json
import math
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixelbrain.storage.tables import write_csv, write_table

TABLE = pa.table(
    {
        "text": ['say "hi", é\n', "", None],
        "float": pa.array([0.93, math.nan, None], pa.float32()),
        "whole": [2, None, -1],
        "flag": [True, False, None],
        "day": pa.array([datetime.date(2026, 11, 28), None, None]),
    }
)


def test_csv_tells_nothing_from_an_empty_text(tmp_path: Path):
    file = tmp_path / "a.CSV"
    assert write_table(file, TABLE.schema, [TABLE.slice(0, 1), TABLE.slice(1)]) == 3
    assert file.read_text(encoding="utf-8").split("\n", 1)[0] == "text,float,whole,flag,day"
    assert file.read_bytes().endswith(b'\n"",nan,,false,\n,,-1,,\n')
    with open(file, encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    assert rows[0] == {"text": 'say "hi", é\n', "float": "0.93", "whole": "2", "flag": "true", "day": "2026-11-28"}
    assert len(rows) == 3


def test_json_lines_have_short_floats_and_no_nan(tmp_path: Path):
    file = tmp_path / "a.jsonl"
    assert write_table(file, TABLE.schema, [TABLE]) == 3
    rows = [json.loads(line, parse_constant=pytest.fail) for line in file.read_text(encoding="utf-8").splitlines()]
    assert rows[0] == {"text": 'say "hi", é\n', "float": 0.93, "whole": 2, "flag": True, "day": "2026-11-28"}
    assert rows[1]["float"] is None and rows[1]["text"] == "" and rows[2]["text"] is None
    assert '"é' not in file.read_text(encoding="ascii", errors="replace") and "é" in file.read_text(encoding="utf-8")


def test_parquet_has_the_types(tmp_path: Path):
    file = tmp_path / "a.parquet"
    assert write_table(file, TABLE.schema, [TABLE, TABLE]) == 6
    assert pq.read_schema(file).equals(TABLE.schema)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_without_rows_there_is_a_file(tmp_path: Path, suffix: str):
    file = tmp_path / f"a{suffix}"
    assert write_table(file, TABLE.schema, []) == 0
    assert file.exists()


def test_names_of_columns_are_quoted_where_they_must(tmp_path: Path):
    write_csv(tmp_path / "a.csv", ["image", 'who, "if anybody"'], [["x", None]])
    assert (tmp_path / "a.csv").read_text() == 'image,"who, ""if anybody"""\n"x",\n'


def test_a_file_name_that_is_not_text_stays_what_it_is(tmp_path: Path):
    write_csv(tmp_path / "a.csv", ["image"], [[os.fsdecode(b"/photos/\xff.jpg")]])
    assert (tmp_path / "a.csv").read_bytes() == b'image\n"/photos/\xff.jpg"\n'


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_what_fails_leaves_the_older_file_and_nothing_else(tmp_path: Path, suffix: str):
    def tables():
        yield TABLE
        raise ValueError("in the middle")

    file = tmp_path / f"a{suffix}"
    file.write_text("of yesterday")
    with pytest.raises(ValueError, match="in the middle"):
        write_table(file, TABLE.schema, tables())
    assert file.read_text() == "of yesterday" and list(tmp_path.iterdir()) == [file]

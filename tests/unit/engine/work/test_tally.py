"""What came of rows, counted."""

from __future__ import annotations

import json

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.engine.work.tally import SUMMARY_SCHEMA, Tally

KIND = schema.module_struct([pa.field("n", pa.int64())])


def rows(*outcomes: tuple[str, str | None, str | None]) -> pa.Table:
    """Of (status, the image's error, the module's error)."""
    structs = [{"n": 1, "error_type": error} if status == "ok" else None for status, _, error in outcomes]
    return pa.table(
        {
            "status": [status for status, _, _ in outcomes],
            "error_type": pa.array([error for _, error, _ in outcomes], pa.string()),
            "a": pa.array(structs, KIND),
            "b": pa.array(structs, KIND),
        }
    )


def test_an_image_counts_once_and_its_failures_by_kind():
    tally = Tally()
    tally.add(rows(("ok", None, None), ("failed", "DecodeError", None), ("ok", None, "ValueError")), ["a", "b"])
    tally.add(rows(("failed", "DecodeError", None)), ["a"])
    assert (tally.images, tally.failed) == (4, 3)
    assert tally.failures == {"DecodeError": 2, "a: ValueError": 1, "b: ValueError": 1}


def test_photos_that_were_turned_are_counted():
    kind = schema.module_struct([pa.field("turn", pa.int32())])
    table = rows(*[("ok", None, None)] * 3, ("failed", "DecodeError", None))
    turns = pa.array([{"turn": 90}, {"turn": 0}, {"turn": 270}, None], kind)
    tally = Tally()
    tally.add(table.append_column("facenet", turns), ["a", "facenet"])
    assert tally.turned == tally.summary()["turned"][0].as_py() == 2


def test_a_summary_is_one_row():
    tally = Tally()
    tally.add(rows(("ok", None, "ValueError")), ["a"])
    tally.seconds["a"] += 0.5
    summary = tally.summary()
    assert summary.schema == SUMMARY_SCHEMA
    (row,) = summary.to_pylist()
    assert (row["images"], row["failed"], row["turned"]) == (1, 1, 0)
    assert json.loads(row["failures"]) == {"a: ValueError": 1} and json.loads(row["seconds"]) == {"a": 0.5}

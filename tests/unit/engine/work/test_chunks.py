"""Chunks travel as tables: what goes in comes out, and inputs go no further than they are wanted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pixelbrain.engine.work.chunks import Chunk, pack, unpack


def chunk(piece: int, rows: int) -> Chunk:
    return Chunk(
        block=3,
        piece=piece,
        modules=["a", "b"],
        rows=pa.table({"image_id": [f"{piece}-{i}" for i in range(rows)]}),
        good=list(range(1, rows)),
        seconds={"waiting for images": 0.5},
        inputs={"a": [np.full((2, 2), i, np.uint8) for i in range(1, rows)], "b": [ValueError("no")] * (rows - 1)},
    )


def test_a_chunk_comes_out_as_it_went_in():
    table = pack([chunk(0, 3), Chunk(block=3, piece=1, modules=["b"], landed=7), chunk(2, 2)], ["a", "b"])
    assert len(table) == 3
    first, landed, last = unpack(table)
    assert (first.block, first.piece, first.modules, first.good) == (3, 0, ["a", "b"], [1, 2])
    assert first.rows["image_id"].to_pylist() == ["0-0", "0-1", "0-2"] and first.seconds == {"waiting for images": 0.5}
    assert [array.tolist() for array in first.take_input("a")] == [[[1, 1], [1, 1]], [[2, 2], [2, 2]]]
    assert [str(error) for error in first.take_input("b")] == ["no", "no"]
    assert (landed.rows, landed.landed, landed.inputs) == (None, 7, {})
    assert len(last.take_input("a")) == 1


def test_inputs_go_no_further_than_they_are_wanted():
    (first,) = unpack(pack([chunk(0, 3)], ["a", "b"]))
    later = pack([first], ["b"])
    assert "input.a" not in later.column_names
    (last,) = unpack(later)
    assert [str(error) for error in last.take_input("b")] == ["no", "no"]
    assert pack([last], []).nbytes < later.nbytes

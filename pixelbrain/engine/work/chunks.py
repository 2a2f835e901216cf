"""Chunks: images on their way through the staged layout, from the decoders to the modules to where they land.

A chunk is one row of a table, which Ray Data neither cuts nor joins. Inputs travel as pickled uint8 arrays, one column
a module, and go no further than the module that wants them.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

_INPUT = "input."


@dataclass(kw_only=True)
class Chunk:
    """Some images of a block, which land together, under a name of their own."""

    block: int
    piece: int
    modules: list[str]  # to run on them
    rows: pa.Table | None = None  # base columns, and the modules' so far; None: there is nothing to do
    good: list[int] = field(default_factory=list)  # the rows that have inputs
    landed: int = 0  # rows that an earlier try of the block has landed
    seconds: dict[str, float] = field(default_factory=dict)  # by activity
    inputs: Mapping[str, Any] = field(default_factory=dict)  # by module; unpacked when they are asked for

    def take_input(self, module: str) -> list[Any]:
        """What `PipelineModule.try_preprocess` made of the good rows."""
        return pickle.loads(self.inputs[module])


def pack(chunks: Sequence[Chunk], modules: Iterable[str]) -> pa.Table:
    """Chunks as a table, a row each, with the inputs of these modules alone."""
    columns: dict[str, pa.Array] = {
        "block": pa.array([chunk.block for chunk in chunks], pa.int64()),
        "piece": pa.array([chunk.piece for chunk in chunks], pa.int32()),
        "modules": pa.array([chunk.modules for chunk in chunks], pa.list_(pa.string())),
        "rows": _binary([_to_bytes(chunk.rows) for chunk in chunks]),
        "good": pa.array([chunk.good for chunk in chunks], pa.list_(pa.int32())),
        "landed": pa.array([chunk.landed for chunk in chunks], pa.int64()),
        "seconds": pa.array([json.dumps(chunk.seconds) for chunk in chunks], pa.string()),
    }
    for name in modules:
        columns[_INPUT + name] = _binary([_pickled(chunk.inputs.get(name)) for chunk in chunks])
    return pa.table(columns)


def unpack(table: pa.Table) -> list[Chunk]:
    """The chunks of a table that `pack` made; inputs stay where they are until they are taken."""
    inputs = [name for name in table.column_names if name.startswith(_INPUT)]
    plain = table.drop_columns(inputs).to_pylist()
    for number, row in enumerate(plain):
        row["rows"] = pa.ipc.open_stream(row["rows"]).read_all() if row["rows"] is not None else None
        row["seconds"] = json.loads(row["seconds"])
        given = {name: table[name][number].as_buffer() for name in inputs if table[name][number].is_valid}
        row["inputs"] = {name.removeprefix(_INPUT): buffer for name, buffer in given.items()}
    return [Chunk(**row) for row in plain]


def _to_bytes(table: pa.Table | None) -> pa.Buffer | None:
    if table is None:
        return None
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _pickled(given: Any) -> pa.Buffer | None:
    """Inputs as bytes; those that come from another chunk's table are bytes already."""
    if given is None or isinstance(given, pa.Buffer):
        return given
    return pa.py_buffer(pickle.dumps(given, protocol=pickle.HIGHEST_PROTOCOL))


def _binary(values: Sequence[pa.Buffer | None]) -> pa.Array:
    """Buffers as an array, without a copy where it is one alone."""
    arrays = [
        pa.nulls(1, pa.large_binary())
        if value is None
        else pa.LargeBinaryArray.from_buffers(
            pa.large_binary(), 1, [None, pa.array([0, value.size], pa.int64()).buffers()[1], value]
        )
        for value in values
    ]
    return arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)

"""Which part file holds the newest row of each image, and the newest column of each module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pixelbrain.landing.parts import Part

__all__ = ["LandedIndex", "build_index"]


@dataclass(frozen=True, kw_only=True)
class LandedIndex:
    """Where every image's values are. All arrays have one entry an image, in the order of the listing.

    `part` and `row` (int64) find the base columns; `modules[name]` finds a module's struct as a (part, row) pair of
    arrays, -1 where the module has not seen this version of the image.
    """

    parts: Sequence[Part]
    image_id: pa.ChunkedArray
    version: pa.ChunkedArray
    status: pa.ChunkedArray
    part: np.ndarray
    row: np.ndarray
    modules: dict[str, tuple[np.ndarray, np.ndarray]]


def build_index(parts: Sequence[Part]) -> LandedIndex:
    """Read the ids of all parts and find, per image, the newest row, and per module the newest one of that version."""
    newest_first = sorted(range(len(parts)), key=lambda i: (-parts[i].generation, i))
    tables = [_ids(parts[i], i) for i in newest_first]
    rows = pa.concat_tables(tables) if tables else _ids(None, 0)
    winners = _first_of_each(rows)
    # generations run newest first above; a user wants the order of the listing
    order = np.lexsort((winners["row"].to_numpy(), winners["part"].to_numpy()))
    winners = winners.take(pa.array(order))
    names = sorted({name for part in parts for name in part.modules})
    return LandedIndex(
        parts=parts,
        image_id=winners["image_id"],
        version=winners["version"],
        status=winners["status"],
        part=winners["part"].to_numpy(),
        row=winners["row"].to_numpy(),
        modules={name: _locate(name, rows, winners, parts) for name in names},
    )


def _ids(part: Part | None, number: int) -> pa.Table:
    if part is None:
        ids = pa.table({name: pa.array([], pa.string()) for name in ("image_id", "version", "status")})
    else:
        with pq.ParquetFile(part.path) as file:
            ids = file.read(columns=["image_id", "version", "status"]).replace_schema_metadata(None)
    return ids.append_column("part", pa.array(np.full(len(ids), number))).append_column(
        "row", pa.array(np.arange(len(ids)))
    )


def _first_of_each(rows: pa.Table) -> pa.Table:
    """The first row of each image_id."""
    if pc.count_distinct(rows["image_id"]).as_py() == len(rows):
        return rows
    position = rows.append_column("position", pa.array(np.arange(len(rows))))
    first = position.group_by("image_id").aggregate([("position", "min")])["position_min"]
    return rows.take(first)


def _locate(name: str, rows: pa.Table, winners: pa.Table, parts: Sequence[Part]) -> tuple[np.ndarray, np.ndarray]:
    """(part, row) of a module's newest struct, for each of the winners; -1 where there is none of its version."""
    holds = np.array([name in part.modules for part in parts], bool)
    if holds.all() and len(rows) == len(winners):
        return winners["part"].to_numpy(), winners["row"].to_numpy()
    rows = rows.filter(pa.array(holds[rows["part"].to_numpy()]))
    target = pc.index_in(rows["image_id"], winners["image_id"].combine_chunks())
    current = pc.equal(rows["version"], winners["version"].take(target))
    rows = rows.filter(current)
    target = np.asarray(target.filter(current))
    part = np.full(len(winners), -1, np.int64)
    row = np.full(len(winners), -1, np.int64)
    # newest first: written backwards, the newest stays
    part[target[::-1]] = rows["part"].to_numpy()[::-1]
    row[target[::-1]] = rows["row"].to_numpy()[::-1]
    return part, row

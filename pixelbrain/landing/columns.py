"""Rows of part files by where they are, and answers by their image: the columns of what a reader of OUT sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.landing.index import LandedIndex
from pixelbrain.landing.parts import Part
from pixelbrain.storage.base import BrokenFileError

__all__ = ["align_answers", "take_rows"]


def take_rows(
    parts: Sequence[Part], part: np.ndarray, row: np.ndarray, columns: list[str], *, vectors: bool = True
) -> pa.Table:
    """Columns of the rows (part[i], row[i]), in this order.

    Args:
        parts: what `part` counts in.
        part, row: integers (n,); null is where `part` is -1.
        columns: names of whole columns.
        vectors: False leaves out the embeddings inside structs, which are most of the bytes.

    Raises:
        FileGoneError: a file is not there any more.
        BrokenFileError: one is damaged.
        LandingError: one cannot be read.
    """
    tables, places = [], []
    for number in np.unique(part):
        chosen = np.flatnonzero(part == number)
        places.append(chosen)
        if number < 0:
            tables.append(pa.table({name: pa.nulls(len(chosen)) for name in columns}))
            continue
        tables.append(_read(parts[number], row[chosen], columns, vectors))
    if all(number < 0 for number in np.unique(part)):  # no row of the batch has it: its type is in any part
        holder = next(p for p in parts if all(c in p.modules for c in columns))
        tables.append(_read(holder, np.empty(0, np.int64), columns, vectors))
    merged = pa.concat_tables(tables, promote_options="default")
    return merged.take(pa.array(np.argsort(np.concatenate(places), kind="stable")))


def _read(part: Part, rows: np.ndarray, columns: list[str], vectors: bool) -> pa.Table:
    """These rows of a file, in this order; only the row groups that hold them are read."""
    # ParquetFile and not read_table: only it picks fields inside lists of structs
    try:
        with part.open() as file:
            leaves = columns
            if not vectors:
                leaves = [leaf for n in columns for leaf in _without_embedding(n, file.schema_arrow.field(n).type)]
            sizes = np.array([file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)], int)
            starts = np.cumsum(sizes) - sizes
            group = np.searchsorted(starts, rows, side="right") - 1
            groups = np.unique(group)
            place = np.zeros(len(sizes), int)  # of a group's first row, in what is read
            place[groups] = np.cumsum(sizes[groups]) - sizes[groups]
            found = file.read_row_groups(groups.tolist(), columns=leaves).select(columns).replace_schema_metadata(None)
            return found.take(pa.array(rows - starts[group] + place[group]))
    except BrokenFileError as error:  # its footer and its ids are whole
        raise BrokenFileError(f"{error}; move it away, and the next run does its images again", error.name) from None


def _without_embedding(prefix: str, kind: pa.DataType) -> list[str]:
    if pa.types.is_struct(kind):
        return [
            leaf
            for field in (kind.field(i) for i in range(kind.num_fields))
            if field.name != "embedding"
            for leaf in _without_embedding(f"{prefix}.{field.name}", field.type)
        ]
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        return _without_embedding(f"{prefix}.list.element", kind.value_type)
    return [prefix]


def align_answers(table: pa.Table, index: LandedIndex) -> pa.StructArray:
    """A field's answers as structs, one an image of the index; null where this version of the image has none."""
    place = pc.index_in(index.image_id, table["image_id"].combine_chunks())
    same = pc.equal(index.version, table["version"].take(place))  # of an older version of the file: not its answer
    place = pc.if_else(pc.fill_null(same, False), place, pa.scalar(None, place.type))
    shown = table.select(["answer", "status", "model", "error_type", "error"]).combine_chunks()
    structs = pa.StructArray.from_arrays([c.combine_chunks() for c in shown.columns], names=shown.column_names)
    return structs.take(place.combine_chunks())

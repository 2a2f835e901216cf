"""A table as one file for other programs, CSV, JSON lines or Parquet: complete or absent, an older one replaced."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TABLE_SUFFIXES = (".csv", ".jsonl", ".parquet")

_NEEDS_QUOTES = re.compile(r'[",\r\n]')


def write_table(file: Path, columns: pa.Schema, tables: Iterable[pa.Table]) -> int:
    """Write tables of scalars as what the file's name ends in, one of `TABLE_SUFFIXES` in any case of letters.

    Returns how many rows. Raises `OSError`.
    """
    suffix = file.suffix.lower()
    if suffix == ".parquet":
        return _write_parquet(file, columns, tables)
    if suffix == ".jsonl":
        rows = (dict(zip(columns.names, row, strict=True)) for row in _rows(tables, finite=True))
        return write_lines(file, (json.dumps(row, ensure_ascii=False) for row in rows))
    return write_csv(file, columns.names, _rows(tables, finite=False))


def write_csv(file: Path, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write rows of Python's scalars as CSV: texts are in quotes, and None is an empty field without them.

    What a file name has that is not UTF-8 is written as the bytes that it was. Returns how many rows. Raises `OSError`.
    """
    header = (_quoted(name) if _NEEDS_QUOTES.search(name) else name for name in names)
    lines = map(",".join, itertools.chain([header], (map(_cell, row) for row in rows)))
    return write_lines(file, lines, errors="surrogateescape") - 1


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else _quoted(str(value))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def write_lines(file: Path, lines: Iterable[str], errors: str = "strict", end: str = "\n") -> int:
    """Write texts, each with its end. Returns how many. Raises `OSError`."""
    count = 0
    with _replaced(file) as temporary, open(temporary, "w", encoding="utf-8", errors=errors, newline="") as text:
        for line in lines:
            text.write(line + end)
            count += 1
    return count


def _write_parquet(file: Path, columns: pa.Schema, tables: Iterable[pa.Table]) -> int:
    count = 0
    with _replaced(file) as temporary, pq.ParquetWriter(temporary, columns, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)
            count += len(table)
    return count


@contextlib.contextmanager
def _replaced(file: Path) -> Iterator[Path]:
    """Where to write what is `file` afterwards; nothing of it stays when that fails."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _rows(tables: Iterable[pa.Table], *, finite: bool) -> Iterator[Sequence[Any]]:
    for table in tables:
        yield from zip(*(_values(column, finite=finite) for column in table.columns), strict=True)


def _values(column: pa.ChunkedArray, *, finite: bool) -> list[Any]:
    """A column's values as text files have them; `finite`: neither NaN nor infinity, which JSON has not."""
    if pa.types.is_floating(column.type):
        # by way of text: the shortest digits of a float32 (0.93), and not those of the nearest double
        # (0.9300000071525574)
        numbers = (None if text is None else float(text) for text in column.cast(pa.string()).to_pylist())
        return [number if number is None or math.isfinite(number) or not finite else None for number in numbers]
    if pa.types.is_temporal(column.type):
        return column.cast(pa.string()).to_pylist()
    return column.to_pylist()

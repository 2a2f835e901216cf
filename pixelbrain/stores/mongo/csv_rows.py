"""Rows of a CSV as documents of images: ids checked, values as what they are, and bad rows told by their line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pixelbrain.errors import ConfigError
from pixelbrain.sources import image_uri

#: What the column of ids may be called, the first that is there; a path is relative to the file's folder.
ID_COLUMNS = ("image_id", "uri", "url", "path")

_NOT_TEXT = {"true": True, "false": False}


def read_rows(
    file: Path, errors: list[tuple[str, str]], *, check: Callable[[str], object], fields: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """A document a row: `image_id`, and the other columns as fields; an empty cell is None.

    Numbers are numbers where they would be written so again (`007` is a text), `true` and `false` are these.

    Args:
        file: UTF-8, with a header; columns apart by commas, semicolons or tabs.
        errors: gets (line, why) of each row that is none: without an id, of an id that was there, of too many cells.
        check: raises for a name that no field may have.
        fields: only these columns; all by default.

    Raises:
        ConfigError: it cannot be read, has no column of ids, or one that can be no field.
    """
    try:
        with open(file, encoding="utf-8-sig", newline="") as opened:
            head = opened.readline()
            opened.seek(0)
            rows = csv.reader(opened, delimiter=max(",;\t", key=head.count))
            names = next(rows, [])
            key = _key(file, names)
            if absent := [name for name in fields or () if name not in names]:
                raise ConfigError(f"{file} has no column {absent[0]!r}; its columns are: {', '.join(names)}")
            chosen = [name for name in names if name != key and (fields is None or name in fields)]
            for name in chosen:
                check(name)
            seen: dict[str, int] = {}
            for row in rows:
                if not any(cell.strip() for cell in row):
                    continue
                found, line = dict(zip(names, row, strict=False)), rows.line_num
                if why := _wrong(row, names, found.get(key, ""), file, seen, line):
                    errors.append((f"line {line}", why))
                    continue
                image_id = image_uri(found[key].strip(), str(file.parent))
                yield {"image_id": image_id, **{name: _value(found.get(name, "")) for name in chosen}}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from None


def _key(file: Path, names: Sequence[str]) -> str:
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise ConfigError(f"{file} has two columns {repeated[0]!r}")
    for name in ID_COLUMNS:
        if name in names:
            return name
    columns = ", ".join(names) or "none"
    raise ConfigError(f"{file} has no column that names the images, {' or '.join(ID_COLUMNS)}; its columns: {columns}")


def _wrong(
    row: Sequence[str], names: Sequence[str], cell: str, file: Path, seen: dict[str, int], line: int
) -> str | None:
    """Why a row is none; else its image is remembered."""
    if len(row) > len(names):
        return f"it has {len(row)} cells, and the header {len(names)}"
    if not cell.strip() or not cell.isprintable():
        return "it has no image_id (its URI, or a path)"
    image_id = image_uri(cell.strip(), str(file.parent))
    if image_id in seen:
        return f"{image_id} is on line {seen[image_id]}, too"
    seen[image_id] = line
    return None


def _value(cell: str) -> Any:
    text = cell.strip()
    if not text:
        return None
    if text.lower() in _NOT_TEXT:
        return _NOT_TEXT[text.lower()]
    try:
        number = json.loads(text, parse_constant=str)  # no 007, no 1_000, no nan
    except (ValueError, RecursionError):
        return cell
    return number if type(number) in (int, float) else cell

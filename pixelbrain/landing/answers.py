"""OUT/answers: what was asked and answered, journalled line by line as it comes, then folded into Parquet a field.

A journal is a file of JSON lines that one process appends to; its first line names the fields' types. A line is in the
hands of the operating system before its answer counts as had, so that killing every process loses none, and on the
disk 2 s later. `fold` turns journals into `OUT/answers/<field>/part-*.parquet`, typed, and may be killed at any point:
a record that is in both places is the same record.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pixelbrain.errors import LandingError
from pixelbrain.landing.parts import write_table

__all__ = ["ANSWER_FIELDS", "FINAL_STATUSES", "AnswerJournal", "AnswerLog"]

#: The columns of a field's table besides `answer`, whose type is the question's.
ANSWER_FIELDS: tuple[pa.Field, ...] = (
    pa.field("image_id", pa.string(), nullable=False),
    pa.field("version", pa.string(), nullable=False),
    pa.field("field", pa.string(), nullable=False),
    pa.field("question", pa.string(), nullable=False),  # 12 hex digits: what was asked, of whom, and how
    pa.field("key", pa.string()),  # the same and the image that was sent: under it an answer is remembered
    pa.field("status", pa.string(), nullable=False),
    pa.field("raw", pa.string()),  # the answer's text, where it is not of the asked type
    pa.field("error_type", pa.string()),
    pa.field("error", pa.string()),
    pa.field("model", pa.string()),  # that answered
    pa.field("input_tokens", pa.int64()),
    pa.field("output_tokens", pa.int64()),
    pa.field("cost_usd", pa.decimal128(24, 12)),
    pa.field("latency_s", pa.float32()),
    pa.field("answered_at", pa.string()),  # ISO 8601, UTC
    pa.field("remembered", pa.bool_()),  # not paid for again
)

#: A rerun does not ask again what ended in one of these.
FINAL_STATUSES = frozenset({"ok", "refused", "invalid"})

_FSYNC_S = 2.0
_FOLD_ROWS = 50_000  # of one part file, and in memory at once
_PART_NAME = re.compile(r"part-\d{6}\.parquet")


class AnswerJournal:
    """Appends answer records; one process writes one journal."""

    def __init__(self, path: Path, types: Mapping[str, pa.DataType]) -> None:
        """Open, or go on with, a journal of answers of these Arrow types, by field."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115  (closed by close)
        except OSError as error:
            raise LandingError(f"cannot write {path}: {error.strerror}") from None
        self._synced_at = time.monotonic()
        self._write([{"types": {field: _pack(kind) for field, kind in types.items()}}])

    def append(self, *records: Mapping[str, Any]) -> None:
        """Write records, in one call to the system: a killed process leaves whole lines, and at most a torn end."""
        self._write(records)
        if time.monotonic() - self._synced_at >= _FSYNC_S:
            os.fsync(self._file.fileno())
            self._synced_at = time.monotonic()

    def close(self) -> None:
        """Put everything on the disk."""
        os.fsync(self._file.fileno())
        self._file.close()

    def _write(self, records: Any) -> None:
        try:
            # the newline in front ends a line that an earlier process may have left torn
            self._file.write(b"\n" + "".join(json.dumps(record) + "\n" for record in records).encode())
        except OSError as error:
            raise LandingError(f"cannot write {self._file.name}: {error.strerror}") from None


class AnswerLog:
    """The answers under OUT."""

    def __init__(self, out: str | Path) -> None:
        self.folder = Path(out).expanduser().absolute() / "answers"
        self.journals = self.folder / "journal"

    def journal(self, writer: str, types: Mapping[str, pa.DataType]) -> AnswerJournal:
        """The journal of a writer; no two processes may share a name."""
        return AnswerJournal(self.journals / f"{writer}.jsonl", types)

    def fields(self) -> list[str]:
        """Fields that have folded answers."""
        if not self.folder.is_dir():
            return []
        return sorted(f.name for f in self.folder.iterdir() if f.is_dir() and self._parts(f.name))

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record there is, those in journals last. `answer` is a JSON value, `cost_usd` text."""
        for field in self.fields():
            for path in self._parts(field):
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches():
                        for row in batch.to_pylist():
                            yield row | {"cost_usd": str(row["cost_usd"] or 0)}
        for path in self._journal_files():
            for record in _lines(path):
                if "types" not in record:
                    yield record

    def read(self, field: str) -> pa.Table | None:
        """The folded answers to a field's newest question, one row an image: `ANSWER_FIELDS` and `answer`.

        Raises:
            LandingError: a file cannot be read.
        """
        parts = self._parts(field)
        if not parts:
            return None
        try:
            tables = [pq.ParquetFile(path).read().replace_schema_metadata(None) for path in parts]
        except (OSError, pa.ArrowException) as error:
            raise LandingError(f"cannot read the answers in {self.folder / field}: {error}") from None
        question = tables[-1]["question"][-1]
        kind = tables[-1].schema.field("answer").type  # of another question, they may be of another type
        merged = pa.concat_tables(t for t in tables if t.schema.field("answer").type == kind)
        merged = merged.filter(pc.equal(merged["question"], question))
        numbered = merged.append_column("position", pa.array(range(len(merged)), pa.int64()))
        last = numbered.group_by("image_id").aggregate([("position", "max")])["position_max"].combine_chunks()
        return merged.take(last.take(pc.sort_indices(last)))

    def lost_usd(self, fields: Sequence[str]) -> Decimal:
        """What requests about these fields may have cost whose answers never came; of killed runs, at most."""
        lost = Decimal(0)
        for path in sorted(self.folder.glob("lost-*.json")):
            found = json.loads(path.read_text(encoding="utf-8"))
            if set(found["fields"]) & set(fields):
                lost += Decimal(found["usd"])
        return lost

    def set_lost(self, run: str, fields: Sequence[str], usd: Decimal) -> None:
        """Say what a run may have lost; 0 takes it back."""
        path = self.folder / f"lost-{run}.json"
        if usd <= 0:
            path.unlink(missing_ok=True)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"fields": list(fields), "usd": f"{usd:f}"}), encoding="utf-8")
        os.replace(temporary, path)

    def fold(self) -> None:
        """Turn the journals into Parquet, then remove them. No process may be writing one."""
        for path in self._journal_files():
            types: dict[str, pa.DataType] = {}
            waiting: dict[str, list[dict[str, Any]]] = {}
            for record in _lines(path):
                if "types" in record:
                    self._flush(waiting, types)
                    types = {field: _unpack(packed) for field, packed in record["types"].items()}
                    continue
                rows = waiting.setdefault(record["field"], [])
                rows.append(record)
                if len(rows) >= _FOLD_ROWS:
                    self._flush({record["field"]: rows}, types)
            self._flush(waiting, types)
            path.unlink()

    def _flush(self, waiting: dict[str, list[dict[str, Any]]], types: Mapping[str, pa.DataType]) -> None:
        for field, rows in waiting.items():
            if rows:
                number = int(self._parts(field)[-1].stem[5:]) + 1 if self._parts(field) else 1
                write_table(_table(rows, types[field]), self.folder / field / f"part-{number:06d}.parquet")
                rows.clear()

    def _journal_files(self) -> list[Path]:
        return sorted(self.journals.glob("*.jsonl")) if self.journals.is_dir() else []

    def _parts(self, field: str) -> list[Path]:
        return sorted(p for p in (self.folder / field).glob("part-*.parquet") if _PART_NAME.fullmatch(p.name))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, "rb") as lines:
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue  # empty, or the torn end that a killed process left: an answer that was never had
            yield record


def _table(rows: list[dict[str, Any]], kind: pa.DataType) -> pa.Table:
    typed = [row | {"cost_usd": Decimal(row.get("cost_usd") or 0)} for row in rows]
    table = pa.Table.from_pylist(typed, pa.schema(ANSWER_FIELDS))
    return table.append_column("answer", _typed([row.get("answer") for row in rows], kind))


def _typed(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Answers as their type; null where one is of an earlier question's other type, which nobody reads any more."""
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, TypeError, ValueError):
        if len(values) == 1:
            return pa.nulls(1, kind)
        return pa.concat_arrays([_typed([value], kind) for value in values])


def _pack(kind: pa.DataType) -> str:
    return base64.b64encode(pa.schema([("answer", kind)]).serialize()).decode()


def _unpack(packed: str) -> pa.DataType:
    return pa.ipc.read_schema(pa.BufferReader(base64.b64decode(packed))).field("answer").type

"""OUT/answers: what was asked and answered, journalled line by line as it comes, then folded into Parquet a field.

`fold` turns journals, see `landing.answers.journal`, into `OUT/answers/<field>/part-*.parquet`, typed, and may be
killed at any point: a record that is in both places is the same record.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.landing.answers.journal import AnswerJournal, journal_names, open_journal, read_journal, unpack_types
from pixelbrain.landing.forgotten.marks import read_marks
from pixelbrain.landing.parts import write_table
from pixelbrain.locks.run import RunLock
from pixelbrain.storage.base import BrokenFileError, Storage
from pixelbrain.storage.open import open_storage

logger = logging.getLogger(__name__)

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

_FOLDER = "answers"
_FOLD_ROWS = 50_000  # of one part file, and in memory at once
_RECORDS = 1_000  # that are objects at a time
_PART_NAME = re.compile(r"part-(\d{6})\.parquet")
_LOST_NAME = re.compile(r"lost-.+\.json")


class AnswerLog:
    """The answers under OUT."""

    def __init__(self, out: str | Path | Storage) -> None:
        self.storage = open_storage(out)

    def journal(self, writer: str, types: Mapping[str, pa.DataType]) -> AnswerJournal:
        """The journal of a writer; no two processes may share a name."""
        return open_journal(self.storage, writer, types)

    def fields(self) -> list[str]:
        """Fields that have folded answers."""
        return [name for name in self.storage.folders(_FOLDER) if name != "journal" and self._parts(name)]

    def files(self, field: str) -> list[tuple[str, str]]:
        """The files of a field's folded answers, in the order in which they were written, with their versions."""
        folder = f"{_FOLDER}/{field}"
        found = self.storage.versions(folder).items()
        return [(f"{folder}/{name}", version) for name, version in found if _PART_NAME.fullmatch(name)]

    def digest(self) -> str:
        """16 hex digits that change with the folded answers: by their files, of which none is read."""
        files = {name: self.storage.versions(f"{_FOLDER}/{name}") for name in self.fields()}
        return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record there is, those in journals last. `answer` is a JSON value, `cost_usd` text."""
        for name in itertools.chain.from_iterable(map(self._parts, self.fields())):
            try:
                with self.storage.open_parquet(name) as file:
                    for batch in file.iter_batches(batch_size=_RECORDS):
                        for row in batch.to_pylist():
                            yield row | {"cost_usd": str(row["cost_usd"] or 0)}
            except BrokenFileError as error:
                tell_broken(error)
        for name in journal_names(self.storage):
            for record in read_journal(self.storage, name):
                if "types" not in record:
                    yield record

    def read(self, field: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """The folded answers to a field's newest question, one row an image: `ANSWER_FIELDS` and `answer`, or of these
        `columns`, among which are image_id and question.

        A file that cannot be read, after a power loss, is left out: its questions are asked again. Raises
        `LandingError`.
        """
        tables, kinds = [], []
        for name in self._parts(field):
            try:
                with self.storage.open_parquet(name) as file:
                    tables.append(file.read(columns=columns).replace_schema_metadata(None))
                    kinds.append(file.schema_arrow.field("answer").type)
            except BrokenFileError as error:
                tell_broken(error)
        if not tables:
            return None
        question = tables[-1]["question"][-1]
        # of another question, they may be of another type
        merged = pa.concat_tables(table for table, kind in zip(tables, kinds, strict=True) if kind == kinds[-1])
        merged = merged.filter(pc.equal(merged["question"], question))
        numbered = merged.append_column("position", pa.array(range(len(merged)), pa.int64()))
        last = numbered.group_by("image_id").aggregate([("position", "max")])["position_max"].combine_chunks()
        return merged.take(last.take(pc.sort_indices(last)))

    def take_along(self, moves: Mapping[tuple[str, str], tuple[str, str]]) -> None:
        """Answers about images that moved are about them under their new image_id and version, too, and cost nothing.

        Those to each field's newest question, folded; of the others a rerun remembers what was paid for.
        """
        for field in self.fields():
            table = self.read(field)
            if table is None:
                continue
            there = list(zip(table["image_id"].to_pylist(), table["version"].to_pylist(), strict=True))
            known = set(there)
            rows = [row for row, key in enumerate(there) if key in moves and moves[key] not in known]
            if not rows:
                continue
            found = table.take(pa.array(rows))
            new = [moves[there[row]] for row in rows]
            changes: dict[str, list[Any]] = {
                "image_id": [image_id for image_id, _version in new],
                "version": [version for _image_id, version in new],
                **{name: [0] * len(new) for name in ("input_tokens", "output_tokens", "cost_usd")},
                "remembered": [True] * len(new),
            }
            for name, values in changes.items():
                at = found.schema.get_field_index(name)
                found = found.set_column(at, found.schema.field(at), pa.array(values, found.schema.field(at).type))
            self._write(field, found)

    def lost_usd(self, fields: Sequence[str]) -> Decimal:
        """What requests about these fields may have cost whose answers never came; of killed runs, at most."""
        lost = Decimal(0)
        for name in self.storage.names(_FOLDER):
            found = self.storage.read(f"{_FOLDER}/{name}") if _LOST_NAME.fullmatch(name) else None
            if found is not None:
                record = json.loads(found)
                lost += Decimal(record["usd"]) if set(record["fields"]) & set(fields) else 0
        return lost

    def set_lost(self, run: str, fields: Sequence[str], usd: Decimal) -> None:
        """Say what a run may have lost; 0 takes it back."""
        name = f"{_FOLDER}/lost-{run}.json"
        with RunLock(self.storage, what="ask"):
            if usd > 0:
                self.storage.write(name, json.dumps({"fields": list(fields), "usd": f"{usd:f}"}).encode())
            else:
                self.storage.delete(name)

    def fold(self) -> None:
        """Turn the journals into Parquet, then remove them. No process may be writing one: it takes OUT's lock.

        Raises `OutLockedError`.
        """
        with RunLock(self.storage, what="ask"):
            self._fold()

    def _fold(self) -> None:
        types: dict[str, pa.DataType] = {}
        waiting: dict[str, list[dict[str, Any]]] = {}
        read: list[str] = []  # files whose records are waiting, or in Parquet
        for name in journal_names(self.storage):
            for record in read_journal(self.storage, name):
                if "types" in record:
                    if (found := unpack_types(record)) != types:
                        self._flush(waiting, types)
                        types = found
                    continue
                rows = waiting.setdefault(record["field"], [])
                rows.append(record)
                if len(rows) >= _FOLD_ROWS:
                    self._flush({record["field"]: rows}, types)
            read.append(name)
        self._flush(waiting, types)
        for name in read:
            self.storage.delete(name)

    def _flush(self, waiting: dict[str, list[dict[str, Any]]], types: Mapping[str, pa.DataType]) -> None:
        for field, rows in waiting.items():
            if rows:
                self._write(field, _table(rows, types[field]))
                rows.clear()

    def _write(self, field: str, table: pa.Table) -> None:
        """As the field's next file, but for what is about forgotten photos: an answer may come after that."""
        table = table.filter(pa.array(~read_marks(self.storage).hold_places(table)))
        if not len(table):
            return
        numbers = [int(found[1]) for name in self._parts(field) if (found := _PART_NAME.search(name))]
        write_table(self.storage, f"{_FOLDER}/{field}/part-{max(numbers, default=0) + 1:06d}.parquet", table)

    def _parts(self, field: str) -> list[str]:
        return [name for name, _version in self.files(field)]


class AnswerMemory:
    """The answers of an OUT, for one process that asks.

    Args:
        log: the answers so far.
        writer: names this process's journal; no two may share it.
        types: the Arrow type of each field's answers.
        questions: by field, the hash of what is asked now; given to records that do not say what they answer.
    """

    def __init__(
        self, log: AnswerLog, writer: str, types: Mapping[str, pa.DataType], questions: Mapping[str, str]
    ) -> None:
        self._questions = questions
        # a temporary file, not memory: with 16 bytes a key beside it, answers to ten million images are some gigabytes
        self._known = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._known.execute("CREATE TABLE known (key BLOB PRIMARY KEY, record TEXT)")
        self._known.execute("PRAGMA journal_mode = OFF")  # nothing of it is to outlive this process
        self._known.execute("BEGIN")
        for record in log.records():
            self._keep(record)
        self._journal = log.journal(writer, types)

    def remembered(self, key: str) -> dict[str, Any] | None:
        """The record of an answer that was paid for under this key."""
        found = self._known.execute("SELECT record FROM known WHERE key = ?", (_digest(key),)).fetchone()
        return json.loads(found[0]) if found is not None else None

    def journal(self, record: Mapping[str, Any]) -> None:
        """Keep a record: in the journal, see there how safe that is at once, and in mind if it is an answer."""
        self._journal.append({"question": self._questions.get(record["field"]), **record})
        self._keep(record)

    def _keep(self, record: Mapping[str, Any]) -> None:
        if record["key"] and record["status"] in FINAL_STATUSES:
            self._known.execute("REPLACE INTO known VALUES (?, ?)", (_digest(record["key"]), json.dumps(record)))

    def flush(self) -> None:
        """Return when no killed process can lose what was journalled; on S3 that takes a request."""
        self._journal.flush()

    def close(self) -> None:
        """Put the journal where it stays."""
        self._known.close()
        self._journal.close()


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=16).digest()


def tell_broken(error: BrokenFileError) -> None:
    """Say that a file of answers is left out."""
    logger.warning("%s; left out, and its questions are asked again", error)


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

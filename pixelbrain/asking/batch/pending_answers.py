"""Which answers are on their way, who else waits for them, and what is to be asked over."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from pixelbrain.asking.batch.store import BatchStore, Row

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE answer (key TEXT PRIMARY KEY, whose BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE image (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE done (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE waiting (key TEXT NOT NULL, field TEXT NOT NULL, image_id TEXT NOT NULL, version TEXT NOT NULL);
CREATE INDEX waiting_key ON waiting (key);
CREATE TABLE again (custom_id TEXT PRIMARY KEY, line TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE redo (image_id TEXT NOT NULL, version TEXT NOT NULL);
"""


class PendingAnswers:
    """A private temporary database of SQLite, which spills to disk and goes with the process: memory stays flat.

    It is made again from the rows under OUT when a run starts. For one thread.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # "": temporary, on disk, deleted when closed
        self._db.executescript(_TABLES)

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def load(self, store: BatchStore) -> Decimal:
        """Note what is on its way, and the history of what is to be asked again; what that cost is in no record yet."""
        spent = Decimal(0)
        for state in store.active():
            for row in store.rows(state):
                self.add(row, state.settings)
                spent += row.spent.usd
        store.prune_again(lambda row: not self.has_answer(row))  # a killed run had sent these on
        for row in store.again_rows():
            self.put_again(row)
        return spent + self.again_usd()

    def add(self, row: Row, settings: str) -> None:
        """A request goes out, in a batch of a run with these settings (`settings_key`)."""
        answers = [(key, _digest(row.image_id, row.version, field)) for field, key in row.keys.items()]
        self._db.executemany("INSERT OR IGNORE INTO answer VALUES (?, ?)", answers)
        self._db.execute("INSERT OR IGNORE INTO image VALUES (?)", (_digest(settings, row.image_id, row.version),))

    def remove(self, row: Row, settings: str, *, done: bool = False) -> None:
        """Its batch has ended. Where `done`, all that such a run asks about the image is journalled."""
        self._db.executemany("DELETE FROM answer WHERE key = ?", [(k,) for k in row.keys.values()])
        if not done:
            self._db.execute("DELETE FROM image WHERE digest = ?", (_digest(settings, row.image_id, row.version),))

    def has_image(self, settings: str, image_id: str, version: str) -> bool:
        """A request about this image, of a run with these settings, is on its way, or done."""
        return self._first("SELECT 1 FROM image WHERE digest = ?", _digest(settings, image_id, version)) is not None

    def whose(self, key: str, field: str, image_id: str, version: str) -> Literal["nobody", "same", "other"]:
        """For whom an answer is on its way: nobody, this field of this image, or another that asks the same."""
        found = self._first("SELECT whose FROM answer WHERE key = ?", key)
        if found is None:
            return "nobody"
        return "same" if found[0] == _digest(image_id, version, field) else "other"

    def has_answer(self, row: Row) -> bool:
        """An answer that this request asks for is on its way."""
        return any(self._first("SELECT 1 FROM answer WHERE key = ?", key) for key in row.keys.values())

    def journalled(self, record: Mapping[str, Any]) -> None:
        """A record of this run, whose entries were listed before."""
        self._db.execute("INSERT OR IGNORE INTO done VALUES (?)", (_record_digest(record),))

    def is_journalled(self, record: Mapping[str, Any]) -> bool:
        """This run has journalled an answer for this field of this image."""
        return self._first("SELECT 1 FROM done WHERE digest = ?", _record_digest(record)) is not None

    def wait(self, key: str, field: str, image_id: str, version: str) -> None:
        """An image looks the same as one whose answer is on its way: it is not asked about, it waits."""
        self._db.execute("INSERT INTO waiting VALUES (?, ?, ?, ?)", (key, field, image_id, version))

    def take_waiting(self, key: str) -> list[tuple[str, str, str]]:
        """(field, image_id, version) of those who waited for an answer; they wait no more."""
        found = self._db.execute("SELECT field, image_id, version FROM waiting WHERE key = ?", (key,)).fetchall()
        if found:
            self._db.execute("DELETE FROM waiting WHERE key = ?", (key,))
        return found

    def release_waiting(self) -> None:
        """Nothing is on its way any more: who still waits is to be looked at again."""
        self._db.execute("INSERT INTO redo SELECT DISTINCT image_id, version FROM waiting")
        self._db.execute("DELETE FROM waiting")

    def put_again(self, row: Row) -> None:
        """A request is to be asked again, with what its earlier tries taught and cost."""
        self._db.execute("INSERT OR REPLACE INTO again VALUES (?, ?)", (row.custom_id, row.line()))

    def look_again(self, custom_id: str) -> Row | None:
        """The earlier tries of a request, if there were any."""
        found = self._first("SELECT line FROM again WHERE custom_id = ?", custom_id)
        return None if found is None else Row.from_line(found[0])

    def drop_again(self, custom_id: str) -> None:
        """The request is on its way again, and takes its history along."""
        self._db.execute("DELETE FROM again WHERE custom_id = ?", (custom_id,))

    def again_usd(self) -> Decimal:
        """What all those earlier tries have cost."""
        lines = self._db.execute("SELECT line FROM again")
        return sum((Row.from_line(line).spent.usd for (line,) in lines), Decimal(0))

    def push_redo(self, image_id: str, version: str) -> None:
        """This run is to look at an image again, first in first out."""
        self._db.execute("INSERT INTO redo VALUES (?, ?)", (image_id, version))

    def pop_redo(self) -> dict[str, str] | None:
        """The next image to look at again: its image_id and version."""
        found = self._first("SELECT rowid, image_id, version FROM redo ORDER BY rowid LIMIT 1")
        if found is None:
            return None
        self._db.execute("DELETE FROM redo WHERE rowid = ?", (found[0],))
        return {"image_id": found[1], "version": found[2]}

    def has_redo(self) -> bool:
        """There is one."""
        return self._first("SELECT 1 FROM redo LIMIT 1") is not None

    def _first(self, query: str, *values: str | bytes) -> tuple[Any, ...] | None:
        return self._db.execute(query, values).fetchone()


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()[:16]


def _record_digest(record: Mapping[str, Any]) -> bytes:
    return _digest(*(str(record[name]) for name in ("key", "field", "image_id", "version")))

"""Journals of answers: lines of JSON that one process writes as its answers come, whatever is killed."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

import pyarrow as pa

from pixelbrain.errors import LandingError
from pixelbrain.storage.base import FileGoneError, Storage
from pixelbrain.storage.local import why_not_written

_FOLDER = "answers/journal"
_FSYNC_S = 2.0
_SEGMENT_S = 2.0
_SEGMENT_RECORDS = 500


def open_journal(storage: Storage, writer: str, types: Mapping[str, pa.DataType]) -> AnswerJournal:
    """Open, or go on with, a writer's journal of answers of these Arrow types, by field."""
    schemas = {field: pa.schema([("answer", kind)]).serialize() for field, kind in types.items()}
    first = {"types": {field: base64.b64encode(found).decode() for field, found in schemas.items()}}
    return _FileJournal(storage, writer, first) if storage.is_local else _SegmentJournal(storage, writer, first)


def journal_names(storage: Storage) -> list[str]:
    """The journals' files, those of one writer in the order in which they were written."""
    return [f"{_FOLDER}/{name}" for name in storage.names(_FOLDER) if name.endswith(".jsonl")]


def read_journal(storage: Storage, name: str) -> Iterator[dict[str, Any]]:
    """The records of a journal's file, and those that hold the fields' `types`.

    Raises `FileGoneError` where it was folded meanwhile.
    """
    with _open_lines(storage, name) as lines:
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue  # empty, or the torn end that a killed process left: an answer that was never had
            yield record


def _open_lines(storage: Storage, name: str) -> IO[bytes]:
    try:
        if storage.is_local:  # line by line: a run of days may have left much
            return open(storage.local / name, "rb")
        data = storage.read(name)
    except FileNotFoundError:
        data = None
    except OSError as error:
        raise LandingError(f"cannot read {storage.local / name}: {error.strerror}") from None
    if data is None:
        raise FileGoneError(f"{storage.uri}/{name} is not there any more: run the same command again")
    return io.BytesIO(data)


def unpack_types(record: Mapping[str, Any]) -> dict[str, pa.DataType]:
    """The Arrow types by field of a record of `types`."""
    found = {field: pa.BufferReader(base64.b64decode(packed)) for field, packed in record["types"].items()}
    return {field: pa.ipc.read_schema(reader).field("answer").type for field, reader in found.items()}


class _FileJournal:
    """A file on a disk. A line is in the hands of the operating system before its answer counts as had, so that
    killing every process loses none, and on the disk 2 s later."""

    def __init__(self, storage: Storage, writer: str, first: Mapping[str, Any]) -> None:
        self._path = storage.local / _FOLDER / f"{writer}.jsonl"
        with self._explained():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115  (closed by close)
        self._synced_at = time.monotonic()
        self.append(first)

    def append(self, *records: Mapping[str, Any]) -> None:
        """Write records, in one call to the system: a killed process leaves whole lines, and at most a torn end."""
        # the newline in front ends a line that an earlier process may have left torn
        left = memoryview(b"\n" + _lines(records))
        with self._explained():
            while left:  # a disk that is nearly full takes a part, and says so only when it is given the rest
                left = left[self._file.write(left) :]
            if time.monotonic() - self._synced_at >= _FSYNC_S:
                os.fsync(self._file.fileno())
                self._synced_at = time.monotonic()

    def flush(self) -> None:
        """Nothing to do: the operating system has it all."""

    def close(self) -> None:
        """Put everything on the disk."""
        with self._explained(), self._file:
            os.fsync(self._file.fileno())

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LandingError(why_not_written(self._path, error)) from None


class _SegmentJournal:
    """Segments in a storage that cannot be appended to: `<writer>-<number>.jsonl`.

    A thread puts a segment every 2 s, if there is anything, or when there are 500 records. A process that is killed
    loses the answers of these 2 s, and of the time that the request takes, unless `flush` came back after them.
    """

    def __init__(self, storage: Storage, writer: str, first: Mapping[str, Any]) -> None:
        self._storage, self._writer, self._first = storage, writer, _lines([first])
        own = re.compile(re.escape(writer) + r"-(\d{8})\.jsonl")
        numbers = [int(match[1]) for name in storage.names(_FOLDER) if (match := own.fullmatch(name))]
        self._next = max(numbers, default=0) + 1
        self._waiting: list[bytes] = []  # a record's line each
        self._guard = threading.Lock()  # of what waits
        self._writing = threading.Lock()  # segments go out one after another
        self._due = threading.Event()  # there is enough for a segment, or nothing more comes
        self._failed: LandingError | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"journal-{writer}", daemon=True)
        self._thread.start()

    def append(self, *records: Mapping[str, Any]) -> None:
        """Write records. Raises `LandingError` if they, or earlier ones, cannot be written."""
        if self._failed is not None:
            raise self._failed
        lines = [_lines([record]) for record in records]
        with self._guard:
            self._waiting += lines
        if len(self._waiting) >= _SEGMENT_RECORDS:
            self._due.set()

    def flush(self) -> None:
        """Put a segment of what waits; what a failed one left, too."""
        with self._writing:
            with self._guard:
                lines, self._waiting = self._waiting, []
            if not lines:
                return
            try:
                name = f"{_FOLDER}/{self._writer}-{self._next:08d}.jsonl"
                self._storage.write(name, self._first + b"".join(lines))
            except LandingError:
                with self._guard:
                    self._waiting[:0] = lines
                raise
            self._next += 1

    def close(self) -> None:
        """Put everything where it stays."""
        self._closed = True
        self._due.set()
        self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._closed:
            self._due.wait(_SEGMENT_S)
            self._due.clear()
            try:
                self.flush()
            except LandingError as error:  # raised by the next append; close tries once more
                self._failed = error
                return


#: Appends answer records; one process writes one journal. After `flush`, no killed process can lose them.
AnswerJournal = _FileJournal | _SegmentJournal


def _lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()

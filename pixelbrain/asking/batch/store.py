"""What is known of each batch, in OUT/answers/batches: enough for another machine to go on.

    ID.json            a `BatchState`; written whole or not at all
    ID.requests.jsonl  a `Row` a request; there while the batch is on its way
    ID.again.jsonl     a `Row` for each request of an ended batch that is to be asked again

No file names a machine, a path or a key. The order of writing makes a crash harmless: the requests' rows are there
before the state is, and the state (`submitting`) before the server knows of the batch.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from pixelbrain.asking.answer_records import Spent
from pixelbrain.errors import LandingError

__all__ = ["BatchState", "BatchStore", "Row"]

#: submitting: the server may or may not know of it. running: it does. ended: all that it brought is journalled.
Stage = Literal["submitting", "running", "ended"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One request of a batch: one image, and the questions that it asks about it."""

    custom_id: str  # made of the answer keys: the same request has the same id, whoever sends it
    image_id: str
    version: str
    keys: dict[str, str]  # field -> answer key, in the order of the questions
    input_tokens: int  # estimated: what it takes of the enqueued-token limit
    usd: Decimal  # the most that it can cost: what it takes of the budget
    tries: int = 0  # batches that ended without an answer to it
    more_room: bool = False  # an answer was cut short: this one may be longer
    asked_again: bool = False  # an answer was not of the asked type
    spent: Spent = Spent()  # by those earlier answers

    @property
    def has_history(self) -> bool:
        """Earlier tries taught or cost something that the next one needs."""
        return bool(self.tries or self.more_room or self.asked_again or self.spent.usd)

    def line(self) -> str:
        """One line of JSON, with its end."""
        return json.dumps(asdict(self), default=str, ensure_ascii=False, separators=(",", ":")) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Row:
        """Back from `line`."""
        data = json.loads(line)
        spent = data.pop("spent")
        return cls(**{**data, "usd": Decimal(data["usd"])}, spent=Spent(**{**spent, "usd": Decimal(spent["usd"])}))


@dataclass(kw_only=True)
class BatchState:
    """One batch. Everything that is needed to read its answers is here, whatever the next run asks."""

    id: str  # ours; the batch carries it as metadata
    stage: Stage
    created_at: str  # ISO 8601, UTC
    settings: str  # equal for runs that ask the same; see `batch_files.settings_key`
    model: str
    questions: list[dict[str, Any]]  # field, text, answer (AnswerType.as_dict) and hash (see `batch_files`)
    price: dict[str, str]  # USD a million tokens, and the batch's factor
    requests: int
    input_tokens: int
    usd: Decimal  # the most it can cost: reserved of the budget
    usual_usd: Decimal  # what it is expected to cost
    batch_id: str | None = None  # the server's
    input_file_id: str | None = None
    status: str | None = None  # the server's word, as last seen
    completed: int = 0  # requests, as last seen
    failed: int = 0
    counts: dict[str, int] = field(default_factory=dict)  # once ended: records by status, and `again`

    @property
    def created_unix(self) -> float:
        """When, in seconds."""
        return datetime.fromisoformat(self.created_at).timestamp()


class BatchStore:
    """The states in one OUT.

    Args:
        out: the folder of results.
    """

    def __init__(self, out: Path) -> None:
        self.folder = Path(out) / "answers" / "batches"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the batches; one process does at a time, and its end, however it comes, gives them free.

        Raises:
            LandingError: another process holds them.
        """
        lock = self._take_lock()
        try:
            yield
        finally:
            lock.release()

    def _take_lock(self) -> FileLock:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / ".lock", timeout=0)
            lock.acquire()
        except Timeout:
            raise LandingError(
                "another process works on the batches of this OUT: wait until it is done, or end it"
            ) from None
        except OSError as error:
            raise LandingError(f"cannot write into answers/batches: {error.strerror or error}") from None
        return lock

    @property
    def cancel_wanted(self) -> bool:
        """Another process wants the one that holds the batches to cancel them."""
        return (self.folder / "cancel").exists()

    @cancel_wanted.setter
    def cancel_wanted(self, wanted: bool) -> None:
        if wanted:
            self._write("cancel", [])
        else:
            (self.folder / "cancel").unlink(missing_ok=True)

    def states(self) -> list[BatchState]:
        """All batches, oldest first.

        Raises:
            LandingError: a file is not a batch's state.
        """
        if not self.folder.is_dir():
            return []
        return [self._read(self.folder / name) for name in sorted(os.listdir(self.folder)) if name.endswith(".json")]

    def active(self) -> list[BatchState]:
        """The batches that have not ended, oldest first."""
        return [state for state in self.states() if state.stage != "ended"]

    def save(self, state: BatchState) -> None:
        """Write a state over its earlier one."""
        self._write(f"{state.id}.json", [json.dumps(asdict(state), default=str, indent=1, ensure_ascii=False)])

    def rows(self, state: BatchState) -> Iterator[Row]:
        """The requests of a batch that has not ended, in the order of its file's lines."""
        return self._read_rows(self.folder / f"{state.id}.requests.jsonl")

    def again_rows(self) -> Iterator[Row]:
        """The requests of ended batches that are to be asked again; newest last."""
        if self.folder.is_dir():
            for name in sorted(os.listdir(self.folder)):
                if name.endswith(".again.jsonl"):
                    yield from self._read_rows(self.folder / name)

    def end(self, state: BatchState, again: Iterable[Row]) -> None:
        """Everything that the batch brought is journalled: only what is to be asked again, and has a history, stays."""
        lines = [row.line() for row in again if row.has_history]
        if lines:
            self._write(f"{state.id}.again.jsonl", lines)
        state.stage = "ended"
        self.save(state)
        (self.folder / f"{state.id}.requests.jsonl").unlink(missing_ok=True)

    def drop(self, state: BatchState) -> None:
        """Forget a batch that the server never knew; what its requests have cost before is kept."""
        again = [row.line() for row in self.rows(state) if row.has_history]
        if again:
            self._write(f"{state.id}.again.jsonl", again)
        (self.folder / f"{state.id}.json").unlink(missing_ok=True)
        (self.folder / f"{state.id}.requests.jsonl").unlink(missing_ok=True)

    def prune_again(self, keep: Callable[[Row], bool]) -> None:
        """Drop the rows that need no asking any more."""
        for path in sorted(self.folder.glob("*.again.jsonl")):
            kept = [row.line() for row in self._read_rows(path) if keep(row)]
            if kept:
                self._write(path.name, kept)
            else:
                path.unlink()

    def clean(self) -> None:
        """Remove what a killed process left: files that no state speaks of, and half-written ones."""
        if not self.folder.is_dir():
            return
        names = set(os.listdir(self.folder))
        for name in names:
            orphan = name.endswith(".requests.jsonl") and name.replace(".requests.jsonl", ".json") not in names
            if orphan or name.endswith((".tmp", ".upload.jsonl")):
                (self.folder / name).unlink(missing_ok=True)

    def _read(self, path: Path) -> BatchState:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return BatchState(**{**data, "usd": Decimal(data["usd"]), "usual_usd": Decimal(data["usual_usd"])})
        except (OSError, ValueError, TypeError, KeyError, ArithmeticError) as error:
            raise LandingError(
                f"answers/batches/{path.name} is not the state of a batch ({type(error).__name__}: {error}); "
                "move it away, and the next run asks its images again"
            ) from None

    def _read_rows(self, path: Path) -> Iterator[Row]:
        try:
            with open(path, encoding="utf-8") as file:
                for line in file:
                    yield Row.from_line(line)
        except (OSError, ValueError, TypeError, KeyError, ArithmeticError) as error:
            raise LandingError(
                f"cannot read answers/batches/{path.name} ({type(error).__name__}: {error}); "
                "it is needed to know which answer is whose"
            ) from None

    def _write(self, name: str, lines: Iterable[str]) -> None:
        path = self.folder / name
        temporary = self.folder / f".{name}.{os.getpid()}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(temporary, "w", encoding="utf-8") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            raise LandingError(f"cannot write answers/batches/{name}: {error.strerror or error}") from None
        finally:
            temporary.unlink(missing_ok=True)

"""What is known of each batch, in OUT/answers/batches: enough for another machine to go on.

    ID.json            a `BatchState`
    ID.requests.jsonl  a `Row` a request; there while the batch is on its way
    ID.again.jsonl     a `Row` for each request of an ended batch that is to be asked again
    cancel             whoever waits for the batches is to cancel them

No file names a machine, a path or a key. The order of writing makes a crash harmless: the requests' rows are there
before the state is, and the state (`submitting`) before the server knows of the batch. Who writes holds OUT's
`RunLock`; only the wish to cancel is written by others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pixelbrain.asking.answer_records import Spent
from pixelbrain.asking.questions.answer_types import AnswerType
from pixelbrain.asking.questions.question import Question
from pixelbrain.errors import LandingError
from pixelbrain.storage.base import Storage

#: submitting: the server may or may not know of it. running: it does. ended: all that it brought is journalled.
Stage = Literal["submitting", "running", "ended"]

_FOLDER = "answers/batches"
_CANCEL = f"{_FOLDER}/cancel"
_UNREADABLE = (ValueError, TypeError, KeyError, ArithmeticError)


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
    def entry(self) -> dict[str, str]:
        """The image, as answer records name it."""
        return {"image_id": self.image_id, "version": self.version}

    @property
    def has_history(self) -> bool:
        """Earlier tries taught or cost something that the next one needs."""
        return bool(self.tries or self.more_room or self.asked_again or self.spent.usd)

    def line(self) -> str:
        """One line of JSON, with its end."""
        return json.dumps(asdict(self), default=str, ensure_ascii=False, separators=(",", ":")) + "\n"

    @classmethod
    def from_line(cls, line: str | bytes) -> Row:
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
    settings: str  # equal for runs that ask the same; see `submit.settings_key`
    model: str
    questions: list[dict[str, Any]]  # field, text, answer (AnswerType.as_dict) and hash (see `question_hash`)
    price: dict[str, str]  # USD a million tokens, and the batch's factor
    dialect: dict[str, Any] | None = None  # in which its requests are, see `Dialect.as_dict`; None: an older version's
    requests: int = 0
    input_tokens: int = 0
    usd: Decimal = Decimal(0)  # the most it can cost: reserved of the budget
    usual_usd: Decimal = Decimal(0)  # what it is expected to cost
    batch_id: str | None = None  # the server's
    input_file_id: str | None = None
    status: str | None = None  # the server's word, as last seen
    completed: int = 0  # requests, as last seen
    failed: int = 0
    counts: dict[str, int] = field(default_factory=dict)  # once ended: records by status, and `again`

    def read_questions(self) -> list[Question]:
        """What it asks."""
        return [
            Question(field=q["field"], text=q["text"], answer=AnswerType.from_dict(q["answer"])) for q in self.questions
        ]


@dataclass
class BatchStore:
    """The states in one OUT."""

    storage: Storage  # where OUT is

    @property
    def cancel_wanted(self) -> bool:
        """Another process wants the one that waits for the batches to cancel them."""
        return self.storage.read(_CANCEL) is not None

    @cancel_wanted.setter
    def cancel_wanted(self, wanted: bool) -> None:
        if wanted:
            self.storage.write(_CANCEL, b"")
        else:
            self.storage.delete(_CANCEL)

    def states(self) -> list[BatchState]:
        """All batches, oldest first. Raises `LandingError` for a file that is not a batch's state."""
        found = ((name, self.storage.read(f"{_FOLDER}/{name}")) for name in self._names(".json"))
        return [_read_state(name, data) for name, data in found if data is not None]  # None: dropped meanwhile

    def active(self) -> list[BatchState]:
        """The batches that have not ended, oldest first."""
        return [state for state in self.states() if state.stage != "ended"]

    def save(self, state: BatchState) -> None:
        """Write a state over its earlier one."""
        text = json.dumps(asdict(state), default=str, indent=1, ensure_ascii=False)
        self.storage.write(f"{_FOLDER}/{state.id}.json", text.encode())

    def save_rows(self, batch: str, lines: Iterable[str]) -> None:
        """Write the requests of a batch that is about to be sent, by its id: `Row.line` of each."""
        self.storage.write(f"{_FOLDER}/{batch}.requests.jsonl", "".join(lines).encode())

    def rows(self, state: BatchState) -> Iterator[Row]:
        """The requests of a batch that has not ended, in the order of its file's lines."""
        return self._read_rows(f"{state.id}.requests.jsonl")

    def again_rows(self) -> Iterator[Row]:
        """The requests of ended batches that are to be asked again; newest last."""
        for name in self._names(".again.jsonl"):
            yield from self._read_rows(name)

    def end(self, state: BatchState, again: Iterable[Row]) -> None:
        """Everything that the batch brought is journalled: only what is to be asked again, and has a history, stays."""
        self._save_again(f"{state.id}.again.jsonl", again)
        state.stage = "ended"
        self.save(state)
        self.storage.delete(f"{_FOLDER}/{state.id}.requests.jsonl")

    def drop(self, state: BatchState) -> None:
        """Forget a batch that the server never knew; what its requests have cost before is kept."""
        self._save_again(f"{state.id}.again.jsonl", self.rows(state))
        self.storage.delete(f"{_FOLDER}/{state.id}.json")
        self.storage.delete(f"{_FOLDER}/{state.id}.requests.jsonl")

    def prune_again(self, keep: Callable[[Row], bool]) -> None:
        """Drop the rows that need no asking any more."""
        for name in self._names(".again.jsonl"):
            if not self._save_again(name, filter(keep, self._read_rows(name))):
                self.storage.delete(f"{_FOLDER}/{name}")

    def upload_path(self, batch: str) -> Path:
        """Where the file that is sent is made, on this machine's disk."""
        return self.storage.local / _FOLDER / f"{batch}.upload.jsonl"

    def clean(self) -> None:
        """Remove what a killed process left: rows of no batch that is on its way, half-written files, and uploads."""
        under_way = {state.id for state in self.active()}
        for name in self._names(".requests.jsonl"):
            if name.removesuffix(".requests.jsonl") not in under_way:
                self.storage.delete(f"{_FOLDER}/{name}")
        for pattern in ("*.upload.jsonl", ".*.json*.tmp"):  # who holds OUT is the only one that writes these
            for path in (self.storage.local / _FOLDER).glob(pattern):
                path.unlink(missing_ok=True)

    def _names(self, ending: str) -> list[str]:
        return [name for name in self.storage.names(_FOLDER) if name.endswith(ending)]

    def _save_again(self, name: str, rows: Iterable[Row]) -> bool:
        """Write the rows that have a history; False: there are none, and nothing was written."""
        lines = [row.line() for row in rows if row.has_history]
        if lines:
            self.storage.write(f"{_FOLDER}/{name}", "".join(lines).encode())
        return bool(lines)

    def _read_rows(self, name: str) -> Iterator[Row]:
        data = self.storage.read(f"{_FOLDER}/{name}")
        try:
            if data is None:
                raise KeyError("it is not there")
            for line in data.split(b"\n"):  # not splitlines: it also splits at what JSON may hold as it is
                if line:
                    yield Row.from_line(line)
        except _UNREADABLE as error:
            raise LandingError(
                f"cannot read {_FOLDER}/{name} ({type(error).__name__}: {error}); "
                "it is needed to know which answer is whose"
            ) from None


def _read_state(name: str, data: bytes) -> BatchState:
    try:
        found = json.loads(data)
        return BatchState(**{**found, "usd": Decimal(found["usd"]), "usual_usd": Decimal(found["usual_usd"])})
    except _UNREADABLE as error:
        raise LandingError(
            f"{_FOLDER}/{name} is not the state of a batch ({type(error).__name__}: {error}); "
            "move it away, and the next run asks its images again"
        ) from None

"""Bring an ended batch home: its answers into the journal, what it left unanswered back to be asked again."""

from __future__ import annotations

import functools
import json
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from openai.types import Batch

from pixelbrain.asking.answer_records import remembered_record
from pixelbrain.asking.batch.api import BatchApi
from pixelbrain.asking.batch.pending_answers import PendingAnswers
from pixelbrain.asking.batch.results import Result, ResultReader
from pixelbrain.asking.batch.store import BatchState, BatchStore, Row
from pixelbrain.asking.questions.question import AnswerStatus, Question
from pixelbrain.asking.reasons import Reasons
from pixelbrain.asking.request.failures import StopJob, classify_response, mask_keys
from pixelbrain.landing.answers.log import AnswerMemory

logger = logging.getLogger(__name__)

#: The statuses that a batch stays in.
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})

# "Enqueued token limit reached for gpt-4o-mini in organization org-... Limit: 2,000,000 enqueued tokens. Please try
# again once some in_progress batches have been completed." (github.com/openai/openai-python, issue 2084)
TOKEN_LIMIT = "token_limit_exceeded"
_LIMIT_IN_MESSAGE = re.compile(r"Limit: ([\d,]*\d)")


@dataclass(kw_only=True)
class Collected:
    """What a batch brought."""

    answers: Counter[str] = field(default_factory=Counter)  # records by status
    remembered: int = 0  # records of images that waited for another one's answer
    again: int = 0  # requests to be asked again
    reasons: Reasons = field(default_factory=Reasons)  # why records failed, or could not be used
    turned_down: Reasons = field(default_factory=Reasons)  # of them, why the server will not answer
    paid_usd: Decimal = Decimal(0)  # for its answers, those to be asked again included
    estimated: int = 0  # answers of which the server does not say what they took
    estimated_usd: Decimal = Decimal(0)  # of what was paid, for them
    spent_usd: Decimal = Decimal(0)  # the same, less what an earlier process has journalled already
    too_many_tokens: bool = False  # it was turned away: the account's queue is full
    token_limit: int | None = None  # the queue's size, where the server said
    stop: StopJob | None = None


@dataclass(frozen=True)
class Collector:
    """Collects batches, of whatever run."""

    store: BatchStore
    api: BatchApi
    pending: PendingAnswers  # what is on its way; a collected batch's requests no longer are
    memory: AnswerMemory  # what was answered before, and the journal
    settings_key: str | None = None  # of this run, whose requests go back to `pending` to be done over; None: no one's
    asked: Sequence[Question] = ()  # by this run
    #: See `RequestMaker.teach`.
    teach: Callable[[BatchState, int, Any], bool] = lambda state, status, error: False

    def collect(self, state: BatchState, batch: Batch) -> Collected:
        """Journal everything that a batch, in one of the statuses `ENDED`, brought, and end its state.

        May be killed at any point, and be done again by another process.
        """
        found = Collected()
        again: list[Row] = []
        for row, result in self._results(state, batch, found):
            self._settle(state, row, result, found)
            if result.again is not None:
                again.append(result.again)
        found.again = len(again)
        state.status = batch.status
        state.counts = {**found.answers, "again": found.again}
        self.memory.flush()  # the journal first: an ended batch is not read again
        self.store.end(state, again)
        # a killed process finds the rows on the disk; this one goes on with what it has in hand
        for row in again:
            if row.has_history:
                self.pending.put_again(row)
            if state.settings == self.settings_key:  # else the next run that asks the same does
                self.pending.push_redo(row.image_id, row.version)
        if state.input_file_id:
            self.api.delete_file(state.input_file_id)
        logger.info("batch %s %s: %s, %d to ask again", state.id, batch.status, dict(found.answers), found.again)
        return found

    def _results(self, state: BatchState, batch: Batch, found: Collected) -> Iterator[tuple[Row, Result]]:
        """Each request of the batch, once, with what became of it."""
        ended_at = next(
            (at for name in ENDED if (at := getattr(batch, f"{name}_at", None))), batch.created_at or time.time()
        )
        reader = ResultReader(state, ended_at, functools.partial(self.teach, state))
        rows = {row.custom_id: row for row in self.store.rows(state)}
        if batch.status == "failed":
            yield from self._failed(batch, list(rows.values()), reader, found)
            return
        for file_id in (batch.output_file_id, batch.error_file_id):
            for line in self.api.lines(file_id) if file_id else ():
                result = _parse(line)
                row = rows.pop(str(result.get("custom_id")), None)
                if row is not None:  # None: torn, or read before
                    yield row, reader.read(row, result)
        mine = batch.status != "cancelled"
        for row in rows.values():
            yield row, reader.unanswered(row, "NoResponse", f"the batch {batch.status} without it", counts=mine)

    def _failed(
        self, batch: Batch, rows: list[Row], reader: ResultReader, found: Collected
    ) -> Iterator[tuple[Row, Result]]:
        """Nothing of the batch was run: it did not pass the server's checks, or the queue was full."""
        errors = (batch.errors.data if batch.errors else None) or []
        by_line: dict[int, str] = {}
        taught = False
        for error in errors:
            said = {"code": error.code, "message": error.message}
            verdict = classify_response(400, said, {}, model=batch.model or "")
            taught = reader.teach(400, said) or taught
            if error.code == TOKEN_LIMIT:
                found.too_many_tokens = True
                found.token_limit = read_token_limit(error.message or "")
            elif isinstance(verdict, StopJob):
                found.stop = verdict
            elif error.line is not None:
                by_line.setdefault(error.line, mask_keys(f"{error.code}: {error.message}"))
        if taught:  # what else is wrong is found by the next one
            by_line, found.stop = {}, None
        whole = not (found.too_many_tokens or found.stop or by_line or taught)
        why = mask_keys("; ".join(f"{e.code}: {e.message}" for e in errors)) or "the server does not say why"
        if whole:
            logger.warning("the server turned batch %s away: %s", batch.id, why)
        for number, row in enumerate(rows, 1):
            if number in by_line:
                yield row, reader.failed(row, "BadRequest", by_line[number])
            else:
                yield row, reader.unanswered(row, "BatchFailed", why, counts=whole)

    def _settle(self, state: BatchState, row: Row, result: Result, found: Collected) -> None:
        """Journal a request's records, and those of the images that waited for them."""
        found.stop = found.stop or result.stop
        found.paid_usd += result.paid.usd
        if result.estimated:
            found.estimated += 1
            found.estimated_usd += result.paid.usd
        found.spent_usd += result.paid.usd
        # a request can ask less than its run does: what other requests had asked already
        done = result.again is None and len(row.keys) == len(state.questions)
        self.pending.remove(row, state.settings, done=done)
        for record in result.records:
            found.answers[record["status"]] += 1
            if record["status"] in (AnswerStatus.FAILED, AnswerStatus.INVALID):
                found.reasons.add(str(record["error"]))
            if result.turned_down:
                found.turned_down.add(str(record["error"]))
            if self._is_journalled(record):
                # by a process that was killed while it read this batch: it is among what was spent before this run
                found.spent_usd -= Decimal(record["cost_usd"])
            else:
                self.memory.journal(record)
            self.pending.journalled(record)
            for name, image_id, version in self.pending.take_waiting(record["key"]):
                question = next(question for question in self.asked if question.field == name)
                copy = remembered_record({"image_id": image_id, "version": version}, question, record)
                self.memory.journal(copy)
                self.pending.journalled(copy)
                found.answers[copy["status"]] += 1
                found.remembered += 1

    def _is_journalled(self, record: Mapping[str, Any]) -> bool:
        known = self.memory.remembered(record["key"])
        return (
            known is not None
            and all(known.get(name) == record[name] for name in ("image_id", "version", "field", "answered_at"))
            and Decimal(known["cost_usd"]) == Decimal(record["cost_usd"])
        )


def read_token_limit(message: str) -> int | None:
    """The limit that a `TOKEN_LIMIT` error names."""
    said = _LIMIT_IN_MESSAGE.search(message)
    return int(said[1].replace(",", "")) if said else None


def _parse(line: bytes) -> dict[str, Any]:
    """A line of a result file; nothing of one that is torn, whose request then counts as unanswered."""
    if not line.strip():
        return {}
    try:
        found = json.loads(line)
    except ValueError:
        logger.warning("a line of a batch's results is not JSON: %s", mask_keys(line[:200].decode(errors="replace")))
        return {}
    return found if isinstance(found, dict) else {}

"""What became of one request of a batch: records to land, or a request that is to be asked again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from pixelbrain.asking.answer_records import Outcome, Spent, answer_records
from pixelbrain.asking.batch.store import BatchState, BatchStore, Row
from pixelbrain.asking.cost.prices import ModelPrice, TileTokens, cost_usd
from pixelbrain.asking.questions.answer_types import AnswerType, InvalidAnswerError
from pixelbrain.asking.questions.question import AnswerStatus, Question
from pixelbrain.asking.request.body import parse_answers
from pixelbrain.asking.request.failures import Retry, StopJob, classify_response, mask_keys

__all__ = ["MAX_TRIES", "Result", "ResultReader", "open_questions", "read_questions"]

#: Batches that a request goes through without an answer before it has failed.
MAX_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Result:
    """Of one request: exactly one of `records` and `again`."""

    records: list[dict[str, Any]] = field(default_factory=list)
    again: Row | None = None
    paid: Spent = Spent()  # for this answer alone
    stop: StopJob | None = None  # no other request will do better


def read_questions(state: BatchState) -> list[Question]:
    """What a batch asks."""
    return [
        Question(field=q["field"], text=q["text"], answer=AnswerType.from_dict(q["answer"])) for q in state.questions
    ]


def open_questions(out: Path) -> dict[str, Question]:
    """What the batches that have not ended ask, by `question_hash`: what their records will be answers to."""
    return {
        asked["hash"]: question
        for state in BatchStore(out).active()
        for asked, question in zip(state.questions, read_questions(state), strict=True)
    }


class ResultReader:
    """Reads the results of one batch.

    A result read twice gives equal records: `answered_at` is the server's time. A batch that was only half read when
    its process was killed can so be read again.

    Args:
        state: the batch.
        ended_at: Unix time; for results that bring no time of their own.
    """

    def __init__(self, state: BatchState, ended_at: float) -> None:
        self._state = state
        self._ended_at = ended_at
        self._questions = {question.field: question for question in read_questions(state)}
        self._hashes = {question["field"]: question["hash"] for question in state.questions}
        # tokens=: images are counted in the usage already
        self._price = ModelPrice(
            model=state.model,
            tokens=TileTokens(base=0, tile=0),
            **{name: Decimal(value) for name, value in state.price.items()},
        )

    def read(self, row: Row, result: Mapping[str, Any]) -> Result:
        """One line of an output or error file.

        Args:
            row: the request with the line's custom_id.
            result: the line.
        """
        response = result.get("response")
        if not isinstance(response, Mapping):
            error = result.get("error")
            error = error if isinstance(error, Mapping) else {}
            code = str(error.get("code") or "no_response")
            if code in ("batch_expired", "batch_cancelled"):
                return self.unanswered(row, code, str(error.get("message") or code), counts=code == "batch_expired")
            return self.unanswered(row, code, mask_keys(str(error.get("message") or "the batch has no answer to it")))
        status, body = response.get("status_code"), response.get("body")
        if status == 200:
            return self._answered(row, body if isinstance(body, Mapping) else {})
        error = body.get("error", body) if isinstance(body, Mapping) else body
        verdict = classify_response(status if isinstance(status, int) else 500, error, {}, model=self._state.model)
        if isinstance(verdict, StopJob):
            return replace(self.unanswered(row, "", "", counts=False), stop=verdict)
        if isinstance(verdict, Retry):
            return self.unanswered(row, verdict.error_type, str(verdict))
        status = AnswerStatus.REFUSED if verdict.refused else AnswerStatus.FAILED
        return Result(records=self._end(row, status, verdict.error_type, str(verdict)))

    def unanswered(self, row: Row, error_type: str, message: str, *, counts: bool = True) -> Result:
        """The batch ended without an answer: again, unless that has happened often enough.

        Args:
            counts: it is the request's own try that failed.
        """
        tries = row.tries + counts
        if tries < MAX_TRIES:
            return Result(again=replace(row, tries=tries))
        error = f"{tries} batches brought no answer; the last time: {message}"
        return Result(records=self._end(row, AnswerStatus.FAILED, error_type, error))

    def failed(self, row: Row, error_type: str, message: str) -> Result:
        """The server will not answer this request."""
        return Result(records=self._end(row, AnswerStatus.FAILED, error_type, message))

    def _answered(self, row: Row, body: Mapping[str, Any]) -> Result:
        try:
            choice = body["choices"][0]
            message = choice["message"]
            content, refusal = message.get("content") or "", message.get("refusal")
            finish_reason = choice.get("finish_reason")
            if not isinstance(content, str) or not isinstance(refusal, (str, type(None))):
                raise TypeError("content or refusal is no text")
        except (LookupError, TypeError, AttributeError) as error:
            return self.unanswered(row, "GarbledResponse", f"not a chat completion ({type(error).__name__})")
        paid = self._paid(row, body)
        row = replace(row, spent=row.spent + paid)
        if refusal:
            records = self._end(row, AnswerStatus.REFUSED, "Refused", refusal, raw=refusal, body=body)
            return Result(records=records, paid=paid)
        if finish_reason == "content_filter":
            why = "a content filter stopped the answer"
            records = self._end(row, AnswerStatus.REFUSED, "ContentFilter", why, raw=content or None, body=body)
            return Result(records=records, paid=paid)
        try:
            answers = parse_answers(content, [self._questions[name] for name in row.keys])
        except InvalidAnswerError as error:
            return self._invalid(row, paid, body, content, error, truncated=finish_reason == "length")
        return Result(records=self._end(row, AnswerStatus.OK, answers=answers, body=body), paid=paid)

    def _invalid(
        self, row: Row, paid: Spent, body: Mapping[str, Any], content: str, error: InvalidAnswerError, truncated: bool
    ) -> Result:
        """Asked once more, with more room where that was lacking; the second time it is the answer."""
        if truncated and not row.more_room:
            return Result(again=replace(row, more_room=True), paid=paid)
        if not truncated and not row.asked_again:
            return Result(again=replace(row, asked_again=True), paid=paid)
        error_type, why = ("Truncated", "the answer was cut off, twice") if truncated else ("InvalidAnswer", str(error))
        records = self._end(row, AnswerStatus.INVALID, error_type, why, answers=error.answers, raw=content, body=body)
        return Result(records=records, paid=paid)

    def _paid(self, row: Row, body: Mapping[str, Any]) -> Spent:
        """What an answer cost; what a server without `usage` does not say is taken as the most that it can be."""
        usage = body.get("usage")
        usage = usage if isinstance(usage, Mapping) else {}
        tokens = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
        if not all(type(n) is int and n >= 0 for n in tokens):
            return Spent(row.input_tokens, 0, row.usd)
        usd = cost_usd(self._price, tokens[0], tokens[1], batch=True)
        return Spent(tokens[0], tokens[1], usd)

    def _end(
        self,
        row: Row,
        status: AnswerStatus,
        error_type: str | None = None,
        error: str | None = None,
        *,
        answers: Mapping[str, Any] | None = None,
        raw: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """One record a question; those that have an answer are ok, whatever the others are."""
        body = body or {}
        outcome = Outcome(
            status=status,
            answers=answers or {},
            raw=raw,
            error_type=error_type,
            error=error,
            model=str(body.get("model") or self._state.model),
            latency_s=None,  # a batch tells when it ended, and not how long each request took
            spent=row.spent,
        )
        created = body.get("created")
        at = created if type(created) is int and 0 < created < 2**33 else self._ended_at
        answered_at = datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds")
        records = answer_records(
            {"image_id": row.image_id, "version": row.version},
            row.keys,
            [self._questions[f] for f in row.keys],
            outcome,
        )
        return [{**record, "answered_at": answered_at, "question": self._hashes[record["field"]]} for record in records]

"""What became of one request of a batch: records to land, or a request that is to be asked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from pixelbrain.asking.answer_records import Outcome, Spent, answer_records
from pixelbrain.asking.batch.store import BatchState, Row
from pixelbrain.asking.cost.image_tokens import TileTokens
from pixelbrain.asking.cost.prices import ModelPrice
from pixelbrain.asking.questions.question import AnswerStatus
from pixelbrain.asking.request.failures import Retry, StopJob, classify_response, error_of, mask_keys
from pixelbrain.asking.request.replies import GarbledReplyError, error_in, read_reply

#: Batches that a request goes through without an answer before it has failed.
MAX_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Result:
    """Of one request: exactly one of `records` and `again`."""

    records: list[dict[str, Any]] = field(default_factory=list)
    again: Row | None = None
    paid: Spent = Spent()  # for this answer alone
    estimated: bool = False  # what was paid, as the server does not say it
    stop: StopJob | None = None  # no other request will do better
    turned_down: bool = False  # by the server, which will not answer it, and not for what it shows


@dataclass
class ResultReader:
    """Reads the results of one batch.

    A result read twice gives equal records: `answered_at` is the server's time. A batch that was only half read when
    its process was killed can so be read again.
    """

    state: BatchState
    ended_at: float  # Unix time; for results that bring no time of their own
    #: A refusal's status and error: whether it teaches how to ask this server, and the request is to be sent again.
    teach: Callable[[int, Any], bool] = lambda status, error: False

    def __post_init__(self) -> None:
        self._questions = {question.field: question for question in self.state.read_questions()}
        self._hashes = {question["field"]: question["hash"] for question in self.state.questions}
        dollars = {name: Decimal(value) for name, value in self.state.price.items()}
        # tokens=: images are counted in the usage already
        self._price = ModelPrice(model=self.state.model, tokens=TileTokens(base=0, tile=0), **dollars)

    def read(self, row: Row, result: Mapping[str, Any]) -> Result:
        """One line of an output or error file, about the request with its custom_id."""
        response = result.get("response")
        if not isinstance(response, Mapping):
            error = result.get("error")
            error = error if isinstance(error, Mapping) else {}
            code = str(error.get("code") or "no_response")
            if code in ("batch_expired", "batch_cancelled"):
                return self.unanswered(row, code, str(error.get("message") or code), counts=code == "batch_expired")
            if self.teach(400, error):
                return self.unanswered(row, code, "", counts=False)
            return self.unanswered(row, code, mask_keys(str(error.get("message") or "the batch has no answer to it")))
        status, body = response.get("status_code"), response.get("body")
        error = error_of(body)
        if status == 200:
            if (late := error_in(body)) is None:
                return self._answered(row, body)
            status, error = late
        status = status if isinstance(status, int) else 500
        if self.teach(status, error):
            return self.unanswered(row, "", "", counts=False)
        verdict = classify_response(status, error, {}, model=self.state.model)
        if isinstance(verdict, StopJob):
            return replace(self.unanswered(row, "", "", counts=False), stop=verdict)
        if isinstance(verdict, Retry):
            return self.unanswered(row, verdict.error_type, str(verdict))
        found = self.failed(row, verdict.error_type, str(verdict), refused=verdict.refused)
        return replace(found, turned_down=not verdict.refused)

    def unanswered(self, row: Row, error_type: str, message: str, *, counts: bool = True) -> Result:
        """The batch ended without an answer: again, unless that has happened often enough.

        It `counts` where it is the request's own try that failed.
        """
        tries = row.tries + counts
        if tries < MAX_TRIES:
            return Result(again=replace(row, tries=tries))
        return self.failed(row, error_type, f"{tries} batches brought no answer; the last time: {message}")

    def failed(self, row: Row, error_type: str, error: str, *, refused: bool = False) -> Result:
        """The server will not answer this request."""
        status = AnswerStatus.REFUSED if refused else AnswerStatus.FAILED
        return Result(records=self._end(row, Outcome(status=status, error_type=error_type, error=error)))

    def _answered(self, row: Row, body: Any) -> Result:
        at_most = Spent(row.input_tokens, 0, row.usd)
        try:
            reply = read_reply(body, model=self.state.model)
        except GarbledReplyError as error:
            again, row = not row.asked_again, replace(row, spent=row.spent + at_most, asked_again=True)
            found = Result(again=row) if again else self.failed(row, "GarbledResponse", f"the response is {error}")
            return replace(found, paid=at_most, estimated=True)
        paid = reply.paid(self._price, at_most, batch=True)
        row = replace(row, spent=row.spent + paid)
        outcome = reply.outcome([self._questions[name] for name in row.keys])
        # what cannot be used is asked for once more, with more room where that was lacking; then it is the answer
        if outcome.error_type == "Truncated" and not row.more_room:
            result = Result(again=replace(row, more_room=True))
        elif outcome.error_type == "InvalidAnswer" and not row.asked_again:
            result = Result(again=replace(row, asked_again=True))
        else:
            result = Result(records=self._end(row, outcome, body.get("created")))
        return replace(result, paid=paid, estimated=not reply.says_usage)

    def _end(self, row: Row, outcome: Outcome, created: Any = None) -> list[dict[str, Any]]:
        """One record a question; those that have an answer are ok, whatever the others are."""
        # a batch tells when it ended, and not how long each request took: there is no latency
        outcome = replace(outcome, model=outcome.model or self.state.model, spent=row.spent)
        at = created if type(created) is int and 0 < created < 2**33 else self.ended_at
        answered_at = datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds")
        records = answer_records(row.entry, row.keys, [self._questions[f] for f in row.keys], outcome)
        return [{**record, "answered_at": answered_at, "question": self._hashes[record["field"]]} for record in records]

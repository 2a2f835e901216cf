"""Entries become requests of a batch; what is known, on its way or unreadable does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from pixelbrain.asking.answer_records import PAID, Outcome, answer_records, remembered_record
from pixelbrain.asking.batch.pending_answers import Flight
from pixelbrain.asking.batch.photos import Entry, Prepared, prepare_all
from pixelbrain.asking.batch.request_file import custom_id, request_line, settings_key
from pixelbrain.asking.batch.store import Row
from pixelbrain.asking.cost.prices import ModelPrice
from pixelbrain.asking.online.requester import MORE_ROOM
from pixelbrain.asking.questions.question import AnswerStatus, AskSettings, Question
from pixelbrain.asking.request.body import answer_key, build_body, estimate, question_hash
from pixelbrain.asking.request.photo import SentImage, data_url
from pixelbrain.errors import ReadError

__all__ = ["Request", "RequestMaker"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One line of a request file, and what we note about it."""

    row: Row
    line: bytes
    usual_usd: Decimal  # what such a request usually costs, where `row.usd` is the most


class RequestMaker:
    """Makes the requests of a run, one after the other, and records what needs none.

    Args:
        entries: image_id and version.
        settings: what is asked.
        price: of the model.
        flight: what is on its way.
        read: the bytes of an image; called by several threads at once.
        remembered: the earlier record with a key, if there is one.
        journal: takes each record.
    """

    def __init__(
        self,
        entries: Iterable[dict[str, str]],
        settings: AskSettings,
        price: ModelPrice,
        flight: Flight,
        *,
        read: Callable[[str], bytes],
        remembered: Callable[[str], dict[str, Any] | None],
        journal: Callable[[dict[str, Any]], None],
    ) -> None:
        self.answers: Counter[str] = Counter()  # records by status, of what needed no request
        self.remembered = 0  # of them
        self._entries = iter(entries)
        self._settings = settings
        self._settings_key = settings_key(settings)
        self._hashes = {question.field: question_hash(settings, question) for question in settings.questions}
        self._price = price
        self._flight = flight
        self._read = read
        self._remembered = remembered
        self._journal = journal
        self._prepared = self._prepare()
        self._returned: Request | None = None
        self._over = False

    def close(self) -> None:
        """End the threads."""
        self._prepared.close()

    def take(self) -> Request | None:
        """The next request; None: there is none at the moment (ended batches may bring more)."""
        if self._returned is not None:
            request, self._returned = self._returned, None
            return request
        while True:
            prepared = next(self._prepared, None)
            if prepared is None:
                if not self._flight.has_redo():
                    return None
                self._prepared = self._prepare()
            elif (request := self._make(prepared)) is not None:
                return request

    def put_back(self, request: Request) -> None:
        """It does not fit now; `take` gives it again."""
        self._returned = request

    def rest_over_budget(self, message: str) -> None:
        """Everything that is left is not asked: it is recorded so, without being read."""
        self._over = True
        left = [] if self._returned is None else [self._returned.row]
        self._returned = None
        unread = dict.fromkeys(self._hashes)
        for row in left:
            # what its earlier tries cost is told by its next one: the store keeps that
            entry = Entry(image_id=row.image_id, version=row.version)
            self._end(entry, row.keys, AnswerStatus.OVER_BUDGET, "OverBudget", message)
        for prepared in self._prepared:
            self._end(prepared.entry, unread, AnswerStatus.OVER_BUDGET, "OverBudget", message)
        for entry in self._source():
            self._end(entry, unread, AnswerStatus.OVER_BUDGET, "OverBudget", message)

    def _prepare(self) -> Generator[Prepared, None, None]:
        return prepare_all(self._source(), read=self._read_image, price=self._price, detail=self._settings.detail)

    def _source(self) -> Iterator[Entry]:
        """What is to be done over, then what has not been looked at; not what is on its way."""
        while True:
            again = self._flight.pop_redo()
            if again is not None:
                entry = Entry(image_id=again[0], version=again[1])
            elif (found := next(self._entries, None)) is not None:
                entry = Entry(image_id=found["image_id"], version=found["version"])
            else:
                return
            if not self._flight.has_image(self._settings_key, entry.image_id, entry.version):
                yield entry

    def _make(self, prepared: Prepared) -> Request | None:
        """The request for an image; None where it needs none, or waits for another image's."""
        entry = prepared.entry
        if prepared.sent is None:
            error = prepared.error
            self._end(entry, dict.fromkeys(self._hashes), AnswerStatus.FAILED, type(error).__name__, str(error))
            return None
        keys: dict[str, str] = {}
        asked: list[Question] = []
        for question in self._settings.questions:
            key = answer_key(prepared.sent.sha256, self._settings, question)
            if self._flight.is_journalled(key, question.field, entry.image_id, entry.version):
                continue  # collected since the entries were listed
            known = self._remembered(key)
            if known is not None and known["status"] in PAID:
                self._record(remembered_record(entry.as_dict(), question, known))
                continue
            whose = self._flight.whose(key, question.field, entry.image_id, entry.version)
            if whose == "other" or key in keys.values():
                self._flight.wait(key, question.field, entry.image_id, entry.version)
            elif whose == "nobody":
                keys[question.field] = key
                asked.append(question)
        return self._request(entry, prepared.sent, asked, keys) if asked else None

    def _request(self, entry: Entry, sent: SentImage, asked: list[Question], keys: dict[str, str]) -> Request:
        row_id = custom_id(keys)
        earlier = self._flight.look_again(row_id)
        room = MORE_ROOM * self._settings.max_output_tokens if earlier is not None and earlier.more_room else None
        expected = estimate(
            self._settings,
            self._price,
            sent.width,
            sent.height,
            questions=asked,
            max_output_tokens=room,
            batch=True,
        )
        row = Row(
            custom_id=row_id,
            image_id=entry.image_id,
            version=entry.version,
            keys=keys,
            input_tokens=expected.input_tokens,
            usd=expected.cost_usd_max,
        )
        if earlier is not None:
            row = replace(
                row,
                tries=earlier.tries,
                more_room=earlier.more_room,
                asked_again=earlier.asked_again,
                spent=earlier.spent,
            )
        body = build_body(self._settings, asked, data_url(sent.jpeg), max_output_tokens=room)
        return Request(row=row, line=request_line(row, body), usual_usd=expected.cost_usd_expected)

    def _end(
        self, entry: Entry, keys: Mapping[str, str | None], status: AnswerStatus, error_type: str, error: str
    ) -> None:
        """Record that some questions about an image are not asked."""
        outcome = Outcome(status=status, error_type=error_type, error=error)
        questions = [question for question in self._settings.questions if question.field in keys]
        for record in answer_records(entry.as_dict(), keys, questions, outcome):
            self._record(record)

    def _read_image(self, image_id: str) -> bytes:
        if self._over:
            raise ReadError("not read: over budget")
        return self._read(image_id)

    def _record(self, record: dict[str, Any]) -> None:
        self.answers[record["status"]] += 1
        self.remembered += record["remembered"]
        self._journal({**record, "question": self._hashes[record["field"]]})

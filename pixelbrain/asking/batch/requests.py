"""Images become requests of a batch; what is known, on its way or unreadable does not."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from pixelbrain.ahead import map_ahead
from pixelbrain.asking.answer_records import Outcome, answer_records, remembered_record
from pixelbrain.asking.batch.pending_answers import PendingAnswers
from pixelbrain.asking.batch.store import BatchState, Row
from pixelbrain.asking.batch.submit import custom_id, request_line, settings_key
from pixelbrain.asking.cost.prices import ModelPrice
from pixelbrain.asking.questions.question import AnswerStatus, Question
from pixelbrain.asking.request.body import build_body
from pixelbrain.asking.request.dialect import Dialect, Lessons
from pixelbrain.asking.request.estimate import estimate
from pixelbrain.asking.request.photo import Photo, PhotoPreparer
from pixelbrain.asking.request.replies import MORE_ROOM
from pixelbrain.asking.settings import AskSettings
from pixelbrain.errors import ReadError
from pixelbrain.landing.answers.log import FINAL_STATUSES, AnswerMemory

#: Reading from S3 waits more than it works; Pillow lets go of the interpreter while it decodes and resizes.
_THREADS = 8
_AHEAD = 16  # images in memory

_Prepared = tuple[dict[str, str], Photo | Outcome]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One line of a request file, and what we note about it."""

    row: Row
    line: bytes
    dialect: Dialect  # in which it is
    usual_usd: Decimal  # what such a request usually costs, where `row.usd` is the most


@dataclass
class RequestMaker:
    """Makes the requests of a run, one after the other, and records what needs none."""

    entries: Iterator[Mapping[str, str]]  # image_id and version
    settings: AskSettings  # what is asked
    price: ModelPrice
    pending: PendingAnswers  # what is on its way
    memory: AnswerMemory  # what was answered before, and the journal
    read: Callable[[str], bytes]  # the bytes of an image; called by several threads at once
    answers: Counter[str] = field(default_factory=Counter)  # records by status, of what needed no request
    remembered: int = 0  # of them
    _returned: Request | None = None
    _over: bool = False

    def __post_init__(self) -> None:
        self.settings_key = settings_key(self.settings)
        self.lessons = Lessons(self.settings.dialect)
        self._preparer = PhotoPreparer(self.settings, self.price, self._read_image)
        self._prepared = self._prepare_ahead()

    def close(self) -> None:
        """End the threads."""
        self._prepared.close()

    def take(self) -> Request | None:
        """The next request; None: there is none at the moment (ended batches may bring more)."""
        if self._returned is not None:
            request, self._returned = self._returned, None
            if request.dialect == self.lessons.dialect:
                return request
            self.pending.push_redo(request.row.image_id, request.row.version)
        while True:
            prepared = next(self._prepared, None)
            if prepared is None:
                if not self.pending.has_redo():
                    return None
                self._prepared = self._prepare_ahead()
            elif (request := self._make(*prepared)) is not None:
                return request

    def put_back(self, request: Request) -> None:
        """It does not fit now; `take` gives it again."""
        self._returned = request

    @property
    def spoken(self) -> AskSettings:
        """The settings, in the server's dialect as far as it is known."""
        return replace(self.settings, dialect=self.lessons.dialect)

    def teach(self, state: BatchState, status: int, error: Any) -> bool:
        """Learn how to ask the server from what it refused of a batch; whether that is worth sending again."""
        if state.settings != self.settings_key:  # another run's questions: the next run that asks them learns it
            return False
        sent = Dialect.from_dict(state.dialect) if state.dialect is not None else self.settings.dialect
        body = build_body(replace(self.settings, dialect=sent), self.settings.questions, "")
        return self.lessons.teach(sent, body, status, error)

    def rest_over_budget(self, message: str) -> None:
        """Everything that is left is not asked: it is recorded so, without being read."""
        self._over = True
        outcome = Outcome(status=AnswerStatus.OVER_BUDGET, error_type="OverBudget", error=message)
        if self._returned is not None:
            # what its earlier tries cost is told by its next one: the store keeps that
            row, self._returned = self._returned.row, None
            self._end(row.entry, row.keys, outcome)
        for entry in itertools.chain((entry for entry, _ in self._prepared), self._source()):
            self._end(entry, None, outcome)

    def _prepare_ahead(self) -> Generator[_Prepared, None, None]:
        """Photos, or why there is none, in the order of their entries; read a few ahead by threads."""
        prepare = self._preparer.prepare
        return map_ahead(lambda entry: (entry, prepare(entry)), self._source(), threads=_THREADS, ahead=_AHEAD)

    def _source(self) -> Iterator[dict[str, str]]:
        """What is to be done over, then what has not been looked at; not what is on its way."""
        while True:
            found = self.pending.pop_redo() or next(self.entries, None)
            if found is None:
                return
            if not self.pending.has_image(self.settings_key, found["image_id"], found["version"]):
                yield {"image_id": found["image_id"], "version": found["version"]}

    def _make(self, entry: dict[str, str], photo: Photo | Outcome) -> Request | None:
        """The request for an image; None where it needs none, or waits for another image's."""
        if isinstance(photo, Outcome):
            self._end(entry, None, photo)
            return None
        keys: dict[str, str] = {}
        asked: list[Question] = []
        for question in self.settings.questions:
            key = photo.keys[question.field]
            answer = {"key": key, "field": question.field, **entry}
            if self.pending.is_journalled(answer):
                continue  # collected since the entries were listed
            known = self.memory.remembered(key)
            if known is not None and known["status"] in FINAL_STATUSES:
                self._record(remembered_record(entry, question, known))
                continue
            whose = self.pending.whose(**answer)
            if whose == "other" or key in keys.values():
                self.pending.wait(**answer)
            elif whose == "nobody":
                keys[question.field] = key
                asked.append(question)
        return self._request(entry, photo, asked, keys) if asked else None

    def _request(self, entry: dict[str, str], photo: Photo, asked: list[Question], keys: dict[str, str]) -> Request:
        earlier = self.pending.look_again(custom_id(keys))
        room = MORE_ROOM * self.settings.max_output_tokens if earlier is not None and earlier.more_room else None
        size = photo.width, photo.height
        most = estimate(self.settings, self.price, *size, questions=asked, max_output_tokens=room, batch=True)
        known = {"keys": keys, "input_tokens": most.input_tokens, "usd": most.cost_usd_max, **entry}
        row = replace(earlier, **known) if earlier is not None else Row(custom_id=custom_id(keys), **known)
        spoken = self.spoken
        body = build_body(spoken, asked, photo.url(), max_output_tokens=room)
        line = request_line(row, body)
        return Request(row=row, line=line, dialect=spoken.dialect, usual_usd=most.cost_usd_expected)

    def _end(self, entry: dict[str, str], keys: Mapping[str, str] | None, outcome: Outcome) -> None:
        """Record that some questions about an image are not asked; all where there are no `keys`."""
        questions = [q for q in self.settings.questions if keys is None or q.field in keys]
        for record in answer_records(entry, keys, questions, outcome):
            self._record(record)

    def _read_image(self, image_id: str) -> bytes:
        if self._over:
            raise ReadError("not read: over budget")
        return self.read(image_id)

    def _record(self, record: dict[str, Any]) -> None:
        self.answers[record["status"]] += 1
        self.remembered += record["remembered"]
        self.memory.journal(record)

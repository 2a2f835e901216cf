"""Asks about images, many at a time: prepares, remembers, asks, journals."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from pixelbrain.asking.answer_records import Outcome, answer_records, remembered_record
from pixelbrain.asking.online.requester import Requester
from pixelbrain.asking.questions.question import AnswerStatus, Question
from pixelbrain.asking.request.photo import Photo, PhotoPreparer
from pixelbrain.landing.answers.log import FINAL_STATUSES

Record = dict[str, Any]
Entry = Mapping[str, Any]

_DEFAULT_CONCURRENCY, _MOST_CONCURRENCY = 32, 512
#: Seconds that an answer about an image takes, generously: concurrency beyond rate x latency only waits at the gate.
_EXPECTED_LATENCY_S = 8.0


def choose_concurrency(rpm: float | None, tpm: float | None, *, tokens_per_request: float, actors: int = 1) -> int:
    """Requests in flight for each of `actors` so that the limits, and not the waiting for answers, decide the pace.

    Little's law with 8 s an answer; 4 to 512 an actor, and 32 where no limit is known.
    """
    rates = [] if rpm is None else [rpm]
    rates += [] if tpm is None else [tpm / max(1.0, tokens_per_request)]
    if not rates:
        return _DEFAULT_CONCURRENCY
    wanted = min(rates) / 60 * _EXPECTED_LATENCY_S / actors
    return max(4, min(_MOST_CONCURRENCY, round(wanted)))


@dataclass
class Asker:
    """Asks the questions of the settings about images. Made, used and closed in one event loop."""

    requester: Requester  # asks in one request; its settings hold the questions, its gate the budget
    preparer: PhotoPreparer  # reads images and brings them to size; called in threads
    _: KW_ONLY
    #: The record journalled under an answer's key, or None. What `journal` got, it finds from then on.
    remembered: Callable[[str], Mapping[str, Any] | None]
    journal: Callable[[Record], None]  # takes each record, as soon as it is there
    threads: int = 4  # that read, decode and encode images beside the event loop
    #: Answers that are being asked for, by key: whoever wants the same waits instead of paying twice.
    _coming: dict[str, asyncio.Future[Record | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._questions = self.requester.settings.questions
        self._threads = ThreadPoolExecutor(self.threads, thread_name_prefix="asker")

    async def ask_image(self, entry: Entry) -> list[Record]:
        """The answers about one image.

        Args:
            entry: with image_id and version; with sha256, width and height too, an image sent as URL is not read.

        Returns:
            One record a question, in the settings' order, with the keys that `answer_records` gives it.

        Raises:
            StopJob: no request of this job can succeed.
        """
        if self.requester.gate.over_budget is not None:  # reading them all would find only what a rerun finds, too
            why = str(self.requester.gate.over_budget)
            return self._not_asked(entry, Outcome(status=AnswerStatus.OVER_BUDGET, error_type="OverBudget", error=why))
        photo = await asyncio.get_running_loop().run_in_executor(self._threads, self.preparer.prepare, entry)
        if isinstance(photo, Outcome):
            return self._not_asked(entry, photo)
        records: dict[str, Record] = {}
        while left := [question for question in self._questions if question.field not in records]:
            await self._answer(entry, photo, left, records)
        return [records[question.field] for question in self._questions]

    async def aclose(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _not_asked(self, entry: Entry, outcome: Outcome) -> list[Record]:
        records = answer_records(entry, None, self._questions, outcome)
        for record in records:
            self.journal(record)
        return records

    async def _answer(self, entry: Entry, photo: Photo, left: Sequence[Question], records: dict[str, Record]) -> None:
        """One round: what is remembered, what nobody asks yet, and what another image's request will bring."""
        mine: list[Question] = []
        coming: list[tuple[Question, asyncio.Future[Record | None]]] = []

        def keep(record: Record) -> None:
            self.journal(record)
            records[record["field"]] = record

        for question in left:
            key = photo.keys[question.field]
            known = self.remembered(key)
            if known is not None and known["status"] in FINAL_STATUSES:
                keep(remembered_record(entry, question, known))
            elif key in self._coming:
                coming.append((question, self._coming[key]))
            else:
                self._coming[key] = asyncio.get_running_loop().create_future()
                mine.append(question)
        if mine:
            try:
                for record in answer_records(entry, photo.keys, mine, await self.requester.ask(photo, mine)):
                    keep(record)
            finally:
                for question in mine:
                    record = records.get(question.field)
                    answered = record is not None and record["status"] in FINAL_STATUSES
                    self._coming.pop(photo.keys[question.field]).set_result(record if answered else None)
        for question, future in coming:
            found = await asyncio.shield(future)
            if found is not None:  # else it is asked in the next round, by us
                keep(remembered_record(entry, question, found))

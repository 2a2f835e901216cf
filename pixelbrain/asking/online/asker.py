"""Asks about images, many at a time: reads, prepares, remembers, asks, journals."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

from pixelbrain.asking.answer_records import PAID, Outcome, answer_records, remembered_record
from pixelbrain.asking.cost.prices import ModelPrice
from pixelbrain.asking.limits.gate import Gate
from pixelbrain.asking.online.requester import Photo, Requester, Send
from pixelbrain.asking.questions.question import AnswerStatus, AskSettings, Question
from pixelbrain.asking.request.body import answer_key
from pixelbrain.asking.request.photo import data_url, prepare_photo, read_size

__all__ = ["Asker", "choose_concurrency"]

logger = logging.getLogger(__name__)

Record = dict[str, Any]
Entry = Mapping[str, Any]

_DEFAULT_CONCURRENCY, _MOST_CONCURRENCY = 32, 512
#: Seconds that an answer about an image takes, generously: concurrency beyond rate x latency only waits at the gate.
_EXPECTED_LATENCY_S = 8.0


def choose_concurrency(rpm: float | None, tpm: float | None, *, tokens_per_request: float, actors: int = 1) -> int:
    """Requests in flight for each of `actors` so that the limits, and not the waiting for answers, decide the pace.

    Little's law with 8 s an answer; 4 to 512 an actor, and 32 where no limit is known.
    """
    by_tokens = None if tpm is None else tpm / max(1.0, tokens_per_request)
    rates = [rate for rate in (rpm, by_tokens) if rate is not None]
    if not rates:
        return _DEFAULT_CONCURRENCY
    wanted = min(rates) / 60 * _EXPECTED_LATENCY_S / actors
    return max(4, min(_MOST_CONCURRENCY, round(wanted)))


class Asker:
    """Asks the questions of the settings about images. Made, used and closed in one event loop.

    Args:
        settings: what is asked.
        price: of the settings' model.
        gate: limits and budget, shared with others.
        send: one request, such as `AskClient.send`.
        remembered: the record journalled under an answer's key, or None. What `journal` got, it finds from then on.
        journal: takes each record that cost something or holds an answer, as soon as it is there.
        read: an image's bytes by its image_id; called in threads; what it raises is the row's error.
        presign: the URL to send for an s3:// image; used when the settings say `image_urls`.
        rng: of the jitter on retries.
        threads: that read, decode and encode images beside the event loop.
    """

    def __init__(
        self,
        settings: AskSettings,
        price: ModelPrice,
        gate: Gate,
        *,
        send: Send,
        remembered: Callable[[str], Mapping[str, Any] | None],
        journal: Callable[[Record], None],
        read: Callable[[str], bytes],
        presign: Callable[[str], str] | None = None,
        rng: random.Random | None = None,
        threads: int = 4,
    ) -> None:
        self._settings = settings
        self._price = price
        self._gate = gate
        self._remembered = remembered
        self._journal = journal
        self._read = read
        self._presign = presign if settings.image_urls else None
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="asker")
        self._requester = Requester(settings, price, gate, send, rng=rng or random.Random())
        #: Answers that are being asked for, by key: whoever wants the same waits instead of paying twice.
        self._coming: dict[str, asyncio.Future[Record | None]] = {}

    @property
    def unconfirmed_usd(self) -> Decimal:
        """The most that answers may have cost that were lost on their way; in no record, but in the limiter's sum."""
        return self._requester.unconfirmed_usd

    @property
    def overrun(self) -> str | None:
        """What to tell whoever pays, once requests cost more than a fifth above the estimate."""
        return self._requester.overrun

    async def ask_many(
        self, entries: Iterable[Entry] | AsyncIterable[Entry], concurrency: int
    ) -> AsyncIterator[list[Record]]:
        """The records of all entries, an image at a time, in the order in which they are ready.

        At most `concurrency` images are worked on, and entries are taken only as these get done.

        Raises:
            StopJob: no request can succeed; after the records of all requests that were on their way.
        """
        source = _iterate(entries)
        running: set[asyncio.Task[list[Record]]] = set()
        done: asyncio.Queue[asyncio.Task[list[Record]]] = asyncio.Queue()
        failure: BaseException | None = None
        exhausted = False
        try:
            while True:
                while not exhausted and failure is None and len(running) < concurrency:
                    try:
                        entry = await anext(source)
                    except StopAsyncIteration:
                        exhausted = True
                        break
                    task = asyncio.create_task(self.ask_image(entry))
                    task.add_done_callback(done.put_nowait)
                    running.add(task)
                if not running:
                    break
                task = await done.get()
                running.discard(task)
                if task.cancelled():
                    continue
                if task.exception() is None:
                    yield task.result()
                elif failure is None:
                    failure = task.exception()
                    for other in running - self._requester.busy:  # what is on its way is paid for: let it arrive
                        other.cancel()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        if failure is not None:
            raise failure

    async def ask_image(self, entry: Entry) -> list[Record]:
        """The answers about one image.

        Args:
            entry: with image_id and version; with sha256, width and height too, an image sent as URL is not read.

        Returns:
            One record a question, in the settings' order, with the keys that `answer_records` gives it.

        Raises:
            StopJob: no request of this job can succeed.
        """
        questions = self._settings.questions
        if self._gate.over_budget is not None:  # reading them all would find only what a rerun finds, too
            outcome = Outcome(
                status=AnswerStatus.OVER_BUDGET, error_type="OverBudget", error=str(self._gate.over_budget)
            )
            return answer_records(entry, dict.fromkeys(_fields(questions)), questions, outcome)
        try:
            photo = await asyncio.get_running_loop().run_in_executor(self._threads, self._load, entry)
        except Exception as error:  # the row boundary: whatever reading or decoding raises is this row's
            logger.debug("%s cannot be sent", entry["image_id"], exc_info=True)
            outcome = Outcome(
                status=AnswerStatus.FAILED, error_type=type(error).__name__, error=str(error) or repr(error)
            )
            return answer_records(entry, dict.fromkeys(_fields(questions)), questions, outcome)
        keys = {question.field: answer_key(photo.sha256, self._settings, question) for question in questions}
        records: dict[str, Record] = {}
        while left := [question for question in questions if question.field not in records]:
            await self._answer(entry, photo, keys, left, records)
        return [records[field] for field in _fields(questions)]

    async def aclose(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- inside --------------------------------------------------------------------------------------------------

    def _load(self, entry: Entry) -> Photo:
        image_id = entry["image_id"]
        if self._presign is not None and image_id.startswith("s3://"):
            sha256, width, height = (entry.get(name) for name in ("sha256", "width", "height"))
            if not (sha256 and width and height):
                data = self._read(image_id)
                sha256, (width, height) = hashlib.sha256(data).hexdigest(), read_size(data)
            presign = self._presign  # at every try, because such URLs expire
            return Photo(sha256=sha256, width=width, height=height, url=lambda: presign(image_id))
        sent = prepare_photo(self._read(image_id), price=self._price, detail=self._settings.detail, image_id=image_id)
        return Photo(sha256=sent.sha256, width=sent.width, height=sent.height, url=lambda: data_url(sent.jpeg))

    async def _answer(
        self, entry: Entry, photo: Photo, keys: Mapping[str, str], left: Sequence[Question], records: dict[str, Record]
    ) -> None:
        """One round: what is remembered, what nobody asks yet, and what another image's request will bring."""
        mine: list[Question] = []
        coming: list[tuple[Question, asyncio.Future[Record | None]]] = []
        for question in left:
            key = keys[question.field]
            known = self._remembered(key)
            if known is not None and known["status"] in PAID:
                records[question.field] = remembered_record(entry, question, known)
            elif key in self._coming:
                coming.append((question, self._coming[key]))
            else:
                self._coming[key] = asyncio.get_running_loop().create_future()
                mine.append(question)
        if mine:
            try:
                for record in answer_records(entry, keys, mine, await self._requester.ask(photo, mine)):
                    records[record["field"]] = record
                    if record["status"] in PAID or Decimal(record["cost_usd"]):
                        self._journal(record)
            finally:
                for question in mine:
                    record = records.get(question.field)
                    answered = record is not None and record["status"] in PAID
                    self._coming.pop(keys[question.field]).set_result(record if answered else None)
        for question, future in coming:
            found = await asyncio.shield(future)
            if found is not None:  # else it is asked in the next round, by us
                records[question.field] = remembered_record(entry, question, found)


def _fields(questions: Sequence[Question]) -> list[str]:
    return [question.field for question in questions]


async def _iterate(entries: Iterable[Entry] | AsyncIterable[Entry]) -> AsyncIterator[Entry]:
    if isinstance(entries, AsyncIterable):
        async for entry in entries:
            yield entry
    else:
        for entry in entries:
            yield entry

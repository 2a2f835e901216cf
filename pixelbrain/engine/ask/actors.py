"""The actors of the asking lane: one says when each request may go, the others send them and journal the answers."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pixelbrain.asking.answer_records import AskReport
from pixelbrain.asking.limits.gate import Gate
from pixelbrain.asking.limits.leases import WORTH_TELLING_S, LeaseAnswer, Settlement, Waiting, Want
from pixelbrain.asking.pending import spent_usd
from pixelbrain.asking.questions.question import AnswerStatus
from pixelbrain.asking.request.body import question_hash
from pixelbrain.asking.request.failures import StopJob
from pixelbrain.asking.settings import AskLimits, AskSettings
from pixelbrain.engine.work.environment import DriverEnvironment
from pixelbrain.engine.work.meter import Meter
from pixelbrain.landing.answers.log import AnswerLog, AnswerMemory
from pixelbrain.sources import read_bytes
from pixelbrain.sources.s3 import presign
from pixelbrain.storage.base import Storage

if TYPE_CHECKING:
    from pixelbrain.asking.cost.prices import ModelPrice
    from pixelbrain.asking.online.asker import Asker


logger = logging.getLogger(__name__)

_PREPARED_AHEAD = 16  # images, beyond the requests in flight
#: In S3, an answer may have cost something so long before it is journalled, see `landing.answers.journal`.
_JOURNALLED_WITHIN_S = 5.0


@dataclass(eq=False, repr=False)  # Ray would log a repr of its own
class LimiterActor:
    """The one limiter of a run, see `asking.limits.limiter.RateLimiter`; its clock is the only one that counts.

    Restarted after a crash, it does not know what was sent in the last minute, and assumes that all that was allowed
    was: it waits a whole window, and counts what may have been in flight as spent.
    """

    limits: AskLimits
    spent: Decimal
    at_risk: Decimal
    out: Storage
    fields: Sequence[str]
    environment: DriverEnvironment
    meter: Meter

    def __post_init__(self) -> None:
        import ray

        from pixelbrain.asking.limits.limiter import RateLimiter

        self.environment.apply()
        spent, limits = self.spent, self.limits
        restarted = ray.get_runtime_context().was_current_actor_reconstructed
        if restarted:
            if not self.out.is_local:
                time.sleep(_JOURNALLED_WITHIN_S)
            spent = spent_usd(AnswerLog(self.out), self.fields) + self.at_risk
        self._limiter = RateLimiter(
            rpm=limits.rpm,
            tpm=limits.tpm,
            budget_usd=limits.budget_usd,
            already_spent_usd=spent,
            window_s=limits.window_s,
        )
        if restarted:
            self._limiter.pause(time.monotonic(), limits.window_s)

    async def lease(self, wanted: Sequence[Want], settled: Sequence[Settlement]) -> LeaseAnswer:
        """Take what requests came to, then permit others; see `asking.limits.limiter.RateLimiter`."""
        now = time.monotonic()
        self._limiter.settle(now, settled)
        answer = self._limiter.lease(now, wanted)
        self._tell()
        return answer

    async def settle(self, settled: Sequence[Settlement]) -> None:
        """Take what requests came to."""
        self._limiter.settle(time.monotonic(), settled)
        self._tell()

    async def pause(self, seconds: float, why: str) -> None:
        """The server said 429: nobody sends for so long."""
        self._limiter.pause(time.monotonic(), seconds, why)

    async def waiting(self) -> tuple[float, str] | None:
        """Seconds, and what is waited for; None: nothing is, that would be worth telling."""
        return _left(self._limiter.waiting(time.monotonic()))

    async def spent_usd(self) -> Decimal:
        """For certain, and what lost requests may have cost."""
        return self._limiter.budget.spent_usd + self._limiter.budget.reserved_usd

    def _tell(self) -> None:
        spent, reserved = self._limiter.budget.spent_usd, self._limiter.budget.reserved_usd
        left = None if self.limits.budget_usd is None else float(self.limits.budget_usd - spent - reserved)
        self.meter.limiter(self._limiter.in_flight, float(spent), left)


@dataclass(eq=False, repr=False)  # Ray would log a repr of its own
class AskingActor:
    """Asks about blocks of images, `concurrency` at a time over all its blocks, and journals every answer at once."""

    settings: AskSettings
    price: ModelPrice
    out: Storage
    limiter: Any
    concurrency: int
    writer: str
    environment: DriverEnvironment
    meter: Meter

    def __post_init__(self) -> None:
        self.environment.apply()
        self._memory = AnswerMemory(
            AnswerLog(self.out),
            # one that was restarted on another node may find its own pid there
            f"{self.writer}-{uuid.uuid4().hex[:8]}",
            types={question.field: question.answer.arrow_type() for question in self.settings.questions},
            questions={question.field: question_hash(self.settings, question) for question in self.settings.questions},
        )
        self._asker: Asker | None = None
        self._slots = asyncio.Semaphore(self.concurrency + _PREPARED_AHEAD)

    async def ask(self, entries: list[dict[str, Any]]) -> AskReport:
        """Ask about a block of `pending_images`. `StopJob`: none can succeed; what was on its way is journalled."""
        if self._asker is None:
            self._asker = self._make_asker()
        report = AskReport(images=len(entries))
        results = await asyncio.gather(*(self._one(entry) for entry in entries), return_exceptions=True)
        await asyncio.to_thread(self._memory.flush)  # before the block counts as done
        for records in results:
            if isinstance(records, BaseException):
                raise records
            for record in records:
                report.add(record)
            report.failed_images += any(r["status"] == str(AnswerStatus.FAILED) for r in records)
        overrun = self._asker.requester.overrun
        report.overrun, report.notes = overrun.message, [*self._client.notes, *filter(None, [overrun.unsaid])]
        return report

    async def stop(self) -> None:
        """Send nothing new; what is on its way arrives."""
        if self._asker is not None:
            self._asker.requester.stop(StopJob("stopped"))

    async def waiting(self) -> tuple[float, str] | None:
        """As `LimiterActor.waiting`, of tries that failed in a way that passes."""
        return _left(self._asker.requester.retries) if self._asker is not None else None

    async def settle(self) -> None:
        """Report to the limiter what the last requests came to; nothing is sent afterwards."""
        if self._asker is not None:
            await self._asker.requester.gate.aclose()

    async def _one(self, entry: dict[str, Any]) -> list[dict[str, Any]]:
        assert self._asker is not None
        async with self._slots:
            if (stopped := self._asker.requester.stopped) is not None:
                raise stopped
            return await self._asker.ask_image(entry)

    def _make_asker(self) -> Asker:
        from pixelbrain.asking.online.asker import Asker
        from pixelbrain.asking.online.requester import Requester
        from pixelbrain.asking.request.client import AskClient
        from pixelbrain.asking.request.photo import PhotoPreparer

        settings, price, limiter, concurrency = self.settings, self.price, self.limiter, self.concurrency
        self._client = AskClient(
            server=settings.server,
            model=settings.model,
            dialect=settings.dialect,
            connections=concurrency,
            timeout_s=settings.timeout_s,
        )
        gate = Gate(lease=limiter.lease.remote, settle=limiter.settle.remote, pause=limiter.pause.remote)
        send, count = self._client.send, self.meter.count
        requester = Requester(
            settings=settings, price=price, gate=gate, send=send, concurrency=concurrency, count=count
        )
        read, sign = (functools.partial(one, s3_endpoint=settings.s3_endpoint) for one in (read_bytes, presign))
        preparer = PhotoPreparer(settings, price, read, sign)
        return Asker(requester, preparer, remembered=self._memory.remembered, journal=self._memory.journal)


def _left(waiting: Waiting | None) -> tuple[float, str] | None:
    """With the seconds that are left: clocks differ between nodes."""
    left = 0.0 if waiting is None else waiting.until - time.monotonic()
    return (left, waiting.what) if waiting is not None and left >= WORTH_TELLING_S else None

"""One request about one image, with all its tries, until it has an outcome."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from pixelbrain.asking.answer_records import Outcome, Spent
from pixelbrain.asking.cost.prices import ModelPrice
from pixelbrain.asking.limits.gate import Gate
from pixelbrain.asking.limits.leases import Waiting
from pixelbrain.asking.questions.question import AnswerStatus, Question
from pixelbrain.asking.reasons import Unanimous
from pixelbrain.asking.request.body import build_body
from pixelbrain.asking.request.estimate import Overrun, estimate
from pixelbrain.asking.request.failures import Retry, RowFailed, StopJob, backoff_s
from pixelbrain.asking.request.photo import Photo
from pixelbrain.asking.request.replies import MORE_ROOM, Reply
from pixelbrain.asking.settings import AskSettings
from pixelbrain.errors import OverBudgetError

logger = logging.getLogger(__name__)

Send = Callable[[Mapping[str, Any]], Awaitable[Reply]]


@dataclass
class _Tries:
    """How far a request has come."""

    spent: Spent = field(default_factory=Spent)  # by the tries that were answered
    room: int | None = None  # output tokens, once the settings' were too few
    asked_again: bool = False  # because the answer was none
    garbled: Spent = field(default_factory=Spent)  # the most that answers which are none can have cost
    failures: int = 0
    limited: int = 0  # by a 429: that is no failure of the request
    waited_s: float = 0.0  # for answers that did not come, and between tries; not for permits

    def ended(self, status: AnswerStatus, error_type: str, error: str) -> Outcome:
        """The outcome of a request without an answer."""
        raw = error if status == AnswerStatus.REFUSED else None
        return Outcome(status=status, raw=raw, error_type=error_type, error=error, spent=self.spent)


@dataclass(kw_only=True)
class Requester:
    """Sends requests through a gate, and tries again where that makes sense."""

    settings: AskSettings  # what is asked, and the limits on tries
    price: ModelPrice
    gate: Gate  # every try waits there for a permit of its own
    send: Send  # such as `AskClient.send`
    concurrency: int = 512  # requests on their way at once, at most
    #: Adds to a counter of `engine.cluster.metrics.METRICS`: its name, the amount, labels. As it is, nobody does.
    count: Callable[..., None] = lambda name, amount, **labels: None
    stopped: StopJob | None = None  # why nothing more is sent
    overrun: Overrun = field(default_factory=Overrun)
    retries: Waiting | None = None  # the latest try that waits for its next one, and why
    _room: int | None = None  # output tokens, since a model was seen to think away those of the settings
    _unanimous: Unanimous = field(default_factory=Unanimous)
    _limited_since: float | None = None  # when the server first said 429, with no answer since

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.concurrency)

    async def ask(self, photo: Photo, questions: Sequence[Question]) -> Outcome:
        """Ask questions about an image in one request.

        Returns:
            The outcome, whatever it is. Its dollars are those of all tries that were answered.

        Raises:
            StopJob: no request of this job can succeed.
        """
        tries = _Tries(room=self._room)
        try:
            while True:
                try:
                    reply, latency_s = await self._try(photo, questions, tries)
                except Retry as error:
                    if await self._wait_for_next(error, tries):
                        continue
                    self._failed(error)
                    if error.garbled:  # such answers are paid for: not one of them is lost any more
                        tries.spent += tries.garbled
                    told = f"{error} ({tries.failures} tries within {tries.waited_s:.0f} s)"
                    return tries.ended(AnswerStatus.FAILED, error.error_type, told)
                self._unanimous.answered()
                outcome = reply.outcome(questions)
                self._learn_room(reply)
                if not self._once_more(outcome, tries):
                    return replace(outcome, latency_s=round(latency_s, 3), spent=tries.spent)
        except OverBudgetError as error:
            return tries.ended(AnswerStatus.OVER_BUDGET, "OverBudget", str(error))
        except RowFailed as error:
            if error.refused:  # that is an answer
                self._unanimous.answered()
                return tries.ended(AnswerStatus.REFUSED, error.error_type, str(error))
            self._failed(error)
            return tries.ended(AnswerStatus.FAILED, error.error_type, str(error))
        except StopJob as error:
            self.stop(error)
            if not tries.spent.usd:
                raise
            return tries.ended(AnswerStatus.FAILED, "Stopped", str(error))  # what was paid for is told, even now

    def stop(self, error: StopJob) -> None:
        """Send nothing new; what is on its way arrives."""
        self.stopped = self.stopped or error
        self.gate.stop(self.stopped)  # the limiter may pause for hours

    def _failed(self, error: Retry | RowFailed) -> None:
        """A request failed for good. If that is what every one does, nothing more is sent; its outcome is kept."""
        if (stop := self._unanimous.failed(str(error))) is not None:
            self.stop(stop)

    def _learn_room(self, reply: Reply) -> None:
        """Once a model has thought away all of its tokens, it gets more from the start: it would do so each time."""
        if self._room is None and reply.refusal is None and reply.cut_off_in_thought:
            self._room = MORE_ROOM * self.settings.max_output_tokens
            logger.warning(
                "the model thought for %d tokens and did not answer: from now on it may take %d (--max-output-tokens)",
                self.settings.max_output_tokens,
                self._room,
            )

    def _once_more(self, outcome: Outcome, tries: _Tries) -> bool:
        """Whether an answer that is none is asked for again: once with more room, once as it was."""
        if outcome.status != AnswerStatus.INVALID:
            return False
        if outcome.error_type == "Truncated":
            again, tries.room = tries.room is None, MORE_ROOM * self.settings.max_output_tokens
        else:
            again, tries.asked_again = not tries.asked_again, True
        return again

    async def _wait_for_next(self, error: Retry, tries: _Tries) -> bool:
        """Wait until the next try; False: there is none any more."""
        if self.stopped is not None:
            raise self.stopped
        tries.limited, tries.failures = tries.limited + error.everyone, tries.failures + (not error.everyone)
        wait_s = error.after_s
        if wait_s is None:
            wait_s = backoff_s(tries.limited if error.everyone else tries.failures)
        if error.everyone:  # the gate is what waits
            await self.gate.pause(wait_s, str(error))
            now = time.monotonic()
            self._limited_since = now if self._limited_since is None else self._limited_since
            if now + wait_s - self._limited_since > self.settings.max_wait_s:
                raise StopJob(
                    f"the server lets nothing through ({error}): it asks to wait for {wait_s:,.0f} s, and --max-wait "
                    f"is {self.settings.max_wait_s:,.0f} s without an answer; what was answered is kept, the same "
                    "command does the rest"
                )
            return True
        tries.waited_s += wait_s
        if error.garbled:  # an answer, if none of use: asked for again once, as every such answer is
            again, tries.asked_again = not tries.asked_again, True
            return again
        if tries.failures >= self.settings.max_tries or tries.waited_s > self.settings.max_wait_s:
            return False
        logger.debug("try %d failed, the next in %.1f s: %s", tries.failures, wait_s, error)
        self.retries = Waiting(time.monotonic() + wait_s, f"the next try, after {error}")
        await asyncio.sleep(wait_s)
        return True

    async def _try(self, photo: Photo, questions: Sequence[Question], tries: _Tries) -> tuple[Reply, float]:
        """One try, and its seconds. What it came to is reported to the gate, whatever happens."""
        expected = estimate(
            self.settings, self.price, photo.width, photo.height, questions=questions, max_output_tokens=tries.room
        )
        at_most = Spent(expected.input_tokens, expected.output_tokens_max, expected.cost_usd_max)
        body = build_body(self.settings, questions, photo.url(), max_output_tokens=tries.room)
        async with self._free:
            if self.stopped is not None:
                raise self.stopped
            waiting_since = time.monotonic()
            try:
                permit = await self.gate.acquire(tokens=at_most.input_tokens + at_most.output_tokens, usd=at_most.usd)
            finally:
                self.count("limiter_wait_seconds", time.monotonic() - waiting_since)
            sent_at, told = time.monotonic(), "cancelled"
            came_to: Spent | None = None  # nobody knows: it may be billed, even if we are cancelled
            headers: Mapping[str, str] | None = None
            try:
                if self.stopped is not None:
                    raise self.stopped
                reply = await self.send(body)
                came_to, headers, told = reply.paid(self.price, at_most), reply.headers, "answered"
                tries.spent += came_to
                self._limited_since = None
                if reply.says_usage:
                    self.overrun.add(expected.cost_usd_expected, came_to.usd)
                else:
                    self.overrun.add(Decimal(0), Decimal(0), requests=0, estimated=1)
                return reply, time.monotonic() - sent_at
            except (Retry, RowFailed) as error:
                headers, told = error.headers, error.error_type
                if isinstance(error, Retry):
                    tries.waited_s += time.monotonic() - sent_at
                if isinstance(error, Retry) and error.maybe_billed:
                    tries.garbled += at_most if error.garbled else Spent()
                else:
                    came_to = Spent()
                raise
            except StopJob:
                came_to, told = Spent(), "stopped"
                raise
            finally:
                known = came_to or Spent()
                self.count("requests", 1, outcome=told)  # each try is one
                self.count("request_seconds", time.monotonic() - sent_at, outcome=told)
                self.count("tokens", known.input_tokens, kind="input")
                self.count("tokens", known.output_tokens, kind="output")
                self.count("usd", float(known.usd))
                self.gate.release(
                    permit,
                    tokens=came_to and came_to.input_tokens + came_to.output_tokens,
                    usd=came_to and came_to.usd,
                    headers=headers,
                )

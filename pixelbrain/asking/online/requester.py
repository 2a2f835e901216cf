"""One request about one image, with all its tries, until it has an outcome."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from pixelbrain.asking.answer_records import Outcome, Spent
from pixelbrain.asking.cost.prices import ModelPrice, cost_usd
from pixelbrain.asking.limits.gate import Gate
from pixelbrain.asking.limits.leases import OverBudgetError
from pixelbrain.asking.questions.answer_types import InvalidAnswerError
from pixelbrain.asking.questions.question import AnswerStatus, AskSettings, Question
from pixelbrain.asking.request.body import Estimate, build_body, estimate, parse_answers
from pixelbrain.asking.request.client import Reply
from pixelbrain.asking.request.failures import Backoff, Retry, RowFailed, StopJob

__all__ = ["MORE_ROOM", "Photo", "Requester", "Send"]

logger = logging.getLogger(__name__)

Send = Callable[[Mapping[str, Any]], Awaitable[Reply]]

#: A truncated answer is asked for again with so many times the tokens.
MORE_ROOM = 4
#: Observed dollars over estimated ones from which on there is a warning, and how many requests it takes to say so.
_OVERRUN, _OVERRUN_REQUESTS = Decimal("1.2"), 10


@dataclass(frozen=True, kw_only=True)
class Photo:
    """An image, ready to be sent."""

    sha256: str  # of what the model gets
    width: int  # of what the model gets, in pixels
    height: int
    url: Callable[[], str]  # a data URL, or a presigned one, made when it is needed


@dataclass
class _Tries:
    """How far a request has come."""

    spent: Spent = field(default_factory=Spent)  # by the tries that were answered
    room: int | None = None  # output tokens, once the settings' were too few
    asked_again: bool = False  # because the answer was none
    failures: int = 0
    waited_s: float = 0.0  # for answers that did not come, and between tries; not for permits

    def ended(self, status: AnswerStatus, error_type: str, error: str) -> Outcome:
        """The outcome of a request without an answer."""
        raw = error if status == AnswerStatus.REFUSED else None
        return Outcome(status=status, raw=raw, error_type=error_type, error=error, spent=self.spent)


class Requester:
    """Sends requests through a gate, and tries again where that makes sense.

    Args:
        settings: what is asked, and the limits on tries.
        price: of the model.
        gate: every try waits there for a permit of its own.
        send: such as `AskClient.send`.
        rng: of the jitter.
    """

    def __init__(self, settings: AskSettings, price: ModelPrice, gate: Gate, send: Send, *, rng: random.Random) -> None:
        self.stopped: StopJob | None = None  # why nothing more is sent
        self.unconfirmed_usd = Decimal(0)  # the most that answers lost on their way may have cost
        self.busy: set[asyncio.Task[Any] | None] = set()  # tasks with a request on its way, or paid for
        self._settings = settings
        self._price = price
        self._gate = gate
        self._send = send
        self._backoff = Backoff(rng)
        self._requests, self._expected, self._observed = 0, Decimal(0), Decimal(0)
        #: What to tell whoever pays, once requests cost more than was estimated.
        self.overrun: str | None = None

    async def ask(self, photo: Photo, questions: Sequence[Question]) -> Outcome:
        """Ask questions about an image in one request.

        Returns:
            The outcome, whatever it is. Its dollars are those of all tries that were answered.

        Raises:
            StopJob: no request of this job can succeed.
        """
        tries = _Tries()
        try:
            while True:
                try:
                    reply, latency_s = await self._try(photo, questions, tries)
                except Retry as error:
                    if await self._wait_for_next(error, tries):
                        continue
                    told = f"{error} ({tries.failures} tries within {tries.waited_s:.0f} s)"
                    return tries.ended(AnswerStatus.FAILED, error.error_type, told)
                outcome = _read(reply, questions)
                if not self._once_more(outcome, tries):
                    return replace(outcome, latency_s=round(latency_s, 3), spent=tries.spent)
        except OverBudgetError as error:
            return tries.ended(AnswerStatus.OVER_BUDGET, "OverBudget", str(error))
        except RowFailed as error:
            status = AnswerStatus.REFUSED if error.refused else AnswerStatus.FAILED
            return tries.ended(status, error.error_type, str(error))
        except StopJob as error:
            self.stopped = self.stopped or error
            if not tries.spent.usd:
                raise
            return tries.ended(AnswerStatus.FAILED, "Stopped", str(error))  # what was paid for is told, even now
        finally:
            self.busy.discard(asyncio.current_task())

    def _once_more(self, outcome: Outcome, tries: _Tries) -> bool:
        """Whether an answer that is none is asked for again: once with more room, once as it was."""
        if outcome.status != AnswerStatus.INVALID:
            return False
        if outcome.error_type == "Truncated":
            again, tries.room = tries.room is None, MORE_ROOM * self._settings.max_output_tokens
        else:
            again, tries.asked_again = not tries.asked_again, True
        return again

    async def _wait_for_next(self, error: Retry, tries: _Tries) -> bool:
        """Wait until the next try; False: there is none any more."""
        if self.stopped is not None:
            raise self.stopped
        tries.failures += 1
        wait_s = self._backoff.delay_s(tries.failures) if error.after_s is None else error.after_s
        tries.waited_s += wait_s
        if error.everyone:
            await self._gate.pause(wait_s)  # whether or not this request goes on
            if wait_s > self._settings.max_wait_s:
                raise StopJob(f"the server asks to wait for {wait_s:,.0f} s ({error}): run the same command again then")
        if tries.failures >= self._settings.max_tries or tries.waited_s > self._settings.max_wait_s:
            return False
        logger.debug("try %d failed, the next in %.1f s: %s", tries.failures, wait_s, error)
        if not error.everyone:  # else it is the gate that waits
            await asyncio.sleep(wait_s)
        return True

    async def _try(self, photo: Photo, questions: Sequence[Question], tries: _Tries) -> tuple[Reply, float]:
        """One try, and its seconds. What it came to is reported to the gate, whatever happens."""
        expected = estimate(
            self._settings, self._price, photo.width, photo.height, questions=questions, max_output_tokens=tries.room
        )
        body = build_body(self._settings, questions, photo.url(), max_output_tokens=tries.room)
        permit = await self._gate.acquire(
            tokens=expected.input_tokens + expected.output_tokens_max, usd=expected.cost_usd_max
        )
        task, sent_at = asyncio.current_task(), time.monotonic()
        came_to: Spent | None = Spent()  # None: nobody knows
        headers: Mapping[str, str] | None = None
        try:
            if self.stopped is not None:
                raise self.stopped
            self.busy.add(task)
            came_to = None  # from here on it may be billed, even if we are cancelled
            reply = await self._send(body)
            came_to, headers = self._cost(reply, expected), reply.headers
            tries.spent += came_to
            self._watch(expected.cost_usd_expected, came_to.usd)
            return reply, time.monotonic() - sent_at
        except Retry as error:
            headers = error.headers
            tries.waited_s += time.monotonic() - sent_at
            if error.maybe_billed:
                self.unconfirmed_usd += expected.cost_usd_max
            else:
                came_to = Spent()
            raise
        except RowFailed as error:
            came_to, headers = Spent(), error.headers
            raise
        except StopJob:
            came_to = Spent()
            raise
        finally:
            if not tries.spent.usd:
                self.busy.discard(task)
            self._gate.release(
                permit,
                tokens=None if came_to is None else came_to.input_tokens + came_to.output_tokens,
                usd=None if came_to is None else came_to.usd,
                headers=headers,
            )

    def _cost(self, reply: Reply, expected: Estimate) -> Spent:
        """As billed; of what the server does not say, the most that it can be."""
        input_tokens = expected.input_tokens if reply.input_tokens is None else reply.input_tokens
        output_tokens = expected.output_tokens_max if reply.output_tokens is None else reply.output_tokens
        return Spent(input_tokens, output_tokens, cost_usd(self._price, input_tokens, output_tokens))

    def _watch(self, expected: Decimal, observed: Decimal) -> None:
        """Note when requests cost more than was estimated, and warn of it once."""
        self._requests += 1
        self._expected += expected
        self._observed += observed
        if self._requests < _OVERRUN_REQUESTS or self._observed <= _OVERRUN * self._expected:
            return
        first = self.overrun is None
        self.overrun = (
            f"{self._requests:,} requests cost ${self._observed:.6f}, "
            f"{(self._observed / self._expected - 1) * 100:.0f} % more than the estimate of ${self._expected:.6f}: the "
            "answers are longer, or the images larger, than the table of prices expects"
        )
        if first:
            logger.warning(self.overrun)


def _read(reply: Reply, questions: Sequence[Question]) -> Outcome:
    """What a reply means."""
    if reply.refusal is not None:
        return Outcome(
            status=AnswerStatus.REFUSED, raw=reply.refusal, error_type="Refused", error=reply.refusal, model=reply.model
        )
    if reply.finish_reason == "content_filter":
        return Outcome(
            status=AnswerStatus.REFUSED,
            raw=reply.content or None,
            error_type="ContentFilter",
            error="a content filter stopped the answer",
            model=reply.model,
        )
    try:
        return Outcome(status=AnswerStatus.OK, answers=parse_answers(reply.content, questions), model=reply.model)
    except InvalidAnswerError as error:
        truncated = reply.finish_reason == "length"
        return Outcome(
            status=AnswerStatus.INVALID,
            answers=error.answers,
            raw=reply.content,
            error_type="Truncated" if truncated else "InvalidAnswer",
            error=f"the answer was cut off at {reply.output_tokens} tokens" if truncated else str(error),
            model=reply.model,
        )

"""The gate that every request of a process goes through: it waits for the limiter's permit and hands it on.

`LeasingGate` asks any `Leases` for permits, for as many waiting requests at once as it may get, and reports what they
came to along with the next question. `LocalGate` is one on a limiter in the same process.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Protocol

from pixelbrain.asking.limits.leases import (
    Granted,
    LeaseAnswer,
    Leases,
    OverBudget,
    OverBudgetError,
    Settlement,
    Wait,
    Want,
)
from pixelbrain.asking.limits.limiter import RateLimiter
from pixelbrain.asking.request.headers import RateHeaders

__all__ = ["Gate", "LeasingGate", "LocalGate", "LocalLeases", "Permit"]

logger = logging.getLogger(__name__)

#: Requests that are asked for at once, at most; more would only make the question longer.
_MOST_WANTED = 256
#: What a request came to is reported at the latest so long after, where no question for permits takes it along.
_SETTLE_WITHIN_S = 0.1


@dataclass(frozen=True)
class Permit:
    """One request may be sent, at once. To be released, whatever becomes of the request."""

    number: int
    tokens: int  # reserved
    usd: Decimal  # reserved


class Gate(Protocol):
    """Where a request waits until it may be sent."""

    @property
    def over_budget(self) -> OverBudget | None:
        """Why asking is over, once it is: nothing will be permitted any more."""

    async def acquire(self, *, tokens: int, usd: Decimal) -> Permit:
        """Wait until a request of at most so many tokens and dollars may be sent. Send it without delay.

        Raises:
            OverBudgetError: it does not fit into the budget.
        """

    def release(
        self, permit: Permit, *, tokens: int | None, usd: Decimal | None, headers: Mapping[str, str] | None
    ) -> None:
        """Say what the request came to.

        Args:
            permit: of the request.
            tokens: used, input and output. None: unknown.
            usd: spent. None: unknown, and the most that it can be counts as spent.
            headers: of the response; None: there was none.
        """

    async def pause(self, seconds: float) -> None:
        """The server said 429: nobody sends for so long."""


class LeasingGate:
    """A `Gate` for one event loop.

    Args:
        leases: where permits come from.

    One task at a time asks for permits, for all who wait, first come first served; it ends when nobody waits. An
    error of `leases` is raised to all who wait.
    """

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._waiting: deque[tuple[Want, asyncio.Future[Permit]]] = deque()
        self._settled: list[Settlement] = []
        self._over: OverBudget | None = None
        self._pump: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None

    @property
    def over_budget(self) -> OverBudget | None:
        """Why asking is over, once it is."""
        return self._over

    async def acquire(self, *, tokens: int, usd: Decimal) -> Permit:
        """See `Gate.acquire`."""
        if self._over is not None:
            raise OverBudgetError(str(self._over))
        waiter: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._waiting.append((Want(tokens, usd), waiter))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._serve())
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:  # permitted just now
                self.release(waiter.result(), tokens=0, usd=Decimal(0), headers=None)
            raise

    def release(
        self, permit: Permit, *, tokens: int | None, usd: Decimal | None, headers: Mapping[str, str] | None
    ) -> None:
        """See `Gate.release`."""
        limits = RateHeaders.parse(headers) if headers is not None else None
        self._settled.append(Settlement(permit.number, tokens, usd, limits))
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._settle_soon())

    async def pause(self, seconds: float) -> None:
        """See `Gate.pause`."""
        await self._leases.pause(seconds)

    async def aclose(self) -> None:
        """Report what has not been reported, and let nobody wait any longer."""
        for task in (self._pump, self._settling):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        for _want, waiter in self._waiting:
            waiter.cancel()
        self._waiting.clear()
        if self._settled:
            await self._leases.settle(self._take_settled())

    # --- inside --------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            while self._waiting:
                while self._waiting and self._waiting[0][1].done():  # cancelled
                    self._waiting.popleft()
                wanted = [want for want, _waiter in islice(self._waiting, _MOST_WANTED)]
                if not wanted:
                    break
                answer = await self._leases.lease(wanted, self._take_settled())
                if isinstance(answer, Granted):
                    self._hand_on(answer)
                elif isinstance(answer, Wait):
                    await asyncio.sleep(answer.seconds)
                else:
                    self._over = answer
                    self._fail_all(OverBudgetError(str(answer)))
        except Exception as error:  # such as: the limiter's actor is gone for good
            self._fail_all(error)

    def _hand_on(self, granted: Granted) -> None:
        for number in granted.permits:
            want, waiter = self._waiting.popleft()
            permit = Permit(number, want.tokens, want.usd)
            if waiter.done():  # cancelled while its permit was on the way
                self.release(permit, tokens=0, usd=Decimal(0), headers=None)
            else:
                waiter.set_result(permit)

    def _fail_all(self, error: Exception) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()[1]
            if not waiter.done():
                waiter.set_exception(error)

    async def _settle_soon(self) -> None:
        await asyncio.sleep(_SETTLE_WITHIN_S)
        try:
            while self._settled:  # unless the question for permits took them along
                await self._leases.settle(self._take_settled())
        except Exception as error:  # the limiter's actor is gone; what was reserved stays counted as spent
            logger.warning("could not report to the limiter what requests came to: %s", error)

    def _take_settled(self) -> list[Settlement]:
        settled, self._settled = self._settled, []
        return settled


class LocalLeases:
    """A limiter in the same process."""

    def __init__(self, limiter: RateLimiter, clock: Callable[[], float] = time.monotonic) -> None:
        self.limiter = limiter
        self._clock = clock

    async def lease(self, wanted: Sequence[Want], settled: Sequence[Settlement]) -> LeaseAnswer:
        """See `Leases.lease`."""
        now = self._clock()
        self.limiter.settle(now, settled)
        return self.limiter.lease(now, wanted)

    async def settle(self, settled: Sequence[Settlement]) -> None:
        """See `Leases.settle`."""
        self.limiter.settle(self._clock(), settled)

    async def pause(self, seconds: float) -> None:
        """See `Leases.pause`."""
        self.limiter.pause(self._clock(), seconds)


class LocalGate(LeasingGate):
    """A `Gate` on a limiter in the same process."""

    def __init__(self, limiter: RateLimiter) -> None:
        super().__init__(LocalLeases(limiter))

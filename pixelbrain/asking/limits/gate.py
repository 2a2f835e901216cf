"""The gate that every request of a process goes through: it waits for the limiter's permit and hands it on."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice

from pixelbrain.asking.limits.leases import Granted, LeaseAnswer, OverBudget, Settlement, Wait, Want
from pixelbrain.asking.request.headers import RateHeaders
from pixelbrain.errors import OverBudgetError

logger = logging.getLogger(__name__)

#: Requests that are asked for at once, at most; more would only make the question longer.
_MOST_WANTED = 256
#: What a request came to is reported at the latest so long after, where no question for permits takes it along.
_SETTLE_WITHIN_S = 0.1


@dataclass(kw_only=True)
class Gate:
    """Where the requests of one event loop wait until they may be sent.

    One task at a time asks the limiter for permits, for as many waiting requests at once as it may get, first come
    first served, and reports what earlier ones came to along with the question; it ends when nobody waits. An error of
    the limiter is raised to all who wait.
    """

    #: Report what earlier requests came to, then ask for permits; see `RateLimiter.settle` and `lease`.
    lease: Callable[[list[Want], list[Settlement]], Awaitable[LeaseAnswer]]
    settle: Callable[[list[Settlement]], Awaitable[None]]  # report alone
    #: The server said 429, in these words: nobody sends for so many seconds.
    pause: Callable[[float, str], Awaitable[None]]
    over_budget: OverBudget | None = None  # why asking is over, once it is: nothing will be permitted any more
    _waiting: deque[tuple[Want, asyncio.Future[int]]] = field(default_factory=deque)
    _settled: list[Settlement] = field(default_factory=list)
    _pump: asyncio.Task[None] | None = None
    _settling: asyncio.Task[None] | None = None

    async def acquire(self, *, tokens: int, usd: Decimal) -> int:
        """Wait until a request of at most so many tokens and dollars may be sent. Send it without delay.

        Returns:
            The permit's number, for `release`: to be released, whatever becomes of the request.

        Raises:
            OverBudgetError: it does not fit into the budget.
        """
        if self.over_budget is not None:
            raise OverBudgetError(str(self.over_budget))
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
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
        self, permit: int, *, tokens: int | None, usd: Decimal | None, headers: Mapping[str, str] | None
    ) -> None:
        """Say what the request came to.

        Args:
            tokens: used, input and output. None: unknown.
            usd: spent. None: unknown, and the most that it can be counts as spent.
            headers: of the response; None: there was none.
        """
        limits = RateHeaders.parse(headers) if headers is not None else None
        self._settled.append(Settlement(permit, tokens, usd, limits))
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._settle_soon())

    def stop(self, error: Exception) -> None:
        """Nobody waits any longer: it is raised to all who do."""
        for _want, waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(error)

    async def aclose(self) -> None:
        """Report what has not been reported, and let nobody wait any longer."""
        for task in (self._pump, self._settling):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        for _want, waiter in self._waiting:
            waiter.cancel()
        self._waiting.clear()
        # also when there is nothing: it comes after what was on its way to the limiter
        await self.settle(self._take_settled())

    async def _serve(self) -> None:
        try:
            while self._waiting:
                while self._waiting and self._waiting[0][1].done():  # cancelled, or stopped
                    self._waiting.popleft()
                wanted = [want for want, _waiter in islice(self._waiting, _MOST_WANTED)]
                if not wanted:
                    break
                answer = await self.lease(wanted, self._take_settled())
                if isinstance(answer, Granted):
                    self._hand_on(answer)
                elif isinstance(answer, Wait):
                    await asyncio.sleep(answer.seconds)
                else:
                    self.over_budget = answer
                    self.stop(OverBudgetError(str(answer)))
        except Exception as error:  # such as: the limiter's actor is gone for good
            self.stop(error)
            self._waiting.clear()

    def _hand_on(self, granted: Granted) -> None:
        for permit in granted.permits:
            _want, waiter = self._waiting.popleft()
            if waiter.done():  # cancelled, or stopped, while its permit was on the way
                self.release(permit, tokens=0, usd=Decimal(0), headers=None)
            else:
                waiter.set_result(permit)

    async def _settle_soon(self) -> None:
        await asyncio.sleep(_SETTLE_WITHIN_S)
        try:
            while self._settled:  # unless the question for permits took them along
                await self.settle(self._take_settled())
        except Exception as error:  # the limiter's actor is gone; what was reserved stays counted as spent
            logger.warning("could not report to the limiter what requests came to: %s", error)

    def _take_settled(self) -> list[Settlement]:
        settled, self._settled = self._settled, []
        return settled

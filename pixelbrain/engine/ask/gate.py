"""Between an asking actor and the limiter's: permits over Ray, a bound on requests in flight, and the meter of both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pixelbrain.asking.limits.gate import Gate, Permit
from pixelbrain.asking.limits.leases import LeaseAnswer, OverBudget, Settlement, Want
from pixelbrain.asking.request.failures import Retry, RowFailed, StopJob
from pixelbrain.engine.work.meter import Meter

if TYPE_CHECKING:
    from pixelbrain.asking.online.requester import Send
    from pixelbrain.asking.request.client import Reply

__all__ = ["ActorLeases", "InFlight", "metered"]


class ActorLeases:
    """`asking.limits.leases.Leases` from the limiter's actor."""

    def __init__(self, limiter: Any) -> None:
        self._limiter = limiter

    async def lease(self, wanted: Sequence[Want], settled: Sequence[Settlement]) -> LeaseAnswer:
        return await self._limiter.lease.remote(list(wanted), list(settled))

    async def settle(self, settled: Sequence[Settlement]) -> None:
        await self._limiter.settle.remote(list(settled))

    async def pause(self, seconds: float) -> None:
        await self._limiter.pause.remote(seconds)


class InFlight:
    """A gate that lets so many requests be on their way at once, while further images are read and reduced."""

    def __init__(self, gate: Gate, most: int, meter: Meter) -> None:
        self._gate = gate
        self._meter = meter
        self._free = asyncio.Semaphore(most)

    @property
    def over_budget(self) -> OverBudget | None:
        return self._gate.over_budget

    async def acquire(self, *, tokens: int, usd: Decimal) -> Permit:
        await self._free.acquire()
        started = time.monotonic()
        try:
            return await self._gate.acquire(tokens=tokens, usd=usd)
        except BaseException:
            self._free.release()
            raise
        finally:
            self._meter.waited(time.monotonic() - started)

    def release(
        self, permit: Permit, *, tokens: int | None, usd: Decimal | None, headers: Mapping[str, str] | None
    ) -> None:
        self._free.release()
        self._meter.spent(float(usd or 0))
        self._gate.release(permit, tokens=tokens, usd=usd, headers=headers)

    async def pause(self, seconds: float) -> None:
        await self._gate.pause(seconds)


def metered(send: Send, meter: Meter) -> Send:
    """`send`, and the meter is told what became of each request."""

    async def send_metered(body: Mapping[str, Any]) -> Reply:
        started = time.monotonic()
        outcome, input_tokens, output_tokens = "cancelled", 0, 0
        try:
            reply = await send(body)
            outcome, input_tokens, output_tokens = "answered", reply.input_tokens or 0, reply.output_tokens or 0
            return reply
        except (Retry, RowFailed) as error:
            outcome = error.error_type
            raise
        except StopJob:
            outcome = "stopped"
            raise
        finally:
            meter.request(outcome, time.monotonic() - started, input_tokens, output_tokens)

    return send_metered

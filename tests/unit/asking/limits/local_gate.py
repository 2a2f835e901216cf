"""A gate on a limiter in the same process, where the engine's is in an actor."""

from __future__ import annotations

import time

from pixelbrain.asking.limits.gate import Gate
from pixelbrain.asking.limits.leases import LeaseAnswer, Settlement, Want
from pixelbrain.asking.limits.limiter import RateLimiter


def local_gate(limiter: RateLimiter) -> Gate:
    """One event loop's way to the limiter; several may share it."""

    async def lease(wanted: list[Want], settled: list[Settlement]) -> LeaseAnswer:
        await settle(settled)
        return limiter.lease(time.monotonic(), wanted)

    async def settle(settled: list[Settlement]) -> None:
        limiter.settle(time.monotonic(), settled)

    async def pause(seconds: float, why: str) -> None:
        limiter.pause(time.monotonic(), seconds, why)

    return Gate(lease=lease, settle=settle, pause=pause)

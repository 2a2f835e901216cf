"""The gate, on a limiter in the same process and on leases that are written here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from decimal import Decimal

import pytest

from pixelbrain.asking.limits.gate import Gate
from pixelbrain.asking.limits.leases import Granted, LeaseAnswer, Settlement, Wait, Want
from pixelbrain.asking.limits.limiter import RateLimiter
from pixelbrain.errors import OverBudgetError
from tests.unit.asking.limits.local_gate import local_gate

CENT = Decimal("0.01")


class ScriptedLimiter:
    """Answers as told; remembers what it was asked and told."""

    def __init__(self, *answers: LeaseAnswer | Exception) -> None:
        self.answers = list(answers)
        self.wanted: list[int] = []
        self.settled: list[Settlement] = []
        self.paused: list[float] = []

    async def lease(self, wanted: Sequence[Want], settled: Sequence[Settlement]) -> LeaseAnswer:
        await asyncio.sleep(0)
        self.wanted.append(len(wanted))
        self.settled += settled
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def settle(self, settled: Sequence[Settlement]) -> None:
        self.settled += settled

    async def pause(self, seconds: float, _why: str) -> None:
        self.paused.append(seconds)


def scripted_gate(limiter: ScriptedLimiter) -> Gate:
    return Gate(lease=limiter.lease, settle=limiter.settle, pause=limiter.pause)


async def acquire_many(gate: Gate, count: int) -> list[asyncio.Task]:
    tasks = [asyncio.create_task(gate.acquire(tokens=10, usd=CENT)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def test_permits_are_asked_for_together_and_served_in_order():
    async def main() -> None:
        leases = ScriptedLimiter(Granted((1, 2)), Wait(0.01, "requests"), Granted((3,)))
        gate = scripted_gate(leases)
        tasks = await acquire_many(gate, 3)
        assert [await task for task in tasks] == [1, 2, 3]
        assert leases.wanted == [3, 1, 1]
        gate.release(await tasks[0], tokens=5, usd=Decimal(0), headers={"x-ratelimit-limit-requests": "9"})
        gate.release(await tasks[1], tokens=None, usd=None, headers=None)
        await gate.pause(3.0, "")
        await gate.aclose()
        assert [(s.permit, s.tokens, s.usd) for s in leases.settled] == [(1, 5, Decimal(0)), (2, None, None)]
        assert leases.settled[0].limits is not None and leases.settled[0].limits.limit_requests == 9
        assert leases.settled[1].limits is None
        assert leases.paused == [3.0]

    asyncio.run(main())


def test_a_cancelled_wait_takes_no_permit_from_others_and_gives_its_own_back():
    asked = asyncio.Event()

    class Slow(ScriptedLimiter):
        async def lease(self, wanted: Sequence[Want], settled: Sequence[Settlement]) -> LeaseAnswer:
            asked.set()
            for _ in range(10):
                await asyncio.sleep(0)
            return await super().lease(wanted, settled)

    async def main() -> None:
        leases = Slow(Granted((1, 2)), Granted((3,)))
        gate = scripted_gate(leases)
        first, second, third = await acquire_many(gate, 3)
        await asked.wait()
        first.cancel()  # while its permit is on the way
        assert await second == 2
        assert await third == 3
        await gate.aclose()
        assert [(s.permit, s.tokens, s.usd) for s in leases.settled] == [(1, 0, Decimal(0))]

    asyncio.run(main())


def test_an_error_of_the_leases_reaches_everyone_who_waits_and_no_one_later():
    async def main() -> None:
        gate = scripted_gate(ScriptedLimiter(RuntimeError("gone"), Granted((1,))))
        for task in await acquire_many(gate, 3):
            with pytest.raises(RuntimeError, match="gone"):
                await task
        assert await gate.acquire(tokens=1, usd=CENT) == 1
        await gate.aclose()

    asyncio.run(main())


def test_a_stop_reaches_those_who_wait_however_long_the_limiter_pauses():
    async def main() -> None:
        gate = scripted_gate(ScriptedLimiter(Wait(7200.0, "paused")))
        tasks = await acquire_many(gate, 2)
        await asyncio.sleep(0.01)
        gate.stop(RuntimeError("no money"))
        for task in tasks:
            with pytest.raises(RuntimeError, match="no money"):
                await asyncio.wait_for(task, 1)
        await gate.aclose()

    asyncio.run(main())


def test_settlements_that_cannot_be_reported_are_logged(caplog: pytest.LogCaptureFixture):
    class Broken(ScriptedLimiter):
        async def settle(self, settled: Sequence[Settlement]) -> None:
            raise RuntimeError("gone")

    async def main() -> None:
        gate = scripted_gate(Broken(Granted((1,))))
        gate.release(await gate.acquire(tokens=1, usd=CENT), tokens=1, usd=CENT, headers=None)
        await asyncio.sleep(0.15)

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert [record.message for record in caplog.records] == [
        "could not report to the limiter what requests came to: gone"
    ]


def test_over_budget_ends_all_waiting_at_once():
    async def main() -> None:
        gate = local_gate(RateLimiter(rpm=60_000, tpm=10**9, budget_usd=CENT * 2))
        tasks = await acquire_many(gate, 5)
        permits = [await task for task in tasks[:2]]
        await asyncio.sleep(0.02)
        assert gate.over_budget is None and not any(task.done() for task in tasks[2:])  # what is in flight may refund
        for permit in permits:
            gate.release(permit, tokens=10, usd=CENT * 9 / 10, headers=None)
        for task in tasks[2:]:
            with pytest.raises(OverBudgetError, match="--budget"):
                await task
        assert gate.over_budget is not None
        with pytest.raises(OverBudgetError):
            await gate.acquire(tokens=1, usd=CENT)
        await gate.aclose()

    asyncio.run(main())


def test_what_was_not_spent_is_reported_while_others_wait():
    async def main() -> None:
        limiter = RateLimiter(rpm=60_000, tpm=10**9, budget_usd=CENT)
        gate = local_gate(limiter)
        first, second = await acquire_many(gate, 2)
        gate.release(await first, tokens=10, usd=Decimal(0), headers=None)
        assert await second == 2
        await gate.aclose()
        assert limiter.budget.reserved_usd == CENT

    asyncio.run(main())


def test_gates_of_several_actors_share_one_limiter():
    async def actor(gate: Gate, count: int) -> None:
        async def one() -> None:
            permit = await gate.acquire(tokens=10, usd=Decimal(0))
            await asyncio.sleep(0.01)
            gate.release(permit, tokens=10, usd=Decimal(0), headers=None)

        await asyncio.gather(*(one() for _ in range(count)))
        await gate.aclose()

    async def main() -> RateLimiter:
        limiter = RateLimiter(rpm=60_000, tpm=10**9, window_s=1.0, slack_s=0.05)
        await asyncio.gather(*(actor(local_gate(limiter), 100) for _ in range(4)))
        return limiter

    limiter = asyncio.run(main())
    assert limiter.in_flight == 0
    assert limiter.lease(time.monotonic() + 60, [Want(10, Decimal(0))]) == Granted((401,))

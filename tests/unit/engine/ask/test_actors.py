"""The actors of the asking lane, in this process: what is journalled when, what stops, a limiter that restarts."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pixelbrain.asking.limits.leases import Granted, OverBudget, Wait, Want
from pixelbrain.asking.settings import AskLimits
from pixelbrain.engine.ask.actors import AskingActor, LimiterActor
from pixelbrain.engine.work.meter import Meter
from pixelbrain.errors import StopJob
from pixelbrain.landing.answers.log import AnswerLog
from pixelbrain.storage.open import open_storage
from tests.unit.asking.online.asker_bench import PERSON, PRICE, SETTINGS, photo, reply

ENVIRONMENT = SimpleNamespace(apply=lambda: None)
ONE = dataclasses.replace(SETTINGS, questions=(PERSON,))


class Limiter:
    """An actor's handle: answers as told, then grants everything."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.settled, self.permits = list(answers), [], 0
        for name in ("lease", "settle", "pause"):
            setattr(self, name, SimpleNamespace(remote=getattr(self, f"_{name}")))

    async def _lease(self, wanted: list[Want], settled: list[Any]) -> Any:
        self.settled += settled
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Granted) and len(answer.permits) > len(wanted):  # photos are prepared in threads
                self.answers.insert(0, Granted(answer.permits[len(wanted) :]))
                return Granted(answer.permits[: len(wanted)])
            return answer
        self.permits += len(wanted)
        return Granted(tuple(range(self.permits - len(wanted), self.permits)))

    async def _settle(self, settled: list[Any]) -> None:
        self.settled += settled

    async def _pause(self, seconds: float, _why: str) -> None:
        pass


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is sent; the third request is told that there is no money."""
    bodies: list[Any] = []

    async def send(_client: Any, body: Any) -> Any:
        bodies.append(body)
        if len(bodies) == 3:
            raise StopJob("no money")
        return reply('{"is_person": true}')

    monkeypatch.setattr("pixelbrain.asking.request.client.AskClient.send", send)
    monkeypatch.setattr("pixelbrain.engine.ask.actors.read_bytes", lambda image_id, s3_endpoint: photo(int(image_id)))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-key")
    return bodies


MADE: list[AskingActor] = []


@pytest.fixture(autouse=True)
def journals_are_closed() -> Iterator[None]:
    """By the end of the process elsewhere; another test's would be told of the open file."""
    yield
    while MADE:
        MADE.pop()._memory.close()


def actor(out: Path, limiter: Limiter, concurrency: int = 1) -> AskingActor:
    MADE.append(AskingActor(ONE, PRICE, open_storage(out), limiter, concurrency, "w", ENVIRONMENT, Meter()))  # type: ignore
    return MADE[-1]


def entries(*image_ids: str) -> list[dict[str, Any]]:
    return [{"image_id": image_id, "version": "1"} for image_id in image_ids]


def test_a_block_is_journalled_before_it_counts_as_done(tmp_path: Path, sent: list[Any]) -> None:
    async def main() -> None:
        limiter = Limiter()
        asking = actor(tmp_path, limiter)
        report = await asking.ask(entries("1", "2", "1"))
        records = list(AnswerLog(tmp_path).records())
        assert (report.images, report.statuses, report.remembered) == (3, {"ok": 3}, 1)
        assert sorted(record["remembered"] for record in records) == [False, False, True]
        assert sum(Decimal(record["cost_usd"]) for record in records) == report.cost_usd
        await asking.settle()
        assert len(limiter.settled) == len(sent) == 2

    asyncio.run(main())


def test_a_stop_ends_the_block_and_those_who_wait_for_hours(tmp_path: Path, sent: list[Any]) -> None:
    async def main() -> None:
        asking = actor(tmp_path, Limiter(Granted((0, 1, 2)), Wait(7200.0, "paused")), concurrency=9)
        with pytest.raises(StopJob, match="no money"):
            await asyncio.wait_for(asking.ask(entries(*map(str, range(9)))), 60)
        assert len(sent) == 3 and len(list(AnswerLog(tmp_path).records())) == 2  # what was on its way has arrived
        with pytest.raises(StopJob):
            await asking.ask(entries("20"))
        await asking.settle()

    asyncio.run(main())


def test_the_driver_can_stop_an_asker(tmp_path: Path, sent: list[Any]) -> None:
    async def main() -> None:
        asking = actor(tmp_path, Limiter(Wait(7200.0, "paused")), concurrency=2)
        await asking.stop()  # nothing to stop yet
        asked = asyncio.create_task(asking.ask(entries("1", "2")))
        await asyncio.sleep(0.1)
        await asking.stop()
        with pytest.raises(StopJob, match="stopped"):
            await asyncio.wait_for(asked, 60)
        assert sent == []
        await asking.settle()

    asyncio.run(main())


@pytest.mark.parametrize("restarted", [False, True])
def test_a_limiter_that_was_lost_counts_what_was_at_risk_and_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    context = SimpleNamespace(was_current_actor_reconstructed=restarted)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get_runtime_context=lambda: context))

    async def main() -> None:
        log = AnswerLog(tmp_path)
        log.set_lost("earlier", ["is_person"], Decimal(2))
        limits = AskLimits(rpm=600, tpm=10**6, budget_usd=Decimal(10), window_s=60)
        limiter = LimiterActor(
            limits,
            Decimal(1),
            Decimal(3),
            open_storage(tmp_path),
            ["is_person"],
            ENVIRONMENT,
            Meter(),  # type: ignore
        )
        answer = await limiter.lease([Want(10, Decimal(5))], [])
        assert await limiter.spent_usd() == (5 if restarted else 6)  # and what is on its way
        assert isinstance(answer, Wait) is restarted
        if restarted:
            assert answer.reason == "paused" and answer.seconds >= 59
        assert isinstance(await limiter.lease([Want(10, Decimal(100))], []), OverBudget)

    asyncio.run(main())

"""The asker over many images: when it stops, what it leaves behind, and what it holds in memory."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from pixelbrain.asking.online.asker import choose_concurrency
from pixelbrain.asking.request.estimate import estimate
from pixelbrain.asking.request.failures import StopJob
from pixelbrain.asking.request.replies import Reply
from tests.unit.asking.online.asker_bench import PERSON, PRICE, SETTINGS, Bench, Server, ask_many, reply, run


def test_over_budget_stops_asking_and_reading():
    most = estimate(SETTINGS, PRICE, 8, 8).cost_usd_max
    server = Server()
    bench = Bench(server, budget_usd=most * 5)
    rows = run(bench, *map(str, range(100)), concurrency=4)
    statuses = [row[0]["status"] for row in rows]
    assert len(rows) == 100 and set(statuses) == {"ok", "over_budget"}
    assert statuses.count("ok") == len(server.bodies) >= 5
    assert bench.limiter.budget.spent_usd <= most * 5
    assert len(bench.reads) <= len(server.bodies) + 4
    late = rows[-1][0]
    assert (late["key"], late["error_type"], late["cost_usd"]) == (None, "OverBudget", "0")


def test_a_stop_keeps_what_is_on_its_way_and_asks_no_more():
    release = asyncio.Event()

    class Slow(Server):
        async def send(self, body: Mapping[str, Any]) -> Reply:
            self.bodies.append(body)
            number = len(self.bodies)
            if number == 5:
                asyncio.get_running_loop().call_soon(release.set)
                raise StopJob("the account has no money left")
            await release.wait()
            return reply()

    async def main() -> None:
        server = Slow()
        bench = Bench(server)
        entries = [{"image_id": str(n), "version": "1"} for n in range(50)]
        rows = []
        with pytest.raises(StopJob, match="no money"):
            async for records in ask_many(bench.asker, entries, 5):
                rows.append(records)
        assert len(server.bodies) == 5
        assert [row[0]["status"] for row in rows] == ["ok"] * 4 and len(bench.journal) == 8
        await bench.close()

    asyncio.run(main())


def test_memory_stays_flat_over_many_rows():
    """4,000 images: neither tasks, nor futures, nor the limiter's log grow with the number of rows."""
    settings = dataclasses.replace(SETTINGS, questions=(PERSON,), image_urls=True)
    server = Server(lambda _n: reply('{"is_person": true}'))
    server.bodies = Forgetful()
    bench = Bench(server, settings, presign=lambda image_id: image_id)
    bench.journal = Forgetful()
    bench.asker.journal = bench.journal.append
    blocks: dict[int, int] = {}
    most_tasks = 0

    def entries() -> Any:
        for n in range(4_000):
            yield {"image_id": f"s3://b/{n}", "version": "1", "sha256": f"{n:064x}", "width": 64, "height": 48}

    async def main() -> None:
        nonlocal most_tasks
        seen = 0
        async for _records in ask_many(bench.asker, entries(), 64):
            seen += 1
            if seen % 1_000 == 0:
                blocks[seen] = sys.getallocatedblocks()
                most_tasks = max(most_tasks, len(asyncio.all_tasks()))
        assert seen == 4_000
        await bench.close()

    asyncio.run(main())
    assert most_tasks <= 64 + 4 and server.most_in_flight <= 64
    assert blocks[4_000] - blocks[1_000] < 4_000  # less than a block and a half for each of 3,000 rows
    assert not bench.asker._coming


def test_choose_concurrency():
    assert choose_concurrency(None, None, tokens_per_request=3000) == 32
    assert choose_concurrency(600, None, tokens_per_request=3000) == 80
    assert choose_concurrency(600, None, tokens_per_request=3000, actors=4) == 20
    assert choose_concurrency(30_000, 150_000, tokens_per_request=3000) == 7
    assert choose_concurrency(3, None, tokens_per_request=3000) == 4
    assert choose_concurrency(30_000, None, tokens_per_request=1) == 512


class Forgetful(list):
    """A list that counts and keeps nothing."""

    count = 0

    def append(self, _item: Any) -> None:
        self.count += 1

    def __len__(self) -> int:
        return self.count

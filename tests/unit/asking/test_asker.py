"""The asker, with a server that is a function: what is asked, what is not, and what comes out."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import logging
import random
import sys
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from pixelbrain.asking.answer_records import Outcome, Spent, answer_records
from pixelbrain.asking.answers import answer_type
from pixelbrain.asking.asker import Asker, choose_concurrency
from pixelbrain.asking.client import Reply
from pixelbrain.asking.gate import LocalGate
from pixelbrain.asking.limiter import RateLimiter
from pixelbrain.asking.prices import cost_usd, find_price
from pixelbrain.asking.records import AnswerStatus, AskSettings, Question
from pixelbrain.asking.request import estimate
from pixelbrain.asking.retry import Retry, RowFailed, StopJob
from pixelbrain.errors import ReadError

PERSON = Question(field="is_person", text="Is there a person?", answer=answer_type("bool"))
COUNT = Question(field="people", text="How many people are there?", answer=answer_type("int"))
SETTINGS = AskSettings(questions=(PERSON, COUNT), max_tries=4)
PRICE = find_price("gpt-4o-mini")
GOOD = json.dumps({"is_person": True, "people": 2})

Answer = Reply | Exception


def reply(content: str = GOOD, **changes: Any) -> Reply:
    fields = {
        "content": content, "refusal": None, "finish_reason": "stop", "model": "gpt-4o-mini-2024-07-18",
        "input_tokens": 3001, "output_tokens": 11, "headers": {}, "request_id": "r",
    }  # fmt: skip
    return Reply(**{**fields, **changes})


def photo(number: int) -> bytes:
    buffer = io.BytesIO()
    colour = tuple(50 * (number // 6**place % 6) for place in range(3))  # far enough apart to differ as JPEGs
    Image.new("RGB", (8, 8), colour).save(buffer, "PNG")
    return buffer.getvalue()


class Server:
    """Answers by a function of how many requests came before; counts."""

    def __init__(self, answer: Callable[[int], Answer] = lambda _number: reply()) -> None:
        self.answer = answer
        self.bodies: list[Mapping[str, Any]] = []
        self.in_flight = self.most_in_flight = 0

    async def send(self, body: Mapping[str, Any]) -> Reply:
        self.bodies.append(body)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0)
            found = self.answer(len(self.bodies) - 1)
        finally:
            self.in_flight -= 1
        if isinstance(found, Exception):
            raise found
        return found

    def fields(self, number: int = -1) -> list[str]:
        return list(self.bodies[number]["response_format"]["json_schema"]["schema"]["properties"])


class Bench:
    """An asker with all that it needs; the journal is what is remembered."""

    def __init__(self, server: Server, settings: AskSettings = SETTINGS, *, presign: Any = None, **limits: Any) -> None:
        self.journal: list[dict[str, Any]] = []
        self.memory: dict[str, dict[str, Any]] = {}
        self.limiter = RateLimiter(**{"rpm": 10**6, "tpm": 10**10, **limits})
        self.gate = LocalGate(self.limiter)
        self.reads: list[str] = []
        self.asker = Asker(
            settings, PRICE, self.gate, send=server.send, remembered=self.memory.get, journal=self.note,
            read=self.read, presign=presign, rng=random.Random(1), threads=2,
        )  # fmt: skip

    def note(self, record: dict[str, Any]) -> None:
        self.journal.append(record)
        self.memory[record["key"]] = record

    def read(self, image_id: str) -> bytes:
        self.reads.append(image_id)
        if image_id == "missing":
            raise ReadError("no such file")
        return photo(int(image_id))

    async def ask(self, *image_ids: str, concurrency: int = 8) -> list[list[dict[str, Any]]]:
        entries = ({"image_id": image_id, "version": "1"} for image_id in image_ids)
        return [records async for records in self.asker.ask_many(entries, concurrency)]

    async def close(self) -> None:
        await self.asker.aclose()
        await self.gate.aclose()


def run(bench: Bench, *image_ids: str, **options: Any) -> list[list[dict[str, Any]]]:
    async def main() -> list[list[dict[str, Any]]]:
        try:
            return await bench.ask(*image_ids, **options)
        finally:
            await bench.close()

    return asyncio.run(main())


def test_one_request_answers_all_questions_and_its_cost_is_split_exactly():
    server = Server()
    bench = Bench(server)
    rows = run(bench, "1")
    assert len(rows) == 1 and len(rows[0]) == 2 and len(server.bodies) == 1
    person, count = rows[0]
    assert (person["status"], person["answer"], count["answer"]) == ("ok", True, 2)
    assert (person["field"], count["field"], person["model"]) == ("is_person", "people", "gpt-4o-mini-2024-07-18")
    assert (person["input_tokens"], count["input_tokens"]) == (1501, 1500)
    assert (person["output_tokens"], count["output_tokens"]) == (6, 5)
    total = cost_usd(PRICE, 3001, 11)
    assert Decimal(person["cost_usd"]) + Decimal(count["cost_usd"]) == total == bench.limiter.spent_usd
    assert not person["remembered"] and person["raw"] is None and person["error"] is None
    assert bench.journal == rows[0]
    json.dumps(rows)


def test_records_have_one_shape_whatever_happened():
    bench = Bench(
        Server(lambda n: [reply(), reply(refusal="I will not."), RowFailed("no", error_type="BadRequest")][n])
    )
    rows = run(bench, "1", "2", "3", "missing", "1", concurrency=1)
    assert [[r["status"] for r in row] for row in rows] == [["ok"] * 2, ["refused"] * 2, ["failed"] * 2] + [
        ["failed"] * 2,
        ["ok"] * 2,
    ]
    assert len({tuple(record) for row in rows for record in row}) == 1
    assert rows[1][0]["raw"] == "I will not." and rows[2][0]["error_type"] == "BadRequest"
    assert (rows[3][0]["error_type"], rows[3][0]["error"], rows[3][0]["key"]) == ("ReadError", "no such file", None)
    assert [r["remembered"] for r in rows[4]] == [True, True]
    assert {r["status"] for r in bench.journal} == {"ok", "refused"}


def test_what_is_remembered_is_not_asked_and_costs_nothing():
    server = Server()
    bench = Bench(server)
    run(bench, "1")
    again = Bench(server)
    again.memory = {key: dict(record) for key, record in bench.memory.items() if record["field"] == "is_person"}
    again.asker._remembered = again.memory.get
    server.answer = lambda _number: reply(json.dumps({"people": 3}))
    rows = run(again, "1")
    assert server.fields() == ["people"] and len(server.bodies) == 2
    person, count = rows[0]
    assert (person["answer"], person["cost_usd"], person["input_tokens"], person["remembered"]) == (True, "0", 0, True)
    assert (count["answer"], count["remembered"], Decimal(count["cost_usd"])) == (3, False, cost_usd(PRICE, 3001, 11))


def test_the_same_picture_in_flight_is_paid_once():
    server = Server()
    bench = Bench(server)
    rows = run(bench, *["7"] * 20, concurrency=20)
    assert len(rows) == 20 and len(server.bodies) == 1
    assert sum(not record["remembered"] for row in rows for record in row) == 2
    assert {record["answer"] for row in rows for record in row} == {True, 2}
    assert sum(Decimal(record["cost_usd"]) for row in rows for record in row) == bench.limiter.spent_usd


def test_a_duplicate_of_a_failed_request_is_asked_itself():
    server = Server(lambda n: RowFailed("no", error_type="BadRequest") if n == 0 else reply())
    rows = run(Bench(server), "7", "7", "7", concurrency=3)
    assert sorted(row[0]["status"] for row in rows) == ["failed", "ok", "ok"]
    assert len(server.bodies) == 2


def test_the_same_question_under_two_names_is_asked_once():
    twin = dataclasses.replace(PERSON, field="person_again")
    server = Server(lambda _n: reply(json.dumps({"is_person": True})))
    rows = run(Bench(server, dataclasses.replace(SETTINGS, questions=(PERSON, twin))), "1")
    assert server.fields() == ["is_person"] and len(server.bodies) == 1
    assert [(r["field"], r["answer"], r["remembered"]) for r in rows[0]] == [
        ("is_person", True, False),
        ("person_again", True, True),
    ]


def test_a_truncated_answer_gets_more_room_once():
    cut = reply('{"is_person": tr', finish_reason="length", output_tokens=300)
    server = Server(lambda n: cut if n == 0 else reply())
    bench = Bench(server)
    rows = run(bench, "1")
    assert [body["max_completion_tokens"] for body in server.bodies] == [300, 1200]
    assert [r["status"] for r in rows[0]] == ["ok", "ok"]
    total = cost_usd(PRICE, 3001, 300) + cost_usd(PRICE, 3001, 11)
    assert sum(Decimal(r["cost_usd"]) for r in rows[0]) == total == bench.limiter.spent_usd  # both were paid for

    server = Server(lambda _n: cut)
    rows = run(Bench(server), "1")
    assert len(server.bodies) == 2
    assert [(r["status"], r["error_type"], r["raw"]) for r in rows[0]] == [
        ("invalid", "Truncated", '{"is_person": tr')
    ] * 2


def test_an_answer_that_is_none_is_asked_again_once_and_its_good_parts_are_kept():
    server = Server(lambda n: reply("No idea") if n == 0 else reply(json.dumps({"is_person": False, "people": "two"})))
    rows = run(Bench(server), "1")
    assert len(server.bodies) == 2
    person, count = rows[0]
    assert (person["status"], person["answer"], person["raw"]) == ("ok", False, None)
    assert (count["status"], count["answer"], count["error_type"]) == ("invalid", None, "InvalidAnswer")
    assert "two" in count["raw"] and "people" in count["error"]


@pytest.mark.parametrize(
    "answer",
    [
        reply("", refusal="I can't help with that."),
        reply("", finish_reason="content_filter"),
        RowFailed("HTTP 400: our safety system", error_type="ContentFilter", refused=True),
    ],
)
def test_refusals_are_answers(answer: Answer):
    server = Server(lambda _n: answer)
    rows = run(Bench(server), "1", "1", concurrency=1)
    assert len(server.bodies) == 1  # remembered like any other
    assert [r["status"] for row in rows for r in row] == ["refused"] * 4


def test_failed_tries_are_repeated_up_to_their_limit(monkeypatch: pytest.MonkeyPatch):
    waits = no_sleep(monkeypatch)
    broken = Retry("HTTP 500: oh", error_type="ServerError")
    server = Server(lambda n: broken if n < 3 else reply())
    assert run(Bench(server), "1")[0][0]["status"] == "ok"
    assert len(server.bodies) == 4
    server = Server(lambda _n: broken)
    bench = Bench(server)
    record = run(bench, "1")[0][0]
    assert len(server.bodies) == SETTINGS.max_tries
    assert (record["status"], record["error_type"]) == ("failed", "ServerError")
    assert record["error"].startswith("HTTP 500: oh (4 tries within ")
    assert bench.limiter.spent_usd == 0 and not bench.journal
    assert len(waits) == 6 and all(0.2 < wait < 5 for wait in waits)


def test_the_time_of_a_request_is_limited_too(monkeypatch: pytest.MonkeyPatch):
    no_sleep(monkeypatch)
    server = Server(lambda _n: Retry("HTTP 503", error_type="ServerError", after_s=400.0))
    assert run(Bench(server), "1")[0][0]["status"] == "failed"
    assert len(server.bodies) == 2


def test_a_429_pauses_the_gate_and_one_that_is_too_long_stops_the_job():
    server = Server(lambda n: Retry("429", error_type="RateLimited", after_s=0.2, everyone=True) if n == 0 else reply())
    bench = Bench(server)
    pauses: list[float] = []
    pause = bench.limiter.pause
    bench.limiter.pause = lambda now, seconds: (pauses.append(seconds), pause(now, seconds))[1]  # type: ignore
    assert run(bench, "1")[0][0]["status"] == "ok"
    assert pauses == [0.2]
    server = Server(lambda _n: Retry("429", error_type="RateLimited", after_s=7200.0, everyone=True))
    with pytest.raises(StopJob, match="asks to wait for 7,200 s"):
        run(Bench(server), "1", "2")


def test_a_lost_answer_counts_against_the_budget_and_in_no_record(monkeypatch: pytest.MonkeyPatch):
    no_sleep(monkeypatch)
    lost = Retry("the connection broke", error_type="ConnectionBroken", maybe_billed=True)
    bench = Bench(Server(lambda n: lost if n == 0 else reply()))
    rows = run(bench, "1")
    most = estimate(SETTINGS, PRICE, 8, 8).cost_usd_max
    assert bench.asker.unconfirmed_usd == most
    assert sum(Decimal(r["cost_usd"]) for r in rows[0]) == cost_usd(PRICE, 3001, 11)
    assert bench.limiter.spent_usd == most + cost_usd(PRICE, 3001, 11)


def test_over_budget_stops_asking_and_reading():
    most = estimate(SETTINGS, PRICE, 8, 8).cost_usd_max
    server = Server()
    bench = Bench(server, budget_usd=most * 5)
    rows = run(bench, *map(str, range(100)), concurrency=4)
    statuses = [row[0]["status"] for row in rows]
    assert len(rows) == 100 and set(statuses) == {"ok", "over_budget"}
    assert statuses.count("ok") == len(server.bodies) >= 5
    assert bench.limiter.spent_usd <= most * 5
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
            async for records in bench.asker.ask_many(entries, 5):
                rows.append(records)
        assert len(server.bodies) == 5
        assert [row[0]["status"] for row in rows] == ["ok"] * 4 and len(bench.journal) == 8
        await bench.close()

    asyncio.run(main())


def test_leaving_early_leaves_no_task_behind():
    async def main() -> None:
        bench = Bench(Server())
        entries = ({"image_id": str(n), "version": "1"} for n in range(1000))
        stream = bench.asker.ask_many(entries, 8)
        await anext(stream)
        await stream.aclose()
        await bench.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert len(bench.reads) <= 9

    asyncio.run(main())


def test_images_sent_as_urls_are_not_read_and_each_try_gets_a_fresh_one(monkeypatch: pytest.MonkeyPatch):
    no_sleep(monkeypatch)
    server = Server(lambda n: Retry("HTTP 500", error_type="ServerError") if n == 0 else reply())
    numbers = iter(range(10))
    settings = dataclasses.replace(SETTINGS, image_urls=True)
    bench = Bench(server, settings, presign=lambda image_id: f"https://signed/{image_id}?{next(numbers)}")

    async def main() -> list[dict[str, Any]]:
        entry = {"image_id": "s3://b/1.jpg", "version": "1", "sha256": "ab" * 32, "width": 640, "height": 480}
        try:
            return await bench.asker.ask_image(entry)
        finally:
            await bench.close()

    records = asyncio.run(main())
    assert [r["status"] for r in records] == ["ok", "ok"] and not bench.reads
    urls = [body["messages"][-1]["content"][-1]["image_url"]["url"] for body in server.bodies]
    assert urls == ["https://signed/s3://b/1.jpg?0", "https://signed/s3://b/1.jpg?1"]


def test_answers_that_cost_more_than_estimated_are_warned_of_once(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        run(Bench(Server(lambda _n: reply(input_tokens=9000))), *map(str, range(40)))
    assert len(caplog.messages) == 1
    assert "more than the estimate" in caplog.messages[0] and "% more" in caplog.messages[0]


def test_memory_stays_flat_over_many_rows():
    """20,000 images: neither tasks, nor futures, nor the limiter's log grow with the number of rows."""
    settings = dataclasses.replace(SETTINGS, questions=(PERSON,), image_urls=True)
    server = Server(lambda _n: reply('{"is_person": true}'))
    server.bodies = Forgetful()
    bench = Bench(server, settings, presign=lambda image_id: image_id)
    bench.journal = Forgetful()
    bench.asker._journal = bench.journal.append
    blocks: dict[int, int] = {}
    most_tasks = 0

    async def entries() -> Any:
        for n in range(20_000):
            yield {"image_id": f"s3://b/{n}", "version": "1", "sha256": f"{n:064x}", "width": 64, "height": 48}

    async def main() -> None:
        nonlocal most_tasks
        seen = 0
        async for _records in bench.asker.ask_many(entries(), 64):
            seen += 1
            if seen % 5_000 == 0:
                blocks[seen] = sys.getallocatedblocks()
                most_tasks = max(most_tasks, len(asyncio.all_tasks()))
        assert seen == 20_000
        await bench.close()

    asyncio.run(main())
    assert most_tasks <= 64 + 4 and server.most_in_flight <= 64
    assert blocks[20_000] - blocks[5_000] < 20_000  # less than a block and a half for each of 15,000 rows
    assert not bench.asker._coming


class Forgetful(list):
    """A list that counts and keeps nothing."""

    count = 0

    def append(self, _item: Any) -> None:
        self.count += 1

    def __len__(self) -> int:
        return self.count


def test_choose_concurrency():
    assert choose_concurrency(None, None, tokens_per_request=3000) == 32
    assert choose_concurrency(600, None, tokens_per_request=3000) == 80
    assert choose_concurrency(600, None, tokens_per_request=3000, actors=4) == 20
    assert choose_concurrency(30_000, 150_000, tokens_per_request=3000) == 7
    assert choose_concurrency(3, None, tokens_per_request=3000) == 4
    assert choose_concurrency(30_000, None, tokens_per_request=1) == 512


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_splits_add_up(parts: int):
    questions = [dataclasses.replace(PERSON, field=f"q{n}") for n in range(parts)]
    spent = Spent(1000, 17, Decimal("0.00012345"))
    entry = {"image_id": "a", "version": "1"}
    outcome = Outcome(status=AnswerStatus.INVALID, spent=spent)
    records = answer_records(entry, dict.fromkeys([q.field for q in questions], "k"), questions, outcome)
    assert len(records) == parts
    assert sum(r["input_tokens"] for r in records) == 1000 and sum(r["output_tokens"] for r in records) == 17
    assert sum(Decimal(r["cost_usd"]) for r in records) == spent.usd
    assert all(Decimal(r["cost_usd"]) >= 0 and "E" not in r["cost_usd"] for r in records)


def no_sleep(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits between tries take no time; returns them."""
    waits: list[float] = []
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def noted(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    patched = SimpleNamespace(**{**vars(asyncio), "sleep": noted})
    monkeypatch.setattr("pixelbrain.asking.tries.asyncio", patched)
    return waits

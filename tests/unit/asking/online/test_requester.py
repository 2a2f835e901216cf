"""The asker's tries: which answers are asked for again, how often, and what they come to."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import time
from decimal import Decimal
from typing import Any

import pytest

from pixelbrain.asking.cost.prices import cost_usd
from pixelbrain.asking.request.estimate import estimate
from pixelbrain.asking.request.failures import Retry, RowFailed, StopJob
from tests.unit.asking.online.asker_bench import PRICE, SETTINGS, Answer, Bench, Server, no_sleep, reply, run


def test_a_truncated_answer_gets_more_room_once():
    cut = reply('{"is_person": tr', finish_reason="length", output_tokens=300)
    server = Server(lambda n: cut if n == 0 else reply())
    bench = Bench(server)
    rows = run(bench, "1")
    assert [body["max_completion_tokens"] for body in server.bodies] == [300, 1200]
    assert [r["status"] for r in rows[0]] == ["ok", "ok"]
    total = cost_usd(PRICE, 3001, 300) + cost_usd(PRICE, 3001, 11)
    assert sum(Decimal(r["cost_usd"]) for r in rows[0]) == total == bench.limiter.budget.spent_usd  # both were paid for

    server = Server(lambda _n: cut)
    rows = run(Bench(server), "1")
    assert len(server.bodies) == 2
    assert [(r["status"], r["error_type"], r["raw"]) for r in rows[0]] == [
        ("invalid", "Truncated", '{"is_person": tr')
    ] * 2


@pytest.mark.parametrize("thought", ["", "<think>Is it a"])
def test_a_model_that_thinks_away_its_tokens_is_told_so_and_gets_more_from_then_on(
    thought: str, caplog: pytest.LogCaptureFixture
):
    cut = reply(thought, finish_reason="length", output_tokens=300)
    server = Server(lambda n: cut if n == 0 else reply())
    rows = run(Bench(server), "1", "2", "3", concurrency=1)
    assert [body["max_completion_tokens"] for body in server.bodies] == [300, 1200, 1200, 1200]
    assert [r["status"] for row in rows for r in row] == ["ok"] * 6
    assert caplog.text.count("from now on it may take 1200") == 1


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
    assert bench.limiter.budget.spent_usd == 0 and {r["status"] for r in bench.journal} == {"failed"}
    assert len(waits) == 6 and all(0.2 < wait < 5 for wait in waits)


def test_a_response_that_is_none_is_asked_for_again_once_and_was_paid_for(monkeypatch: pytest.MonkeyPatch):
    no_sleep(monkeypatch)
    garbled = Retry("<html>", error_type="GarbledResponse", maybe_billed=True, garbled=True)
    server = Server(lambda _n: garbled)
    bench = Bench(server)
    rows = run(bench, "1")
    assert len(server.bodies) == 2
    assert [(r["status"], r["error_type"]) for r in rows[0]] == [("failed", "GarbledResponse")] * 2
    cost = sum(Decimal(r["cost_usd"]) for r in rows[0])
    assert cost == bench.limiter.budget.spent_usd > 0


def test_what_a_server_does_not_say_is_estimated_said_once_and_no_reason_to_warn(caplog: pytest.LogCaptureFixture):
    server = Server(lambda _n: dataclasses.replace(reply(), input_tokens=None))
    bench = Bench(server)
    rows = run(bench, *map(str, range(12)))
    assert all(Decimal(r["cost_usd"]) > 0 for row in rows for r in row)
    overrun = bench.asker.requester.overrun
    assert overrun.message is None and overrun.unsaid is not None
    assert caplog.text.count("does not say how many tokens") == 1


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
    bench.limiter.pause = lambda now, seconds, why: (pauses.append(seconds), pause(now, seconds, why))[1]  # type: ignore
    assert run(bench, "1")[0][0]["status"] == "ok"
    assert pauses == [0.2]
    server = Server(lambda _n: Retry("429", error_type="RateLimited", after_s=7200.0, everyone=True))
    with pytest.raises(StopJob, match=r"\(429\): it asks to wait for 7,200 s, and --max-wait is 600 s"):
        run(Bench(server), "1", "2")


def test_a_429_is_no_failure_of_a_request_but_asking_ends_when_nothing_comes_through(monkeypatch: pytest.MonkeyPatch):
    limited = Retry("429", error_type="RateLimited", after_s=0.01, everyone=True)
    server = Server(lambda n: limited if n < 3 * SETTINGS.max_tries else reply())
    assert run(Bench(server), "1")[0][0]["status"] == "ok"
    settings = dataclasses.replace(SETTINGS, max_wait_s=0.2)
    with pytest.raises(StopJob, match="--max-wait is 0 s without an answer"):
        run(Bench(Server(lambda _n: limited), settings), "1")


def test_each_answer_is_a_new_beginning_of_the_wait():
    def answer(n: int) -> Answer:
        time.sleep(0.06)
        return reply() if n % 2 else Retry("429", error_type="RateLimited", after_s=0.05, everyone=True)

    bench = Bench(Server(answer), dataclasses.replace(SETTINGS, max_wait_s=0.3))
    bench.limiter.pause = lambda *_: None  # type: ignore
    assert {row["status"] for rows in run(bench, *"12345678", concurrency=1) for row in rows} == {"ok"}


def refusal(number: int, why: str = "Unsupported parameter: 'max_completion_tokens'") -> RowFailed:
    return RowFailed(f"HTTP 400: {why} (request req_{number:06x})", error_type="BadRequest")


def test_a_reason_for_which_all_fail_stops_the_job():
    server = Server(refusal)
    with pytest.raises(StopJob, match=r"all of 8 requests failed.*Unsupported parameter.*marked as failed for good"):
        run(Bench(server), *map(str, range(40)), concurrency=1)
    assert len(server.bodies) == 8


@pytest.mark.parametrize(
    "answer",
    [
        lambda n: refusal(n, "could not process the image"),  # it is the images'
        lambda n: refusal(n, f"of another kind {'abcdefghijklmnopqrstuvwxyzäöüABCDEFGHIJK'[n]}"),  # they are many
        lambda n: reply() if n == 5 else refusal(n),  # some do not
        lambda n: reply("", refusal="I can't help with that.") if n == 5 else refusal(n),
    ],
)
def test_otherwise_those_that_fail_are_rows(answer: Any):
    server = Server(answer)
    rows = run(Bench(server), *map(str, range(40)), concurrency=1)
    assert len(server.bodies) == len(rows) == 40


def test_many_in_a_row_stop_the_job_later_too(monkeypatch: pytest.MonkeyPatch):
    no_sleep(monkeypatch)
    settings = dataclasses.replace(SETTINGS, max_tries=1)
    broken = Retry("HTTP 500: it fell over", error_type="ServerError")
    server = Server(lambda n: reply() if n < 3 else broken)
    with pytest.raises(StopJob, match="all of 100 requests failed.*it fell over"):
        run(Bench(server, settings), *map(str, range(200)), concurrency=1)
    assert len(server.bodies) == 103


def test_a_lost_answer_counts_against_the_budget_and_in_no_record(monkeypatch: pytest.MonkeyPatch):
    no_sleep(monkeypatch)
    lost = Retry("the connection broke", error_type="ConnectionBroken", maybe_billed=True)
    bench = Bench(Server(lambda n: lost if n == 0 else reply()))
    rows = run(bench, "1")
    most = estimate(SETTINGS, PRICE, 8, 8).cost_usd_max
    assert sum(Decimal(r["cost_usd"]) for r in rows[0]) == cost_usd(PRICE, 3001, 11)
    assert bench.limiter.budget.spent_usd == most + cost_usd(PRICE, 3001, 11)


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

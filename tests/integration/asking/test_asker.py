"""The asker against the strict fake, over HTTP: limits, faults, money, keys."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import logging
import time
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from PIL import Image

from pixelbrain.asking.cost.prices import PRICES, find_price
from pixelbrain.asking.limits.limiter import RateLimiter
from pixelbrain.asking.online.asker import Asker
from pixelbrain.asking.online.requester import Requester
from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.request.client import AskClient
from pixelbrain.asking.request.failures import StopJob
from pixelbrain.asking.request.photo import PhotoPreparer, prepare_photo
from pixelbrain.asking.request.server import Server
from pixelbrain.asking.settings import AskSettings
from tests.fake_openai.answers import expected_answer
from tests.fake_openai.running import FakeOpenAI
from tests.unit.asking.limits.local_gate import local_gate
from tests.unit.asking.online.asker_bench import ask_many

QUESTIONS = (
    Question(field="is_red", text="Is it red?", answer=answer_type("bool")),
    Question(field="seen", text="What is seen?", answer=answer_type("text")),
)
SETTINGS = AskSettings(questions=QUESTIONS, timeout_s=5.0)
PRICE = find_price(SETTINGS.model)
SLACK_S = 1.0  # that a request may need from its permit to the server, here where other work may hold it up


def photo(number: int) -> bytes:
    """PNG; of each number another colour and size, so that a mixed-up answer is seen."""
    colour = tuple(40 + 20 * (number // 10**place % 10) for place in range(3))
    buffer = io.BytesIO()
    Image.new("RGB", (16 + number % 50, 24), colour).save(buffer, "PNG")
    return buffer.getvalue()


def expected(number: int) -> dict[str, Any]:
    """What the fake says of what is sent of a photo."""
    jpeg, _size = prepare_photo(photo(number), price=PRICE, detail=SETTINGS.detail)
    return {q.field: expected_answer(jpeg, q.answer.json_schema()) for q in QUESTIONS}


@dataclasses.dataclass
class Done:
    """What came of a run."""

    rows: list[list[dict[str, Any]]] = dataclasses.field(default_factory=list)
    journal: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    stopped: StopJob | None = None

    @property
    def cost_usd(self) -> Decimal:
        return sum((Decimal(record["cost_usd"]) for row in self.rows for record in row), Decimal(0))

    @property
    def statuses(self) -> Counter[str]:
        return Counter(record["status"] for row in self.rows for record in row)

    def check_answers(self) -> None:
        """Every answer is about its own image."""
        for row in self.rows:
            for record in row:
                if record["status"] == "ok":
                    assert record["answer"] == expected(int(record["image_id"]))[record["field"]]


def run(
    fake: FakeOpenAI,
    numbers: Iterable[int],
    limiter: RateLimiter,
    monkeypatch: pytest.MonkeyPatch,
    *,
    settings: AskSettings = SETTINGS,
    actors: int = 1,
    concurrency: int = 16,
    memory: dict[str, dict[str, Any]] | None = None,
) -> Done:
    """Ask about photos with several askers, each with a client and a gate of its own."""
    monkeypatch.setenv("OPENAI_API_KEY", fake.key)
    done, memory = Done(), {} if memory is None else memory
    numbers = list(numbers)

    def note(record: dict[str, Any]) -> None:
        done.journal.append(record)
        memory[record["key"]] = record

    async def actor(share: list[int]) -> None:
        client = AskClient(server=Server(base_url=fake.base_url), connections=concurrency, timeout_s=settings.timeout_s)
        gate = local_gate(limiter)
        price = PRICES.get(settings.model, PRICE)
        asker = Asker(
            Requester(settings=settings, price=price, gate=gate, send=client.send),
            PhotoPreparer(settings, price, lambda image_id: photo(int(image_id))),
            remembered=memory.get,
            journal=note,
            threads=2,
        )
        entries = ({"image_id": str(number), "version": "1"} for number in share)
        try:
            async for records in ask_many(asker, entries, concurrency):
                done.rows.append(records)
        except StopJob as error:
            done.stopped = error
        finally:
            await asker.aclose()
            await gate.aclose()
            await client.aclose()

    async def main() -> None:
        await asyncio.gather(*(actor(numbers[n::actors]) for n in range(actors)))

    asyncio.run(main())
    return done


def idle_stats(fake: FakeOpenAI) -> dict[str, Any]:
    """The fake's sums once it is done with requests that nobody waits for any more."""
    deadline = time.monotonic() + 10
    while (stats := fake.stats())["in_flight"] and time.monotonic() < deadline:
        time.sleep(0.05)
    return stats


def unlimited(**more: Any) -> RateLimiter:
    return RateLimiter(rpm=10**6, tpm=10**10, **more)


def test_four_actors_keep_the_limit_in_every_window(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch):
    fake.control(rpm=3000, window_s=4.0, latency_ms=200.0, jitter_ms=100.0)  # 200 in any 4 s
    limiter = RateLimiter(rpm=3000, tpm=10**9, window_s=4.0, slack_s=SLACK_S)
    done = run(fake, range(320), limiter, monkeypatch, actors=4)
    stats = idle_stats(fake)
    assert done.statuses == {"ok": 640} and stats["requests"] == stats["answered"] == 320
    done.check_answers()
    assert stats["by_status"] == {"200": 320}
    assert stats["max_requests_sent_per_window"] <= 200


@pytest.mark.parametrize("counts", ["documented", "reserved", "used"])
def test_tokens_are_kept_however_the_server_counts_them(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, counts: str):
    settings = dataclasses.replace(SETTINGS, model="gpt-4o", max_output_tokens=1000)  # and 85 tokens an image
    fake.control(tpm=1_800_000, window_s=3.0, tpm_counts=counts, latency_ms=100.0)  # 90,000 in any 3 s
    limiter = RateLimiter(window_s=3.0, slack_s=SLACK_S)
    done = run(fake, range(130), limiter, monkeypatch, settings=settings, concurrency=32)
    stats = idle_stats(fake)
    assert done.statuses == {"ok": 260} and stats["answered"] == 130
    assert stats["by_status"] == {"200": 130}
    assert limiter._tokens.per_minute == 1_800_000  # learned
    assert stats["max_tokens_per_window"] <= 90_000


def test_limits_that_are_not_given_are_learned_and_kept(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch):
    fake.control(rpm=3000, window_s=2.0, latency_ms=50.0)  # 100 in any 2 s
    done = run(fake, range(160), RateLimiter(window_s=2.0, slack_s=SLACK_S), monkeypatch, actors=2, concurrency=32)
    stats = idle_stats(fake)
    assert done.statuses == {"ok": 320} and stats["by_status"] == {"200": 160}
    assert stats["max_requests_sent_per_window"] <= 100


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "429", "retry_after_s": 0.3},
        {"kind": "429"},
        {"kind": "408"},
        {"kind": "409"},
        {"kind": "500"},
        {"kind": "503", "retry_after_s": 0.2},
        {"kind": "cut"},
        {"kind": "drop"},
        {"kind": "garbage"},
        {"kind": "slow", "seconds": 2.0},
        {"kind": "prose"},
        {"kind": "misfit"},
        {"kind": "truncated"},
    ],
    ids=lambda fault: fault["kind"] + ("-after" if "retry_after_s" in fault else ""),
)
def test_a_fault_that_passes_ends_with_each_image_answered_once(
    fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any]
):
    fake.control(faults=[{**fault, "probability": 0.3, "per_image": 1, "seed": 2}])
    limiter = unlimited(seed=1)
    done = run(fake, range(40), limiter, monkeypatch, settings=dataclasses.replace(SETTINGS, timeout_s=1.0))
    stats = idle_stats(fake)
    assert len(done.rows) == 40 and done.statuses == {"ok": 80} and done.stopped is None
    done.check_answers()
    assert stats["answered_distinct"] == 40 and stats["requests"] > 40
    assert Decimal(stats["billed_usd"]) - Decimal(stats["lost_usd"]) == done.cost_usd  # to the cent, and beyond
    assert limiter.budget.spent_usd >= Decimal(stats["billed_usd"])
    assert limiter.budget.reserved_usd == 0


@pytest.mark.parametrize(
    ("kind", "status", "error_type"),
    [
        ("400", "failed", "BadRequest"),
        ("403", "failed", "Forbidden"),
        ("422", "failed", "Unprocessable"),
        ("500", "failed", "ServerError"),
        ("content_policy", "refused", "ContentFilter"),
        ("refusal", "refused", "Refused"),
        ("content_filter", "refused", "ContentFilter"),
        ("prose", "invalid", "InvalidAnswer"),
        ("misfit", "invalid", "InvalidAnswer"),
        ("truncated", "invalid", "Truncated"),
    ],
)
def test_a_fault_that_stays_ends_with_a_truthful_status(
    fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, kind: str, status: str, error_type: str
):
    fake.control(faults=[{"kind": kind, "colour": [40, 40, 40]}])  # that of number 0
    settings = dataclasses.replace(SETTINGS, max_tries=3)
    done = run(fake, range(20), unlimited(), monkeypatch, settings=settings)
    stats = idle_stats(fake)
    assert len(done.rows) == 20 and sum(done.statuses.values()) == 40
    assert done.statuses == {"ok": 38, status: 2}
    done.check_answers()
    bad = [record for row in done.rows for record in row if record["status"] == status]
    assert {record["error_type"] for record in bad} == {error_type}
    assert all(record["error"] and record["answer"] is None for record in bad)
    assert all(bool(record["raw"]) == (status != "failed") for record in bad if kind != "content_filter")
    assert Decimal(stats["billed_usd"]) == done.cost_usd
    assert len(done.journal) == 40


def test_no_money_left_stops_the_job_and_keeps_all_answers(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch):
    fake.control(faults=[{"kind": "quota", "after": 30}], latency_ms=20.0)
    memory: dict[str, dict[str, Any]] = {}
    done = run(fake, range(200), unlimited(), monkeypatch, memory=memory)
    assert "no money left" in str(done.stopped)
    assert done.statuses == {"ok": 60} and len(done.journal) == 60
    assert idle_stats(fake)["requests"] <= 30 + 2 * 16
    fake.control(faults=[])
    rest = run(fake, range(200), unlimited(), monkeypatch, memory=memory)
    stats = idle_stats(fake)
    assert rest.statuses == {"ok": 400} and stats["answered_again"] == 0
    assert done.cost_usd + rest.cost_usd == Decimal(stats["billed_usd"])


def test_the_budget_is_never_exceeded_even_when_answers_get_lost(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch):
    fake.control(
        faults=[
            {"kind": "cut", "probability": 0.2, "seed": 1},
            # once an image: truncated twice is invalid, which is another test's
            {"kind": "truncated", "probability": 0.2, "seed": 2, "per_image": 1},
        ],
        latency_ms=10.0,
    )
    budget = Decimal("0.02")
    memory: dict[str, dict[str, Any]] = {}
    done = run(fake, range(100), unlimited(budget_usd=budget), monkeypatch, actors=4, concurrency=8, memory=memory)
    first = Decimal(idle_stats(fake)["billed_usd"])
    assert set(done.statuses) == {"ok", "over_budget"} and sum(done.statuses.values()) == 200
    assert budget * 8 / 10 < first <= budget
    assert done.cost_usd == first - Decimal(idle_stats(fake)["lost_usd"])
    fake.control(faults=[])
    limiter = unlimited(budget_usd=Decimal(1), already_spent_usd=first)
    rest = run(fake, range(100), limiter, monkeypatch, memory=memory)
    assert rest.statuses == {"ok": 200}
    assert rest.cost_usd == Decimal(idle_stats(fake)["billed_usd"]) - first


def test_a_wrong_key_stops_the_job_and_no_key_is_told_anywhere(
    fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    wrong = "sk-proj-1234567890abcdefghijklmnopqrstuvwxyz"
    with caplog.at_level(logging.DEBUG):
        right = run(fake, range(3), unlimited(), monkeypatch)
        fake.key, key = wrong, fake.key
        try:
            done = run(fake, range(3, 6), unlimited(), monkeypatch)
        finally:
            fake.key = key
    assert right.statuses == {"ok": 6}
    assert done.rows == [] and "OPENAI_API_KEY" in str(done.stopped)
    told = caplog.text + str(done.stopped) + repr(done.stopped) + json.dumps(right.rows + right.journal)
    for one in (wrong, key):
        assert not any(one[start : start + 8] in told for start in range(0, len(one) - 8) if one[start:][:3] != "sk-")


def test_a_model_that_is_not_there_stops_the_job(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch):
    settings = dataclasses.replace(SETTINGS, model="gpt-9")
    done = run(fake, range(20), unlimited(), monkeypatch, settings=settings)
    assert done.rows == [] and "no model gpt-9" in str(done.stopped) and "--model" in str(done.stopped)


def test_a_server_that_is_not_there_is_a_failed_row(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch):
    settings = dataclasses.replace(SETTINGS, max_tries=2)
    limiter = unlimited(budget_usd=Decimal(1))
    with FakeOpenAI() as gone:
        pass
    done = run(gone, range(2), limiter, monkeypatch, settings=settings)
    assert done.statuses == {"failed": 4}
    assert {record["error_type"] for row in done.rows for record in row} == {"ConnectionBroken"}
    assert limiter.budget.spent_usd == 0  # nothing was sent, so nothing can have been billed


def test_the_key_is_looked_at_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(StopJob, match="OPENAI_API_KEY is not set"):
        AskClient()
    asyncio.run(AskClient(server=Server(base_url="http://127.0.0.1:9/v1")).aclose())  # one's own may need none
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-part one")
    with pytest.raises(StopJob, match="copy it again") as caught:
        AskClient()
    assert "secret" not in str(caught.value)

"""The fake's faults: each does what it says, on the requests that it was ordered for, and the bill knows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import openai
import pytest

from tests.fake_openai.running import FakeOpenAI
from tests.integration.asking.conftest import plain_image

RED, BLUE = (200, 10, 10), (10, 10, 200)


@pytest.mark.parametrize("kind", ["400", "401", "403", "404", "408", "409", "422", "429", "500", "503", "quota"])
def test_faults_that_are_a_status(fake: FakeOpenAI, ask: Callable[..., Any], kind: str) -> None:
    fake.control(faults=[{"kind": kind, "count": 1, "retry_after_s": 1.5}])
    with pytest.raises(openai.APIStatusError) as caught:
        ask(plain_image(RED))
    assert caught.value.status_code == (429 if kind == "quota" else int(kind))
    assert (caught.value.code == "insufficient_quota") == (kind == "quota")
    assert caught.value.response.headers["retry-after"] == "1.5"
    assert ask(plain_image(RED)).choices
    assert fake.stats()["answered"] == 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("cut", openai.APIConnectionError),
        ("drop", openai.APIConnectionError),
        ("slow", openai.APITimeoutError),
        ("garbage", Exception),
    ],
)
def test_faults_on_the_way_are_billed_and_known_to_be_lost(
    fake: FakeOpenAI, ask: Callable[..., Any], client: openai.OpenAI, kind: str, error: type[Exception]
) -> None:
    fake.control(faults=[{"kind": kind, "count": 1, "seconds": 0.5}])
    with pytest.raises(error):
        ask(plain_image(RED), client=client.with_options(timeout=0.25) if kind == "slow" else client)
    deadline = time.monotonic() + 5
    while fake.stats()["in_flight"] and time.monotonic() < deadline:
        time.sleep(0.05)
    stats = fake.stats()
    assert (stats["answered"], stats["delivered"], stats["faults"]) == (1, 0, {kind: 1})
    assert Decimal(stats["lost_usd"]) == Decimal(stats["billed_usd"]) > 0


def test_faults_in_the_answer(fake: FakeOpenAI, ask: Callable[..., Any]) -> None:
    def answer(kind: str) -> tuple[str, str | None, str | None]:
        fake.control(faults=[{"kind": kind}])
        choice = ask(plain_image(RED)).choices[0]
        return choice.finish_reason, choice.message.content, choice.message.refusal

    reason, content, _ = answer("misfit")
    assert (reason, json.loads(content)["is_red"]) == ("stop", {"unexpected": True})
    reason, content, _ = answer("prose")
    assert (reason, content[:9]) == ("stop", "Certainly")
    reason, content, _ = answer("truncated")
    assert reason == "length"
    with pytest.raises(ValueError):
        json.loads(content)
    reason, content, refusal = answer("refusal")
    assert (reason, content) == ("stop", None)
    assert refusal
    assert answer("content_filter") == ("content_filter", None, None)


def test_an_answer_without_room_is_truncated(ask: Callable[..., Any]) -> None:
    reply = ask(plain_image(RED), max_completion_tokens=3)
    assert (reply.choices[0].finish_reason, reply.usage.completion_tokens) == ("length", 3)


def test_faults_choose_by_colour_by_image_and_by_order(fake: FakeOpenAI, ask: Callable[..., Any]) -> None:
    fake.control(faults=[{"kind": "400", "colour": list(RED)}])
    with pytest.raises(openai.BadRequestError):
        ask(plain_image(RED))
    assert ask(plain_image(BLUE)).choices
    fake.control(faults=[{"kind": "500", "per_image": 1}])
    for colour in (RED, BLUE):
        with pytest.raises(openai.InternalServerError):
            ask(plain_image(colour))
        assert ask(plain_image(colour)).choices
    fake.control(faults=[{"kind": "quota", "after": 2}])
    assert ask(plain_image(RED)).choices
    assert ask(plain_image(RED)).choices
    for _ in range(2):
        with pytest.raises(openai.RateLimitError, match="exceeded your current quota"):
            ask(plain_image(RED))


def test_a_faults_probability_depends_on_its_seed_alone(fake: FakeOpenAI, ask: Callable[..., Any]) -> None:
    images = [plain_image((index * 8, 0, 0)) for index in range(24)]

    def failed(order: list[int], seed: int) -> set[int]:
        fake.reset()
        fake.control(faults=[{"kind": "prose", "probability": 0.5, "seed": seed}])
        return {i for i in order if ask(images[i]).choices[0].message.content.startswith("Certainly")}

    first = failed(list(range(24)), 1)
    assert 4 < len(first) < 20
    assert failed(list(reversed(range(24))), 1) == first
    assert failed(list(range(24)), 2) != first


def test_control_refuses_what_it_does_not_know(fake: FakeOpenAI) -> None:
    for wrong in (
        {"rpms": 3},
        {"rpm": -1},
        {"tpm_counts": "x"},
        {"faults": [{"kind": "x"}]},
        {"faults": [{"odds": 1}]},
    ):
        with pytest.raises(ValueError, match=r"rpm|tpm_counts|a fault has"):
            fake.control(**wrong)

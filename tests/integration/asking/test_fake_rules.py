"""The fake's own rules: its windows are exact, and its prices and token rules agree with the product's."""

from __future__ import annotations

import random

import pytest

from pixelbrain.asking.cost import prices
from tests.fake_openai import billing
from tests.fake_openai.errors import ApiError
from tests.fake_openai.limits import Limits, duration
from tests.fake_openai.settings import Settings

MINI = billing.MODELS["gpt-4o-mini"]


@pytest.mark.parametrize("tpm_counts", ["documented", "reserved"])
def test_no_window_ever_holds_more_than_its_limit_and_no_room_is_refused(tpm_counts: str) -> None:
    limits = Limits(Settings(rpm=600, tpm=60_000, window_s=6.0, tpm_counts=tpm_counts))  # 60 and 6,000 in 6 s
    draw = random.Random(1)
    now, let_in, refused = 0.0, [], 0
    for _ in range(4_000):
        now += draw.expovariate(14)
        prompt_tokens = draw.randint(20, 220)
        tokens = max(prompt_tokens, 100) if tpm_counts == "documented" else prompt_tokens + 100
        window = [amount for at, amount in let_in if now - at < 6.0]
        fits = len(window) < 60 and sum(window) + tokens <= 6_000
        try:
            limits.admit(MINI, prompt_tokens=prompt_tokens, max_tokens=100, now=now)
        except ApiError as error:
            assert (error.status, error.code) == (429, "rate_limit_exceeded")
            assert not fits
            refused += 1
        else:
            assert fits
            let_in.append((now, tokens))
    assert refused > 100
    assert limits.peaks()["max_requests_per_window"] <= 60
    assert 5_700 < limits.peaks()["max_tokens_per_window"] <= 6_000


def test_the_named_time_is_when_there_is_room() -> None:
    limits = Limits(Settings(rpm=2))
    for now in (0.0, 10.0):
        limits.admit(MINI, prompt_tokens=1, max_tokens=1, now=now)
    with pytest.raises(ApiError) as caught:
        limits.admit(MINI, prompt_tokens=1, max_tokens=1, now=20.0)
    assert caught.value.headers["retry-after-ms"] == "40000"
    assert caught.value.headers["retry-after"] == "40"
    assert caught.value.headers["x-ratelimit-reset-requests"] == "1m0s"
    limits.admit(MINI, prompt_tokens=1, max_tokens=1, now=60.0)


def test_used_tokens_give_back_what_was_reserved() -> None:
    limits = Limits(Settings(tpm=1_000, tpm_counts="used"))
    charge = limits.admit(MINI, prompt_tokens=100, max_tokens=800, now=0.0)
    with pytest.raises(ApiError):
        limits.admit(MINI, prompt_tokens=100, max_tokens=100, now=1.0)
    limits.settle(MINI, charge, 120, 2.0)
    limits.admit(MINI, prompt_tokens=100, max_tokens=780, now=3.0)
    assert limits.headers(MINI, 3.0)["x-ratelimit-remaining-tokens"] == "0"


def test_durations_are_written_as_the_headers_do() -> None:
    assert [duration(s) for s in (0, 0.0174, 0.12, 1, 1.5, 59.9996, 60, 360, 90.25)] == [
        "0ms", "18ms", "120ms", "1s", "1.5s", "1m0s", "1m0s", "6m0s", "1m30.25s",
    ]  # fmt: skip


def test_two_tables_written_separately_agree() -> None:
    draw = random.Random(2)
    for name, model in billing.MODELS.items():
        price = prices.find_price(name)
        assert (price.input_usd_per_million, price.output_usd_per_million) == (model.input_usd, model.output_usd)
        assert price.batch_factor == billing.BATCH_FACTOR
        for _ in range(1_000):
            width, height = draw.randint(1, 5_000), draw.randint(1, draw.choice((60, 900, 5_000)))
            for detail in ("low", "high"):
                ours = prices.image_tokens(price, width, height, detail, reduced=False)
                assert ours == billing.image_tokens(model, width, height, detail), (name, width, height, detail)

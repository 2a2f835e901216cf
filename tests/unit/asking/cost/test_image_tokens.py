"""How models count an image: the published examples, and properties of every size."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pixelbrain.asking.cost.prices import PRICES, find_price, image_tokens
from tests.fake_openai import billing


@pytest.mark.parametrize(
    ("model", "width", "height", "detail", "tokens"),
    [
        # the guide's and the community's worked examples
        ("gpt-4o", 1024, 1024, "high", 765),
        ("gpt-4o", 2048, 4096, "high", 1105),
        ("gpt-4o", 4096, 8192, "low", 85),
        ("gpt-4o", 128, 64, "high", 255),
        ("gpt-4o-mini", 128, 64, "high", 2833 + 5667),
        ("gpt-4o-mini", 4096, 8192, "low", 2833),
        ("gpt-5", 1024, 1024, "high", 70 + 4 * 140),
        ("gpt-5.4", 1024, 1024, "high", 1229),
        ("gpt-5.4", 2048, 2048, "high", 3000),
        ("o4-mini", 1024, 1024, "high", 1762),
        ("o4-mini", 1800, 2400, "high", 2498),  # 33 x 44 patches
        ("gpt-4.1-nano", 128, 64, "low", 20),
        ("gpt-4.1-mini", 128, 64, "high", 13),
        ("gpt-4.1-mini", 4000, 1474, "high", 2489),  # 64 x 24 patches: billed 2,488, one less by rounding
    ],
)
def test_published_examples(model: str, width: int, height: int, detail: Any, tokens: int) -> None:
    assert image_tokens(find_price(model), width, height, detail) == tokens


def test_an_image_sent_as_it_is_is_reduced_by_the_server_as_users_were_billed() -> None:
    price = find_price("gpt-4.1")
    assert image_tokens(price, 2049, 513, "high", reduced=False) == 85 + 8 * 170
    assert image_tokens(price, 2050, 513, "high", reduced=False) == 85 + 4 * 170
    assert image_tokens(price, 4000, 3000, "low", reduced=False) == 85
    # low detail is no reduction on the server for this one, and so is ours
    price = find_price("gpt-4.1-mini")
    assert image_tokens(price, 2048, 2048, "low", reduced=False) == -(-4096 * 162 // 100)
    assert image_tokens(price, 2048, 2048, "low") == -(-256 * 162 // 100)


@pytest.mark.parametrize("model", PRICES)
@pytest.mark.parametrize("detail", ["low", "high"])
def test_the_target_is_never_larger_and_costs_what_the_original_would(model: str, detail: Any) -> None:
    price = find_price(model)
    rng = random.Random(f"{model} {detail}")
    for _ in range(400):
        most = rng.choice([3, 40, 600, 3000, 20_000])
        width, height = rng.randint(1, most), rng.randint(1, rng.choice([most, 20_000]))
        target = price.tokens.target(width, height, detail)
        assert 1 <= target[0] <= width and 1 <= target[1] <= height, (width, height, target)
        assert price.tokens.target(*target, detail) == target, (width, height)
        tokens = image_tokens(price, width, height, detail)
        assert image_tokens(price, *target, detail) == tokens, (width, height, target)
        assert image_tokens(price, *target, detail, reduced=False) == tokens, (width, height, target)
        if detail == "low":
            assert max(target) <= 512
        if min(target) >= 100:  # its shape is kept
            assert target[0] / target[1] == pytest.approx(width / height, rel=0.02)


@pytest.mark.parametrize("model", [name for name in PRICES if hasattr(PRICES[name].tokens, "budget")])
def test_patches_stay_within_the_budget(model: str) -> None:
    tokens = PRICES[model].tokens
    rng = random.Random(model)
    for _ in range(500):
        width, height = PRICES[model].tokens.target(rng.randint(1, 9000), rng.randint(1, 9000), "high")
        assert -(-width // 32) * -(-height // 32) <= tokens.budget
        assert max(width, height) <= 2048


@pytest.mark.parametrize("model", billing.MODELS)
@pytest.mark.parametrize("detail", ["low", "high"])
def test_the_fake_server_which_has_rules_of_its_own_bills_the_same(model: str, detail: Any) -> None:
    price, bill = find_price(model), billing.MODELS[model]
    assert (price.input_usd_per_million, price.output_usd_per_million) == (bill.input_usd, bill.output_usd)
    rng = random.Random(model)
    for _ in range(300):
        width, height = rng.randint(1, 6000), rng.randint(1, 6000)
        target = price.tokens.target(width, height, detail)
        assert image_tokens(price, width, height, detail) == billing.image_tokens(bill, *target, detail)


def test_a_tiny_budget_leaves_a_ribbon_something() -> None:
    overrides = {
        "mine": {"input_usd_per_million": 0, "output_usd_per_million": 0, "tokens": {"multiplier": 1, "budget": 3}}
    }
    price = find_price("mine", overrides)
    for width, height in [(2048, 5), (5, 2048), (64, 64), (1, 1), (20_000, 20_000)]:
        target = price.tokens.target(width, height, "high")
        assert 1 <= target[0] <= width and 1 <= target[1] <= height
        assert image_tokens(price, width, height, "high") <= 3

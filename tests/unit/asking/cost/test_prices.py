"""Prices and token rules: the published examples, and properties of every size."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from pixelbrain.asking.cost.prices import PRICES, cost_usd, find_price, image_tokens, target_size, text_tokens
from pixelbrain.errors import ConfigError
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
        target = target_size(price, width, height, detail)
        assert 1 <= target[0] <= width and 1 <= target[1] <= height, (width, height, target)
        assert target_size(price, *target, detail) == target, (width, height)
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
        width, height = target_size(PRICES[model], rng.randint(1, 9000), rng.randint(1, 9000), "high")
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
        target = target_size(price, width, height, detail)
        assert image_tokens(price, width, height, detail) == billing.image_tokens(bill, *target, detail)


def test_a_tiny_budget_leaves_a_ribbon_something() -> None:
    overrides = {
        "mine": {"input_usd_per_million": 0, "output_usd_per_million": 0, "tokens": {"multiplier": 1, "budget": 3}}
    }
    price = find_price("mine", overrides)
    for width, height in [(2048, 5), (5, 2048), (64, 64), (1, 1), (20_000, 20_000)]:
        target = target_size(price, width, height, "high")
        assert 1 <= target[0] <= width and 1 <= target[1] <= height
        assert image_tokens(price, width, height, "high") <= 3


# --- finding a price --------------------------------------------------------------------------------------------------


def test_dated_snapshots_are_priced_as_their_family() -> None:
    assert find_price("gpt-4o-2024-08-06").input_usd_per_million == Decimal("2.50")
    assert find_price("gpt-4o-2024-08-06").model == "gpt-4o-2024-08-06"
    assert find_price("gpt-4o-2024-05-13").input_usd_per_million == Decimal("5.00")  # which has a price of its own
    assert find_price("gpt-4o-mini-2024-07-18").tokens == PRICES["gpt-4o-mini"].tokens
    assert find_price("gpt-4.1-nano-2025-04-14").input_usd_per_million == Decimal("0.10")


@pytest.mark.parametrize(
    "model", ["gpt-4o-audio-preview", "gpt-5.9", "gpt-6-luna", "llava", "gpt-4", "ft:gpt-4o:me", ""]
)
def test_an_unknown_model_is_not_guessed(model: str) -> None:
    with pytest.raises(ConfigError, match="give it in the config"):
        find_price(model)


def test_the_config_prices_other_models_and_changes_known_ones() -> None:
    overrides = {
        "llava": {"input_usd_per_million": 0, "output_usd_per_million": 0, "tokens": {"base": 576, "tile": 0}},
        "my-gpt": {"input_usd_per_million": 0.15, "output_usd_per_million": "0.6", "tokens": {"like": "gpt-4o"}},
        "qwen": {
            "input_usd_per_million": 1,
            "output_usd_per_million": 2,
            "tokens": {"multiplier": 1.5},
            "reasoning": True,
        },
        "gpt-4o": {"input_usd_per_million": 2, "batch_factor": 0.4},
    }
    assert image_tokens(find_price("llava", overrides), 4000, 3000, "high") == 576
    assert find_price("my-gpt", overrides).tokens == PRICES["gpt-4o"].tokens
    assert find_price("my-gpt-2026-01-01", overrides).input_usd_per_million == Decimal("0.15")
    assert find_price("qwen", overrides).reasoning
    assert image_tokens(find_price("qwen", overrides), 32, 32, "low") == 2
    changed = find_price("gpt-4o", overrides)
    assert (changed.input_usd_per_million, changed.output_usd_per_million) == (2, Decimal("10.00"))
    assert cost_usd(changed, 1_000_000, 0, batch=True) == Decimal("0.8")
    assert PRICES["gpt-4o"].input_usd_per_million == Decimal("2.50")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"input_usd_per_million": 1}, "lacks output_usd_per_million"),
        ({"input_usd_per_million": 1, "output_usd_per_million": 1}, "lacks tokens"),
        ({"input": 1}, "'input' is no setting"),
        ({"input_usd_per_million": -1}, "0 or more"),
        ({"input_usd_per_million": "cheap"}, "0 or more"),
        ({"input_usd_per_million": True}, "0 or more"),
        ({"input_usd_per_million": float("nan")}, "0 or more"),
        ({"tokens": "gpt-4o"}, "like: gpt-4o"),
        ({"tokens": {"like": "gpt-99"}}, "gpt-99"),
        ({"tokens": {"base": 85}}, "lacks tile"),
        ({"tokens": {"base": 85, "tile": 1.5}}, "whole number"),
        ({"tokens": {"base": 85, "tile": 170, "budget": 3}}, "'budget' is no setting"),
        ({"tokens": {"multiplier": 1, "budget": 0}}, "whole number"),
        ({"reasoning": "yes"}, "true or false"),
        (0.5, "has keys"),
    ],
)
def test_overrides_are_checked(settings: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        find_price("mine", {"mine": settings})


# --- dollars and texts ------------------------------------------------------------------------------------------------


def test_costs_are_exact_and_halved_in_a_batch() -> None:
    price = find_price("gpt-4o-mini")
    assert cost_usd(price, 2900, 10) == Decimal("0.000441")
    assert cost_usd(price, 2900, 10, batch=True) == Decimal("0.0002205")
    assert sum(cost_usd(price, 1, 1) for _ in range(1_000_000)) == Decimal("0.75")


@pytest.mark.parametrize(
    ("text", "least"),
    [("", 0), ("Is there a cat?", 5), ("猫はいますか", 6), ("👩‍👩‍👧‍👦", 11), ('{"type":"boolean"}', 6), ("\ud800", 1)],
)
def test_text_tokens_is_an_upper_estimate(text: str, least: int) -> None:
    assert text_tokens(text) >= least
    assert text_tokens(text) <= 4 * len(text)

"""What models cost: the table, what the config may say, and sums."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pixelbrain.asking.cost.prices import (
    PRICES,
    cost_usd,
    find_price,
    image_tokens,
    plain_name,
    read_prices,
    text_tokens,
)
from pixelbrain.errors import ConfigError

LLAVA = "{input_usd_per_million: 0.1, output_usd_per_million: 0.4, tokens: {like: gpt-4o}}"


def test_dated_snapshots_are_priced_as_their_family() -> None:
    assert find_price("gpt-4o-2024-08-06").input_usd_per_million == Decimal("2.50")
    assert find_price("gpt-4o-2024-08-06").model == "gpt-4o-2024-08-06"
    assert find_price("gpt-4o-2024-05-13").input_usd_per_million == Decimal("5.00")  # which has a price of its own
    assert find_price("gpt-4o-mini-2024-07-18").tokens == PRICES["gpt-4o-mini"].tokens
    assert find_price("gpt-4.1-nano-2025-04-14").input_usd_per_million == Decimal("0.10")


@pytest.mark.parametrize(
    ("model", "plain", "usd"),
    [
        ("openai/gpt-4o", "gpt-4o", "2.50"),
        ("openrouter/openai/GPT-4o", "gpt-4o", "2.50"),
        ("azure/gpt-4o-2024-05-13", "gpt-4o-2024-05-13", "5.00"),
        ("gpt-4.1-latest", "gpt-4.1-latest", "2.00"),
        ("o1-2024-12-17", "o1-2024-12-17", "15.00"),
        ("o3", "o3", "2.00"),
        ("gpt-4-turbo-2024-04-09", "gpt-4-turbo-2024-04-09", "10.00"),
        ("openai:gpt-4o", "gpt-4o", "2.50"),
        ("gpt-4o@2024-08-06", "gpt-4o-2024-08-06", "2.50"),
        ("ft:gpt-4o-mini:org::Id:ckpt-step-80", "ft:gpt-4o-mini:org::Id:ckpt-step-80", "0.30"),
        ("ft:gpt-4o-2024-08-06:Org::Id", "ft:gpt-4o-2024-08-06:Org::Id", "3.75"),
        ("openai/FT:GPT-4o-mini:org:name:Id", "ft:gpt-4o-mini:org:name:Id", "0.30"),
    ],
)
def test_a_model_is_known_by_any_usual_name(model: str, plain: str, usd: str) -> None:
    assert plain_name(model) == plain
    found = find_price(model)
    assert (found.model, found.input_usd_per_million) == (model, Decimal(usd))


def test_the_nearest_names_of_an_unknown_model_are_shown() -> None:
    with pytest.raises(ConfigError, match="price of openai/gtp-4o is not known .nearest are: gpt-4o, "):
        find_price("openai/gtp-4o")


@pytest.mark.parametrize(
    "model", ["gpt-4o-audio-preview", "gpt-5.9", "gpt-6-luna", "llava", "gpt-4", "ft:gpt-4o:me", ""]
)
def test_an_unknown_model_is_not_guessed(model: str) -> None:
    with pytest.raises(ConfigError, match="give it in a file for --prices"):
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


@pytest.mark.parametrize(
    "text",
    [
        f"llava: {LLAVA}\ngpt-4o: {{batch_factor: 1}}",
        f"prices:\n  llava: {LLAVA}",
        '{"llava": {"input_usd_per_million": 0.1, "output_usd_per_million": 0.4, "tokens": {"like": "gpt-4o"}}}',
    ],
)
def test_a_file_of_prices_goes_over_the_table(text: str, tmp_path: Path):
    (tmp_path / "prices.yaml").write_text(text)
    prices = read_prices(tmp_path / "prices.yaml")
    assert find_price("llava", prices).input_usd_per_million == Decimal("0.1")
    assert find_price("gpt-4o-mini", prices) == find_price("gpt-4o-mini")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, r"cannot read the prices in .*prices.yaml: No such file"),
        ("a: [", r"prices.yaml is neither YAML nor JSON"),
        ("llava: 2026-13-45", r"prices.yaml is neither YAML nor JSON: month must be in 1..12$"),
        pytest.param("a: " + 1000 * "[", r"prices.yaml is neither YAML nor JSON", id="deep"),
        (
            "gpt-4o: {tokens: {like: [gpt-4o]}}",
            r"prices.yaml: prices: gpt-4o: tokens: like is \['gpt-4o'\]: it is one of",
        ),
        ("", r"prices.yaml holds no prices: write a model a line, as in `my-model: \{input"),
        ("- llava", r"prices.yaml holds no prices"),
        ("llava: 0.1", r"prices.yaml: prices: llava is 0.1"),
        ("gpt-4o: {input: 1}", r"prices.yaml: prices: gpt-4o: 'input' is no setting"),
        ("llava: {input_usd_per_million: 1}", r"prices.yaml: prices: llava lacks output_usd_per_million"),
    ],
)
def test_a_file_that_holds_no_prices_is_told_by_name(text: str | None, says: str, tmp_path: Path):
    if text is not None:
        (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_prices(tmp_path / "prices.yaml")

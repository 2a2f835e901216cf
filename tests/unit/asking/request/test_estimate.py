"""What a request takes, against the fake's own bill, and the warning of what took more."""

from __future__ import annotations

import logging
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pixelbrain.asking.cost.prices import PRICES, cost_usd, find_price, image_tokens, text_tokens
from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.request.body import build_body
from pixelbrain.asking.request.estimate import Overrun, estimate
from pixelbrain.asking.request.photo import data_url
from pixelbrain.asking.settings import AskSettings
from tests.fake_openai import billing, checks

PERSON = Question(field="is_person", text="Is anybody there?", answer=answer_type("bool"))
LIGHT = Question(field="light", text="Which light?", answer=answer_type("choice:day,night"))
TAGS = Question(field="tags", text="What is there?", answer=answer_type("tags"))
SETTINGS = AskSettings(questions=(PERSON, LIGHT), model="gpt-4o", detail="low")
PRICE = find_price("gpt-4o")


@pytest.mark.parametrize("model", billing.MODELS)
def test_a_strict_server_takes_every_kind_of_answer_and_bills_less_than_estimated(model: str) -> None:
    nested = {
        "type": "object",
        "properties": {"a": {"type": ["string", "null"]}, "b": {"type": "number", "minimum": 0}},
    }
    specs = ["text", "bool", "int", "float", "tags", "choice:a,b", nested]
    questions = tuple(Question(field=f"q{i}", text="What?", answer=answer_type(spec)) for i, spec in enumerate(specs))
    settings = replace(SETTINGS, questions=questions, model=model)
    checked = checks.check_body(build_body(settings, questions, data_url(b"jpeg")))
    assert [image.detail for image in checked.images] == ["low"]
    texts = billing.schema_tokens(checked.schema) + sum(map(billing.text_tokens, checked.texts))
    price = find_price(model)
    assert texts < estimate(settings, price, 64, 64).input_tokens - image_tokens(price, 64, 64, "low") < 2 * texts


def test_estimate_counts_image_texts_and_the_longest_answer() -> None:
    found = estimate(SETTINGS, PRICE, 4000, 3000)
    assert found.input_tokens > image_tokens(PRICE, 4000, 3000, "low") + text_tokens("Is anybody there?")
    assert found.input_tokens < 400
    assert found.output_tokens_max == 300
    assert 0 < found.output_tokens_expected < 40
    assert found.cost_usd_max == cost_usd(PRICE, found.input_tokens, 300)
    assert found.cost_usd_expected < found.cost_usd_max
    assert estimate(SETTINGS, PRICE, 4000, 3000, batch=True).cost_usd_max == found.cost_usd_max / 2
    assert estimate(SETTINGS, PRICE, 4000, 3000, max_output_tokens=600).output_tokens_max == 600
    assert estimate(SETTINGS, PRICE, 4000, 3000, questions=[PERSON]).input_tokens < found.input_tokens


def test_estimate_of_presigned_urls_is_of_the_original() -> None:
    price = find_price("gpt-4.1-mini")
    settings = replace(SETTINGS, model="gpt-4.1-mini")
    sent, fetched = (
        estimate(settings, price, 4000, 3000),
        estimate(replace(settings, image_urls=True), price, 4000, 3000),
    )
    assert fetched.input_tokens - sent.input_tokens == image_tokens(
        price, 4000, 3000, "low", reduced=False
    ) - image_tokens(price, 4000, 3000, "low")


def test_estimate_expects_reasoning_models_to_use_what_they_may() -> None:
    settings = replace(SETTINGS, model="gpt-5-mini")
    found = estimate(settings, PRICES["gpt-5-mini"], 640, 480)
    assert found.output_tokens_expected == found.output_tokens_max
    assert isinstance(found.cost_usd_expected, Decimal)


@pytest.mark.parametrize("spec", ["text", "bool", "int", "float", "tags", "choice:a,b", {"a": {"type": "string"}}])
def test_estimate_knows_every_kind_of_answer(spec: Any) -> None:
    spec = {"type": "object", "properties": spec} if isinstance(spec, dict) else spec
    question = Question(field="x", text="What?", answer=answer_type(spec))
    assert 0 < estimate(SETTINGS, PRICE, 640, 480, questions=[question]).output_tokens_expected <= 300


def test_requests_that_cost_more_than_estimated_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    overrun = Overrun()
    with caplog.at_level(logging.WARNING):
        overrun.add(Decimal("0.9"), Decimal("1.2"), requests=9)
        assert overrun.message is None  # too few to say
        overrun.add(Decimal("0.1"), Decimal(0))
        assert overrun.message is None  # a fifth more, and no more than that
        overrun.add(Decimal("0.1"), Decimal("0.4"))
        overrun.add(Decimal("0.1"), Decimal("0.4"))
    assert len(caplog.messages) == 1 and "11 requests cost $1.600000, 45 % more than the estimate" in caplog.messages[0]
    assert overrun.message is not None and "12 requests" in overrun.message


def test_costs_where_nothing_was_expected_are_told_too() -> None:
    overrun = Overrun()
    overrun.add(Decimal(0), Decimal(1), requests=10)
    assert overrun.message is not None and "inf % more" in overrun.message

"""The request's body, the key of its answers, its estimate, and what is made of the reply."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pixelbrain.asking.cost.prices import PRICES, cost_usd, find_price, image_tokens, text_tokens
from pixelbrain.asking.questions.answer_types import InvalidAnswerError, answer_type
from pixelbrain.asking.questions.question import AskSettings, Question
from pixelbrain.asking.request.body import answer_key, build_body, elide_image, estimate, parse_answers, sent_parameters
from pixelbrain.asking.request.photo import data_url
from pixelbrain.errors import ConfigError
from tests.fake_openai import billing, checks

PERSON = Question(field="is_person", text="Is anybody there?", answer=answer_type("bool"))
LIGHT = Question(field="light", text="Which light?", answer=answer_type("choice:day,night"))
TAGS = Question(field="tags", text="What is there?", answer=answer_type("tags"))
SETTINGS = AskSettings(questions=(PERSON, LIGHT), model="gpt-4o", detail="low")
PRICE = find_price("gpt-4o")


def test_body_asks_all_questions_about_one_image() -> None:
    body = build_body(SETTINGS, SETTINGS.questions, data_url(b"jpeg"))
    assert set(body) == {"model", "messages", "response_format", "max_completion_tokens", "temperature"}
    assert body["model"] == "gpt-4o"
    assert body["max_completion_tokens"] == 300
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    text, image = body["messages"][1]["content"]
    assert text == {"type": "text", "text": "is_person: Is anybody there?\nlight: Which light?"}
    assert image == {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,anBlZw==", "detail": "low"}}
    assert body["response_format"]["type"] == "json_schema"
    assert body["response_format"]["json_schema"]["strict"] is True
    assert body["response_format"]["json_schema"]["schema"] == {
        "type": "object",
        "properties": {"is_person": {"type": "boolean"}, "light": {"type": "string", "enum": ["day", "night"]}},
        "required": ["is_person", "light"],
        "additionalProperties": False,
    }
    json.dumps(body)


def test_body_takes_more_room_and_further_parameters() -> None:
    settings = replace(SETTINGS, temperature=None, parameters={"seed": 7})
    body = build_body(settings, [PERSON], "https://host/a.jpg", max_output_tokens=900)
    assert body["max_completion_tokens"] == 900
    assert body["seed"] == 7
    assert "temperature" not in body
    assert list(body["response_format"]["json_schema"]["schema"]["properties"]) == ["is_person"]


@pytest.mark.parametrize("name", ["model", "messages", "max_completion_tokens", "n", "stream", "response_format"])
def test_parameters_do_not_replace_settings(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        build_body(replace(SETTINGS, parameters={name: 2}), [PERSON], "https://host/a.jpg")


def test_reasoning_models_get_no_temperature_unless_told() -> None:
    assert sent_parameters(SETTINGS) == {"temperature": 0.0}
    assert sent_parameters(replace(SETTINGS, model="gpt-5-mini")) == {}
    assert sent_parameters(replace(SETTINGS, model="gpt-5-mini-2025-08-07")) == {}
    assert sent_parameters(replace(SETTINGS, model="llava")) == {"temperature": 0.0}
    assert sent_parameters(replace(SETTINGS, model="gpt-5-mini", parameters={"temperature": 1})) == {"temperature": 1}


def test_shown_bodies_hold_neither_image_nor_signature() -> None:
    body = build_body(SETTINGS, [PERSON], data_url(b"secret pixels" * 1000))
    shown = json.dumps(elide_image(body))
    assert len(shown) < 2000
    assert "data:image/jpeg;base64,... (17,336 characters)" in shown
    assert len(json.dumps(body)) > 17_000  # the body itself is as it was
    shown = json.dumps(elide_image(build_body(SETTINGS, [PERSON], "https://bucket/a.jpg?X-Amz-Signature=abc")))
    assert "https://bucket/a.jpg?..." in shown
    assert "abc" not in shown


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


# --- the key of an answer ---------------------------------------------------------------------------------------------


def test_key_changes_with_all_that_changes_the_answer() -> None:
    base = answer_key("a" * 64, SETTINGS, PERSON)
    others = [
        answer_key("b" * 64, SETTINGS, PERSON),
        answer_key("a" * 64, replace(SETTINGS, model="gpt-4.1"), PERSON),
        answer_key("a" * 64, replace(SETTINGS, detail="high"), PERSON),
        answer_key("a" * 64, replace(SETTINGS, temperature=0.5), PERSON),
        answer_key("a" * 64, replace(SETTINGS, temperature=None), PERSON),
        answer_key("a" * 64, replace(SETTINGS, parameters={"seed": 1}), PERSON),
        answer_key("a" * 64, SETTINGS, replace(PERSON, text="Is anyone there?")),
        answer_key("a" * 64, SETTINGS, replace(PERSON, answer=answer_type("text"))),
    ]
    assert len({base, *others}) == 9
    assert len(base) == 64 and int(base, 16) >= 0


def test_key_stays_with_all_that_does_not() -> None:
    base = answer_key("a" * 64, SETTINGS, PERSON)
    assert (
        answer_key("a" * 64, replace(SETTINGS, questions=(PERSON,), timeout_s=5, max_output_tokens=900), PERSON) == base
    )
    assert answer_key("a" * 64, replace(SETTINGS, temperature=0), PERSON) == base
    assert answer_key("a" * 64, SETTINGS, replace(PERSON, field="somebody")) == base


# --- the estimate -----------------------------------------------------------------------------------------------------


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


# --- the reply --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        '{"is_person": true, "light": "night"}',
        '```json\n{"is_person": true, "light": "night"}\n```',
        ' {"light": "NIGHT", "is_person": true, "more": 1} ',
    ],
)
def test_replies_are_parsed_by_field(content: str) -> None:
    assert parse_answers(content, [PERSON, LIGHT]) == {"is_person": True, "light": "night"}


@pytest.mark.parametrize(
    ("content", "says", "valid"),
    [
        ("", "not JSON", {}),
        ("Yes, there is somebody.", "not JSON", {}),
        ('{"is_person": tr', "not JSON", {}),
        ("[" * 100_000, "not JSON", {}),
        ("[true]", "not a JSON object", {}),
        ('{"is_person": true}', "light is missing", {"is_person": True}),
        ('{"is_person": "yes", "light": "day"}', "is_person: the answer is 'yes'", {"light": "day"}),
        ('{"is_person": null, "light": 3}', "light: the answer is 3", {}),
    ],
)
def test_wrong_replies_keep_what_is_right(content: str, says: str, valid: dict[str, Any]) -> None:
    with pytest.raises(InvalidAnswerError, match=says) as error:
        parse_answers(content, [PERSON, LIGHT])
    assert error.value.answers == valid
    assert len(str(error.value)) < 300

"""The request's body, and the key of its answers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pixelbrain.asking.cost.prices import find_price
from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.request.body import answer_key, build_body, sent_parameters
from pixelbrain.asking.request.photo import data_url
from pixelbrain.asking.settings import AskSettings
from pixelbrain.errors import ConfigError

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

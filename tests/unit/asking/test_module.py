"""Gpt4VModule takes what can be asked, and names what cannot."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from pixelbrain.asking.module import Gpt4VModule
from pixelbrain.errors import ConfigError


def test_one_question_several_and_prebuilt_ones():
    one = Gpt4VModule("Day?", field="day", answer="bool", budget_usd="2.50", rpm=500)
    (question,) = one.settings.questions
    assert (question.field, question.answer.arrow_type(), one.limits.budget_usd) == ("day", pa.bool_(), Decimal("2.50"))
    several = Gpt4VModule(questions=["people_detector", {"field": "n", "question": "How many?", "answer": "int"}])
    assert [q.field for q in several.settings.questions] == ["is_person", "n"]
    assert Gpt4VModule("perfect_eyes").settings.questions[0].field == "perfect_eyes"


def test_as_many_requests_in_flight_as_the_limits_can_use():
    assert Gpt4VModule("people_detector").limits.concurrency == 32
    assert Gpt4VModule("people_detector", rpm=600, tpm=10_000_000).limits.concurrency == 80  # 10/s of 8 s each
    assert Gpt4VModule("people_detector", rpm=600, concurrency=5).limits.concurrency == 5


def test_models_that_think_first_get_room_and_no_temperature():
    assert Gpt4VModule("people_detector").settings.max_output_tokens == 300
    thinking = Gpt4VModule("people_detector", model="gpt-5-mini").settings
    assert (thinking.max_output_tokens, thinking.temperature) == (2000, None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give a question"),
        ({"question": "x?", "questions": ["people_detector"]}, "give a question"),
        ({"question": "x?"}, "a field to land in"),
        ({"question": "x?", "field": "status"}, "needs another name.*columns of every image"),
        ({"question": "x?", "field": "resnet"}, "needs another name.*modules that come along"),
        ({"question": "x?", "field": "Not A Name"}, "lower-case"),
        ({"question": "x?", "field": "a", "answer": "complex"}, "complex"),
        ({"questions": ["no_such_question"]}, "no prebuilt question"),
        ({"questions": ["people_detector", "people_detector"]}, "share a field"),
        ({"questions": [{"field": "a", "question": "x?", "anwser": "int"}]}, "no 'anwser'"),
        ({"question": "people_detector", "model": "gpt-99"}, "price of gpt-99 is not known"),
        ({"question": "people_detector", "detail": "auto"}, "detail is 'auto'"),
        ({"question": "people_detector", "budget_usd": "much"}, "budget is 'much'"),
        ({"question": "people_detector", "budget_usd": 0}, "budget is 0"),
        ({"question": "people_detector", "rpm": 0}, "rpm is 0"),
        ({"question": "people_detector", "max_output_tokens": 3}, "max_output_tokens is 3"),
        ({"question": "people_detector", "parameters": {"stream": True}}, "stream"),
    ],
)
def test_what_cannot_be_asked_is_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        Gpt4VModule(**settings)

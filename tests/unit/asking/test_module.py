"""Gpt4VModule takes what can be asked, and names what cannot."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pyarrow as pa
import pytest

from pixelbrain.asking.cost.prices import PRICES
from pixelbrain.asking.module import Gpt4VModule
from pixelbrain.asking.request.dialect import Dialect
from pixelbrain.errors import ConfigError

_LOCAL = Dialect(token_limit="max_tokens", left_out=frozenset({"detail"}))


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
        ({"question": "x?"}, "a field that its answers land in"),
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
        ({"question": "people_detector", "base_url": "http://[::1/v1"}, "an address, as in http"),
        ({"question": "people_detector", "max_output_tokens": 3}, "max_output_tokens is 3"),
        ({"question": "people_detector", "parameters": {"stream": True}}, "stream"),
    ],
)
def test_what_cannot_be_asked_is_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        Gpt4VModule(**settings)


@pytest.mark.parametrize(
    ("server", "free"),
    [
        ("http://localhost:11434/v1", True),
        ("http://127.0.0.1:8000/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://192.168.1.7:1234/v1", True),
        ("http://vllm:8000/v1", True),
        ("http://host.docker.internal:1234/v1", True),
        ("https://api.example.com/v1", False),
        ("http://8.8.8.8/v1", False),
        ("", False),
    ],
)
def test_a_model_on_a_server_of_ones_own_costs_nothing_unless_it_is_priced(server, free, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for named in ({"base_url": server}, {}):  # and by the variable
        question = {"question": "people_detector", "model": "llava", **named}
        if not named:
            monkeypatch.setenv("OPENAI_BASE_URL", server)
        with contextlib.nullcontext() if free else pytest.raises(ConfigError, match="price of llava is not known"):
            price = Gpt4VModule(**question).price
            assert price.input_usd_per_million == price.output_usd_per_million == 0
        with pytest.raises(ConfigError, match="price of llava is not known"):
            Gpt4VModule(**question, budget_usd=5)
        # of our table: by an address that was given; OPENAI_BASE_URL is often a proxy that is paid for
        known = Gpt4VModule(**question | {"model": "gpt-4o-mini-2024-07-18"}).price
        assert (known.input_usd_per_million == known.output_usd_per_million == 0) is (free and bool(named))
        assert known.tokens == PRICES["gpt-4o-mini"].tokens
        given = {"input_usd_per_million": 7, "output_usd_per_million": 1, "tokens": {"like": "gpt-4o"}}
        assert Gpt4VModule(**question, prices={"llava": given}).price.input_usd_per_million == 7


@pytest.mark.parametrize(
    ("given", "model", "dialect"),
    [
        ({}, "gpt-4o-mini", Dialect()),
        ({"model": "openai/GPT-4o"}, "gpt-4o", Dialect()),  # as OpenAI's own server knows it
        ({"model": "gpt-4o-2024-05-13"}, "gpt-4o-2024-05-13", Dialect(response_format="json_object")),
        ({"provider": "openrouter", "model": "openai/o3"}, "openai/o3", Dialect()),  # which thinks: no max_tokens
        ({"provider": "mistral", "model": "gpt-4o"}, "gpt-4o", _LOCAL),
        ({"provider": "vllm", "model": "llava", "send_detail": True}, "llava", Dialect(token_limit="max_tokens")),
        (
            {"token_limit": "max_tokens", "response_format": "none", "send_temperature": False},
            "gpt-4o-mini",
            Dialect(token_limit="max_tokens", response_format="none", left_out=frozenset({"temperature"})),
        ),
    ],
)
def test_a_provider_is_a_choice_of_settings_that_can_be_given_too(given, model, dialect, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    settings = Gpt4VModule("people_detector", **given).settings
    assert (settings.model, settings.dialect) == (model, dialect)


def test_what_runs_on_a_machine_of_ones_own_is_free_whatever_its_name(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    free = Gpt4VModule("people_detector", provider="ollama", model="gpt-4o").price
    assert free.input_usd_per_million == free.output_usd_per_million == 0
    elsewhere = {"provider": "vllm", "base_url": "https://vllm.example.com", "model": "gpt-4o"}
    assert Gpt4VModule("people_detector", **elsewhere).price.input_usd_per_million > 0
    assert Gpt4VModule("people_detector", provider="ollama", model="gpt-4o", budget_usd=1).price.input_usd_per_million


@pytest.mark.parametrize(
    "priced",
    [
        {"provider": "litellm"},  # which passes requests on to others
        {"provider": "openai"},
        {"budget_usd": 5},
        {"prices": {"gpt-4o": {}}},
        {"prices": {"gpt-4o": {"input_usd_per_million": 2.5}}},
    ],
)
def test_a_local_address_costs_what_is_said_of_it(priced):
    module = Gpt4VModule("people_detector", base_url="http://10.0.0.7:4000", model="openai/gpt-4o-2024-08-06", **priced)
    assert module.price.input_usd_per_million == PRICES["gpt-4o"].input_usd_per_million

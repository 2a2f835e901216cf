"""What servers take of a request: said beforehand, and learned from refusals in their own wordings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.request.body import answer_key, build_body
from pixelbrain.asking.request.dialect import SCHEMA_PROMPT, Dialect, learn, speak
from pixelbrain.asking.settings import AskSettings

LIGHT = Question(field="light", text="Is it day?", answer=answer_type("bool"))
SETTINGS = AskSettings(questions=(LIGHT,), parameters={"seed": 1})
USUAL = Dialect()
FORBIDDEN = {"type": "extra_forbidden", "msg": "Extra inputs are not permitted", "input": 300}


def body(dialect: Dialect = USUAL, **settings: Any) -> dict[str, Any]:
    return build_body(replace(SETTINGS, dialect=dialect, **settings), [LIGHT], "data:,")


def forbidden(*loc: Any) -> list[dict[str, Any]]:
    return [{**FORBIDDEN, "loc": ["body", *loc]}]


@pytest.mark.parametrize(
    ("status", "error", "changed"),
    [
        # OpenAI, reasoning models
        (
            400,
            {
                "message": "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default "
                "(1) value is supported.",
                "param": "temperature",
                "code": "unsupported_value",
            },
            {"left_out": frozenset({"temperature"})},
        ),
        (
            400,
            {
                "message": "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this "
                "model.",
                "param": None,
            },
            {"response_format": "json_object"},
        ),
        # Azure
        (
            400,
            {"message": "Unrecognized request argument supplied: max_completion_tokens", "param": None, "code": None},
            {"token_limit": "max_tokens"},
        ),
        (
            400,
            {"message": "response_format value as json_schema is enabled only for api versions 2024-08-01-preview"},
            {"response_format": "json_object"},
        ),
        # Mistral, as its newer, older and oldest gateways put it
        (
            422,
            {"object": "error", "message": {"detail": forbidden("max_completion_tokens")}},
            {"token_limit": "max_tokens"},
        ),
        (422, {"detail": forbidden("seed")}, {"left_out": frozenset({"seed"})}),
        (422, {"message": f'{{"detail":{forbidden("temperature")}}}'}, {"left_out": frozenset({"temperature"})}),
        (
            422,
            {"detail": forbidden("messages", 1, "user", "content", "list", 1, "image_url", "detail")},
            {"left_out": frozenset({"detail"})},
        ),
        # vLLM
        (
            400,
            {"message": "[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), 'msg': 'Extra inputs "
             "are not permitted', 'input': 300}]", "param": None, "code": 400},
            {"token_limit": "max_tokens"},
        ),
        (400, {"message": "System role not supported"}, {"left_out": frozenset({"system"})}),
        # LM Studio, which says a text
        (400, "'response_format.type' must be 'json_object' or 'text'", {"response_format": "json_object"}),
        # DeepSeek, LiteLLM
        (400, {"message": "This response_format type is unavailable now"}, {"response_format": "json_object"}),
        (
            400,
            {"message": "litellm.UnsupportedParamsError: ollama does not support parameters: ['response_format'], "
             "for model=llava. To drop these, set `litellm.drop_params=True`"},
            {"response_format": "none"},
        ),
        (400, {"message": "json_schema is not supported"}, {"response_format": "json_object"}),
        (400, {"message": "Guided decoding is not supported"}, {"response_format": "json_object"}),
        (400, {"message": "Grammar error: Unimplemented keys: ['a']"}, {"response_format": "json_object"}),
        # values that nobody asked for
        (422, "`temperature` must be strictly positive", {"left_out": frozenset({"temperature"})}),
        (400, {"message": "invalid temperature: only 1 for it"}, {"left_out": frozenset({"temperature"})}),
        (
            400,
            {"message": "Invalid value: 'low'. Supported values are: 'auto'.", "param": "messages[1].image_url.detail"},
            {"left_out": frozenset({"detail"})},
        ),
        # other words for the same
        (400, {"message": "max_completion_tokens is not a valid parameter"}, {"token_limit": "max_tokens"}),
        (400, {"message": "Invalid parameter: max_completion_tokens"}, {"token_limit": "max_tokens"}),
        (400, {"message": "The parameter `max_completion_tokens` is invalid"}, {"token_limit": "max_tokens"}),
        (400, {"errors": ["max_completion_tokens is forbidden"]}, {"token_limit": "max_tokens"}),
        (400, {"message": "Only user and assistant roles are supported!"}, {"left_out": frozenset({"system"})}),
        (400, {"message": "Conversation roles must alternate user/assistant/..."}, {"left_out": frozenset({"system"})}),
        (400, {"message": "Developer instruction is not enabled for gemma"}, {"left_out": frozenset({"system"})}),
        (400, {"message": "messages[0].role: unknown variant `system`"}, {"left_out": frozenset({"system"})}),
        # its own words are beneath those of who passed it on
        (
            400,
            {"message": "Provider returned error", "metadata": {"raw": "temperature is not supported"}},
            {"left_out": frozenset({"temperature"})},
        ),
        (404, {"message": "The model `openai/GPT-4o` does not exist", "code": "model_not_found"}, {"model": "gpt-4o"}),
    ],
)  # fmt: skip
def test_a_refusal_teaches_what_a_server_takes(status: int, error: Any, changed: dict[str, Any]):
    sent = body(model="openai/GPT-4o")
    wanted = learn(USUAL, sent, status, error)
    assert wanted == replace(USUAL, **changed)
    assert wanted.told(USUAL).startswith("the server")
    assert speak(sent, wanted) != sent


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"message": "max_tokens is too large: 300. At most 200 are supported", "param": "max_completion_tokens"}),
        (400, {"message": "Invalid schema for response_format 'answers': 'minLength' is not permitted."}),
        (400, {"message": "You uploaded an unsupported image. See our documentation for more detail."}),
        (400, {"message": "This model's maximum context length is 4096 tokens"}),
        (400, {"message": "max_completion_tokens must be at most 200"}),
        (400, {"message": "model requires more system memory than is available"}),
        (404, {"message": "The model `gpt-4o-mini` does not exist", "code": "model_not_found"}),
        (429, {"message": "max_completion_tokens is not supported"}),
        (400, None),
    ],
)  # fmt: skip
def test_other_refusals_teach_nothing(status: int, error: Any):
    assert learn(USUAL, body(), status, error) is None


def test_where_no_schema_is_taken_it_is_in_the_prompt_before_the_image():
    for kind in ("json_object", "none"):
        found = body(Dialect(response_format=kind))  # type: ignore[arg-type]
        text, image = found["messages"][1]["content"]
        assert SCHEMA_PROMPT in text["text"] and '"light"' in text["text"].split(SCHEMA_PROMPT)[1]
        assert image["type"] == "image_url"
        assert found.get("response_format") == ({"type": "json_object"} if kind == "json_object" else None)
        again = speak(found, Dialect(response_format="none"))  # narrowed on the way: the schema is there once
        assert "response_format" not in again and str(again).count(SCHEMA_PROMPT) == 1


def test_what_is_left_out_is_nowhere_and_an_answer_is_the_same_answer():
    dialect = Dialect(token_limit="max_tokens", left_out=frozenset({"detail", "temperature", "system", "seed"}))
    found = body(dialect)
    assert found["max_tokens"] == 300
    assert not {"max_completion_tokens", "temperature", "seed"} & set(found)
    (user,) = found["messages"]
    assert user["content"][0]["text"].startswith("You look at one photo") and "Is it day?" in user["content"][0]["text"]
    assert user["content"][1]["image_url"] == {"url": "data:,"}
    assert answer_key("a", replace(SETTINGS, dialect=dialect), LIGHT) == answer_key("a", SETTINGS, LIGHT)

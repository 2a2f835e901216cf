"""What is sent to the model about one image, and the key under which its answer is remembered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pixelbrain.asking.cost.prices import find_price
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.request.dialect import speak
from pixelbrain.asking.settings import AskSettings
from pixelbrain.errors import ConfigError

#: Said before every question. It is part of an answer's key: other words, other answers.
SYSTEM_PROMPT = (
    "You look at one photo and answer questions about it, from what can be seen in it alone. "
    "Answer every question, each in the property of the JSON object that has its name."
)

#: Fields of the body that are ours, and cannot be given as further parameters.
RESERVED = frozenset({"model", "messages", "response_format", "max_completion_tokens", "max_tokens", "n", "stream"})


def sent_parameters(settings: AskSettings) -> dict[str, Any]:
    """The parameters that go with every request: the temperature, and the settings' own, which win.

    Reasoning models of our table get no temperature: they refuse every request that names one.
    """
    parameters = dict(settings.parameters)
    if settings.temperature is not None and not _reasons(settings.model):
        parameters.setdefault("temperature", float(settings.temperature))  # 0 and 0.0 are one key
    return parameters


def _reasons(model: str) -> bool:
    try:
        return find_price(model).reasoning
    except ConfigError:  # a model that only the config prices, or another server's: asked as it was told
        return False


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that are settings of their own, or would change what comes back. Raises `ConfigError`."""
    if taken := sorted(RESERVED & set(parameters)):
        raise ConfigError(f"parameters: {taken[0]} cannot be given there; it follows from the other settings")


def build_body(
    settings: AskSettings, questions: Sequence[Question], image_url: str, *, max_output_tokens: int | None = None
) -> dict[str, Any]:
    """The JSON body of `POST /v1/chat/completions` that asks `questions` about one image, in the settings' dialect.

    What is the same in all requests comes first, and the image last, as a data URL or one that the server can fetch:
    servers price repeated beginnings lower. `max_output_tokens` replaces the settings', as after a truncated answer.
    """
    check_parameters(settings.parameters)
    body = {
        "model": settings.model,
        "messages": [
            {"role": "system", "content": SYSTEM_PROMPT},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": questions_text(questions)},
                    {"type": "image_url", "image_url": {"url": image_url, "detail": settings.detail}},
                ],
            },
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answers", "strict": True, "schema": answers_schema(questions)},
        },
        "max_completion_tokens": max_output_tokens or settings.max_output_tokens,
        **sent_parameters(settings),
    }
    return speak(body, settings.dialect)


def questions_text(questions: Sequence[Question]) -> str:
    """The questions as the model reads them, a line each."""
    return "\n".join(f"{question.field}: {question.text.strip()}" for question in questions)


def answers_schema(questions: Sequence[Question]) -> dict[str, Any]:
    """The JSON schema of a reply: one object with an answer a question."""
    return {
        "type": "object",
        "properties": {question.field: question.answer.json_schema() for question in questions},
        "required": [question.field for question in questions],
        "additionalProperties": False,
    }


def answer_key(sent_sha256: str, settings: AskSettings, question: Question) -> str:
    """Under which an answer is remembered: equal exactly when the model would be asked the same again.

    Neither the field's name nor the limit of output tokens is in it: they do not change a complete answer. Nor is
    the server, or its dialect: the same model behind another address is the same model, asked in other words.

    It is 64 hex digits; `sent_sha256` is of the JPEG that is sent, or of the original's bytes with `image_urls`.
    """
    asked = {
        "image": sent_sha256,
        "model": settings.model,
        "prompt": SYSTEM_PROMPT,
        "question": question.text.strip(),
        "schema": question.answer.json_schema(),
        "detail": settings.detail,
        "parameters": sent_parameters(settings),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def question_hash(settings: AskSettings, question: Question) -> str:
    """12 hex digits that change when what is asked, of whom, or how, does."""
    return answer_key("", settings, question)[:12]

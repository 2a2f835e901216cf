"""What is sent to the model about one image, what it may cost, and how its reply becomes answers."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pixelbrain.asking.cost.prices import ModelPrice, cost_usd, find_price, image_tokens, text_tokens
from pixelbrain.asking.questions.answer_types import AnswerType, InvalidAnswerError
from pixelbrain.asking.questions.question import AskSettings, Question
from pixelbrain.asking.questions.schemas import shown
from pixelbrain.errors import ConfigError

__all__ = [
    "Estimate",
    "answer_key",
    "build_body",
    "check_parameters",
    "elide_image",
    "estimate",
    "parse_answers",
    "question_hash",
    "sent_parameters",
]

#: Said before every question. It is part of an answer's key: other words, other answers.
SYSTEM_PROMPT = (
    "You look at one photo and answer questions about it, from what can be seen in it alone. "
    "Answer every question, each in the property of the JSON object that has its name."
)

#: Fields of the body that are ours, and cannot be given as further parameters.
RESERVED = frozenset({"model", "messages", "response_format", "max_completion_tokens", "max_tokens", "n", "stream"})

#: Around the texts of a request: 3 tokens a message and 3 for the reply (OpenAI cookbook, "How to count tokens with
#: tiktoken"), and what comes with an image and a schema, which nobody documents: users were billed 8 to 12 tokens
#: on top of the image for a question of a few words (https://community.openai.com/t/1281361). The rest is room.
OVERHEAD_TOKENS = 32

#: Tokens that an answer usually takes, without its name: guesses for the expected price; the price at most uses none.
_USUAL_TOKENS = {"text": 60, "bool": 1, "int": 2, "float": 4, "tags": 40}


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
    """The JSON body of `POST /v1/chat/completions` that asks `questions` about one image.

    What is the same in all requests comes first, and the image last: servers price repeated beginnings lower.

    Args:
        image_url: a data URL, or one that the server can fetch.
        max_output_tokens: instead of the settings', as after a truncated answer.
    """
    check_parameters(settings.parameters)
    return {
        "model": settings.model,
        "messages": [
            {"role": "system", "content": SYSTEM_PROMPT},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": _questions_text(questions)},
                    {"type": "image_url", "image_url": {"url": image_url, "detail": settings.detail}},
                ],
            },
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answers", "strict": True, "schema": _answers_schema(questions)},
        },
        "max_completion_tokens": max_output_tokens or settings.max_output_tokens,
        **sent_parameters(settings),
    }


def _questions_text(questions: Sequence[Question]) -> str:
    return "\n".join(f"{question.field}: {question.text.strip()}" for question in questions)


def _answers_schema(questions: Sequence[Question]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {question.field: question.answer.json_schema() for question in questions},
        "required": [question.field for question in questions],
        "additionalProperties": False,
    }


def elide_image(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body without the image's bytes, and without the signature of a presigned URL, for showing and for logs."""
    shown_body = copy.deepcopy(dict(body))
    for message in shown_body["messages"]:
        for part in message["content"] if isinstance(message["content"], list) else []:
            if part.get("type") == "image_url":
                part["image_url"]["url"] = _elided(part["image_url"]["url"])
    return shown_body


def _elided(url: str) -> str:
    if url.startswith("data:"):
        head, _, encoded = url.partition(",")
        return f"{head},... ({len(encoded):,} characters)" if encoded else url
    address, question_mark, _signature = url.partition("?")
    return f"{address}?..." if question_mark else url


def answer_key(sent_sha256: str, settings: AskSettings, question: Question) -> str:
    """Under which an answer is remembered: equal exactly when the model would be asked the same again.

    Neither the field's name nor the limit of output tokens is in it: they do not change a complete answer. Nor is
    the server: the same model behind another address is the same model.

    Args:
        sent_sha256: of the JPEG that is sent, or of the original's bytes with `image_urls`.

    Returns:
        64 hex digits.
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


# --- what it costs ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What one request takes, before it is sent."""

    input_tokens: int  # an upper estimate: the texts' tokens are not counted with the model's own tokenizer
    output_tokens_max: int
    output_tokens_expected: int
    cost_usd_max: Decimal  # what a budget reserves
    cost_usd_expected: Decimal


def estimate(
    settings: AskSettings,
    price: ModelPrice,
    width: int,
    height: int,
    *,
    questions: Sequence[Question] | None = None,
    max_output_tokens: int | None = None,
    batch: bool = False,
) -> Estimate:
    """What a request about an image of this size takes.

    Args:
        width, height: pixels of the upright original.
        questions: instead of all of the settings', as when some are answered already.
        max_output_tokens: instead of the settings', as after a truncated answer.
        batch: at the Batch API's price.
    """
    questions = settings.questions if questions is None else questions
    schema = json.dumps(_answers_schema(questions), separators=(",", ":"))
    texts = sum(map(text_tokens, (SYSTEM_PROMPT, _questions_text(questions), schema)))
    image = image_tokens(price, width, height, settings.detail, reduced=not settings.image_urls)
    most = max_output_tokens or settings.max_output_tokens
    usual = 4 + sum(_usual_tokens(question) for question in questions)
    expected = most if price.reasoning else min(most, usual)  # how long a model thinks, nobody knows
    input_tokens = image + texts + OVERHEAD_TOKENS
    return Estimate(
        input_tokens=input_tokens,
        output_tokens_max=most,
        output_tokens_expected=expected,
        cost_usd_max=cost_usd(price, input_tokens, most, batch),
        cost_usd_expected=cost_usd(price, input_tokens, expected, batch),
    )


def _usual_tokens(question: Question) -> int:
    """Of an answer with its name and the JSON around it."""
    return 3 + math.ceil(len(question.field) / 4) + _usual_value_tokens(question.answer)


def _usual_value_tokens(answer: AnswerType) -> int:
    if answer.kind == "choice":
        return max(text_tokens(choice) for choice in answer.choices)
    if answer.kind == "schema":
        return text_tokens(answer.schema)  # an answer spells its names too, and a value takes about what its type does
    return _USUAL_TOKENS[answer.kind]


# --- what comes back --------------------------------------------------------------------------------------------------

_FENCED = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL)


def parse_answers(content: str, questions: Sequence[Question]) -> dict[str, Any]:
    """The answers in a reply, by field.

    Args:
        content: the message's text: a JSON object, as the schema asked for it; servers that do not follow schemas
            may put it in a code fence.

    Raises:
        InvalidAnswerError: no JSON object, or an answer that is missing or of another type; its `answers` holds
            those that are valid.
    """
    fenced = _FENCED.fullmatch(content)
    try:
        found = json.loads(fenced[1] if fenced else content)
    except (ValueError, RecursionError) as error:
        raise InvalidAnswerError(f"the reply is not JSON ({error}): {shown(content)}") from None
    if not isinstance(found, dict):
        raise InvalidAnswerError(f"the reply is {shown(found)}, and not a JSON object")
    answers: dict[str, Any] = {}
    wrong: list[str] = []
    for question in questions:
        if question.field not in found:
            wrong.append(f"{question.field} is missing")
            continue
        try:
            answers[question.field] = question.answer.parse(found[question.field])
        except InvalidAnswerError as error:
            wrong.append(f"{question.field}: {error}")
    if wrong:
        raise InvalidAnswerError("; ".join(wrong), answers)
    return answers

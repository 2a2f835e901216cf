"""What comes back: a chat completion, read once for asking at once and by batch alike."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pixelbrain.asking.answer_records import Outcome, Spent
from pixelbrain.asking.cost.prices import ModelPrice, cost_usd
from pixelbrain.asking.questions.answer_types import InvalidAnswerError
from pixelbrain.asking.questions.question import AnswerStatus, Question
from pixelbrain.asking.questions.schemas import shown

#: A truncated answer is asked for again with so many times the tokens.
MORE_ROOM = 4


class GarbledReplyError(ValueError):
    """A response that should be a chat completion is none."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a server answered to one request."""

    content: str  # empty when refused
    refusal: str | None  # the model's own words
    finish_reason: str  # stop, length, content_filter, ...
    model: str  # that answered: a dated snapshot, where the server says
    input_tokens: int | None  # billed; None: the server does not say
    output_tokens: int | None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def paid(self, price: ModelPrice, at_most: Spent, *, batch: bool = False) -> Spent:
        """As billed; where a server does not say all of it, the most that it can be."""
        if self.input_tokens is None or self.output_tokens is None:
            return at_most
        usd = cost_usd(price, self.input_tokens, self.output_tokens, batch)
        return Spent(self.input_tokens, self.output_tokens, usd)

    def outcome(self, questions: Sequence[Question]) -> Outcome:
        """What it means: answers, a refusal, or (of type "Truncated" or "InvalidAnswer") nothing that can be used."""
        if self.refusal is not None or self.finish_reason == "content_filter":
            return Outcome(
                status=AnswerStatus.REFUSED,
                raw=self.refusal or self.content or None,
                error_type="ContentFilter" if self.refusal is None else "Refused",
                error=self.refusal or "a content filter stopped the answer",
                model=self.model,
            )
        try:
            return Outcome(status=AnswerStatus.OK, answers=parse_answers(self.content, questions), model=self.model)
        except InvalidAnswerError as error:
            truncated = self.finish_reason == "length"
            return Outcome(
                status=AnswerStatus.INVALID,
                answers=error.answers,
                raw=self.content,
                error_type="Truncated" if truncated else "InvalidAnswer",
                error=f"the answer was cut off at {self.output_tokens} tokens" if truncated else str(error),
                model=self.model,
            )


def read_reply(body: Any, *, model: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Read the JSON body of a chat completion.

    An empty refusal is none: servers that know no refusals write one beside their answers.

    Args:
        model: that was asked, should the body name none.

    Raises:
        GarbledReplyError: it is no chat completion.
    """
    try:
        choice = body["choices"][0]
        message = choice["message"]
        usage = body.get("usage")
        usage = usage if isinstance(usage, Mapping) else {}
        content, refusal = message.get("content"), message.get("refusal")
        if not isinstance(content, (str, type(None))) or not isinstance(refusal, (str, type(None))):
            raise TypeError("content or refusal is no text")
        return Reply(
            content=content or "",
            refusal=refusal or None,
            finish_reason=str(choice.get("finish_reason") or "stop"),
            model=str(body.get("model") or model),
            input_tokens=_count(usage.get("prompt_tokens")),
            output_tokens=_count(usage.get("completion_tokens")),
            headers=headers or {},
        )
    except (LookupError, TypeError, AttributeError) as error:
        raise GarbledReplyError(f"not a chat completion ({type(error).__name__})") from None


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


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

"""What comes back: a chat completion, read once for asking at once and by batch alike."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pixelbrain.asking.answer_records import Outcome, Spent
from pixelbrain.asking.cost.prices import ModelPrice, cost_usd
from pixelbrain.asking.questions.answer_types import InvalidAnswerError
from pixelbrain.asking.questions.question import AnswerStatus, Question
from pixelbrain.asking.request.failures import words
from pixelbrain.asking.request.found_json import find_object, without_thoughts
from pixelbrain.shown import shown

#: A truncated answer is asked for again with so many times the tokens.
MORE_ROOM = 4
_MOST_TOKENS = 2**31  # of one request: beyond, a server's count is none

#: What servers call the two ends of an answer that matter; all others are as if it had just ended.
_CUT_OFF = {"length", "max_tokens", "max_output_tokens", "max_completion_tokens", "model_length", "token_limit"}
_FILTERED = {"content_filter", "content-filter", "safety", "prohibited_content", "blocklist", "recitation", "spii"}


class GarbledReplyError(ValueError):
    """A response that should be a chat completion is none."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a server answered to one request."""

    content: str  # empty when refused
    refusal: str | None  # the model's own words
    finish_reason: str  # length, content_filter, or another word for its end
    model: str  # that answered: a dated snapshot, where the server says
    input_tokens: int | None  # billed; None: the server does not say
    output_tokens: int | None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def says_usage(self) -> bool:
        """Whether the server says how many tokens it took; else `paid` counts the most that it can be."""
        return self.input_tokens is not None and self.output_tokens is not None

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
                error=self._cut_off() if truncated else str(error),
                model=self.model,
            )

    @property
    def cut_off_in_thought(self) -> bool:
        """Whether a model that thinks first has spent all of its tokens on that."""
        answer = without_thoughts(self.content).strip()
        return self.finish_reason == "length" and (not answer or answer.startswith("<"))

    def _cut_off(self) -> str:
        tokens = "the last" if self.output_tokens is None else f"{self.output_tokens}"
        if "{" in self.content and not self.cut_off_in_thought:
            return f"the answer was cut off at {tokens} tokens: raise --max-output-tokens"
        return (
            f"the model was cut off at {tokens} tokens before it began to answer, as models that think first are: "
            "raise --max-output-tokens, or let it think less (parameters: {reasoning_effort: low})"
        )


def read_body(content: bytes) -> Any:
    """The JSON of a response; of a stream, which some servers send unasked, the completion that its events add up to.

    Raises:
        ValueError, RecursionError: it is neither.
    """
    text = content.decode("utf-8-sig", "replace").strip()
    if not re.match(r"(?:data|event|id|retry)?:", text):
        return json.loads(text)
    events = [json.loads(data) for line in text.splitlines() if (data := _event(line))]
    whole = next((one for one in events if error_in(one) or _first(one.get("choices")).get("message")), None)
    return whole or _added_up([one for one in events if isinstance(one, Mapping)])


def _event(line: str) -> str:
    name, _, data = line.partition(":")
    return data.strip() if name == "data" and data.strip() != "[DONE]" else ""


def _added_up(events: list[Mapping[str, Any]]) -> dict[str, Any]:
    """A completion of its chunks: their texts in one, and the last that is said of anything else."""
    message: dict[str, str] = {}
    found: dict[str, Any] = {}
    finish_reason = None
    for one in events:
        choice = _first(one.get("choices"))
        for name, value in (choice.get("delta") or {}).items():
            if isinstance(value, str):
                message[name] = value if name == "role" else message.get(name, "") + value
        finish_reason = choice.get("finish_reason") or finish_reason
        found.update({name: value for name, value in one.items() if value and name != "choices"})
    return {**found, "choices": [{"message": message, "finish_reason": finish_reason}] if message else []}


def error_in(body: Any) -> tuple[int, Any] | None:
    """The error that a response holds though its status says 200, as gateways pass on what they got too late.

    Returns:
        The status that it stands for, and the error as `classify_response` takes it; None: there is none.
    """
    body = _first(body) or body
    if not isinstance(body, Mapping):
        return None
    error = body.get("error") or _first(body.get("choices")).get("error")
    if body.get("object") == "error" or (error in (None, True) and _is_but_words(body)):
        error = body  # of servers that have their own form for it
    if isinstance(error, str):
        error = {"message": error}
    said = [error.get(name) for name in ("code", "status", "type")] if isinstance(error, Mapping) else []
    if not any(said) and not (isinstance(error, Mapping) and words(error)):
        return None
    numbers = [int(str(one)) for one in said if str(one).isdecimal()]
    named = " ".join(map(str, said if any(isinstance(one, str) for one in said) else [words(error)]))
    named = re.sub(r"\W+", "_", named.lower())
    statuses = (status for name, status in _STATUS_OF.items() if name in named)
    return next((one for one in numbers if 400 <= one < 600), None) or next(statuses, 500), error


def _is_but_words(body: Mapping[str, Any]) -> bool:
    """Whether a body says something, and holds nothing."""
    holds = "choices" in body or any(value and isinstance(value, Mapping) for value in body.values())
    told = ("errors", "detail", "message", "msg", "error_msg", "error_message")
    return not holds and any(value and isinstance(value, str | list) for value in map(body.get, told))


def _first(values: Any) -> Mapping[str, Any]:
    """The first of a list of objects."""
    return values[0] if isinstance(values, list) and values and isinstance(values[0], Mapping) else {}


#: The status that an error without a number has elsewhere, by a part of its code or type.
_STATUS_OF = {
    "rate_limit": 429, "too_many": 429, "quota": 429, "api_key": 401, "authenticat": 401, "unauthorized": 401,
    "permission": 403,
    "not_found": 404, "invalid": 400, "unsupported": 400, "context_length": 400, "content_filter": 400,
    "content_policy": 400,
}  # fmt: skip


def read_reply(body: Any, *, model: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Read the JSON body of a chat completion.

    An empty refusal is none: servers that know no refusals write one beside their answers. What a model thought is
    its answer where it says nothing else, and so are the arguments of a tool that it calls instead of answering. Where
    the body names no model, it is the one that was asked.

    Raises:
        GarbledReplyError: it is no chat completion.
    """
    try:
        choice = body["choices"][0]
        message = choice["message"]
        usage = body.get("usage")
        usage = usage if isinstance(usage, Mapping) else {}
        said, refusal = message.get("content"), _text(message.get("refusal"))
        content = _text(said)
        if isinstance(said, list):
            refusal = refusal or _text([part for part in said if isinstance(part, Mapping)], "refusal")
        finish_reason = str(choice.get("finish_reason") or "stop").lower()
        finish_reason = "length" if finish_reason in _CUT_OFF else finish_reason
        content = content if content.strip() else _called(message) or content
        if not content.strip() and finish_reason != "length":  # what is thought of an answer before its end is none
            content = next(
                (text for name in ("reasoning_content", "reasoning") if (text := _text(message.get(name)))), content
            )
        output_tokens = _count(usage, "completion_tokens", "output_tokens")
        return Reply(
            content=content,
            refusal=refusal or None,
            finish_reason="content_filter" if finish_reason in _FILTERED else finish_reason,
            model=str(body.get("model") or model),
            input_tokens=_count(usage, "prompt_tokens", "input_tokens") or None,  # a request without tokens is none
            output_tokens=None if output_tokens == 0 and content else output_tokens,
            headers=headers or {},
        )
    except (LookupError, TypeError, AttributeError) as error:
        raise GarbledReplyError(f"not a chat completion ({type(error).__name__})") from None


def _text(content: Any, kind: str = "text") -> str:
    """A message's text, whole or in parts; other kinds of parts, as of a model's thoughts, are left out."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, Mapping):
        if "type" not in content:  # the answer itself, decoded too early
            return json.dumps(content)
        content = [content]
    parts = [{kind: part} if isinstance(part, str) else part for part in content if part]
    return "".join(str(part.get(kind) or "") for part in parts if kind in str(part.get("type") or kind))


def _called(message: Mapping[str, Any]) -> str:
    """The arguments of the tool that a message calls, which are the answer to the schema that it was given."""
    call = next(iter(message.get("tool_calls") or ()), None) or {"function": message.get("function_call")}
    arguments = (call.get("function") or {}).get("arguments") or ""
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _count(usage: Mapping[str, Any], *names: str) -> int | None:
    """A count of tokens by the first of these names that has one, of a size that there may be."""
    for name in names:
        value: Any = usage.get(name)
        with contextlib.suppress(ValueError, OverflowError, TypeError):
            if not isinstance(value, bool) and 0 <= (count := int(value)) < _MOST_TOKENS:
                return count
    return None


def parse_answers(content: str, questions: Sequence[Question]) -> dict[str, Any]:
    """The answers in a reply's text, by field; the JSON object is looked for in it by `find_object`.

    Raises:
        InvalidAnswerError: no JSON object, or an answer that is missing or of another type; its `answers` holds
            those that are valid.
    """
    try:
        found = find_object(content, lambda one: len(_check(one, questions)[1]))
    except ValueError as error:
        raise InvalidAnswerError(f"the reply is not JSON ({error}): {shown(content)}") from None
    if not isinstance(found, dict):
        raise InvalidAnswerError(f"the reply is {shown(found)}, and not a JSON object")
    answers, wrong = _check(found, questions)
    if wrong:
        raise InvalidAnswerError("; ".join(wrong), answers)
    return answers


def _check(found: Mapping[str, Any], questions: Sequence[Question]) -> tuple[dict[str, Any], list[str]]:
    """The valid answers in an object by field, and what is wrong with the others."""
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
    return answers, wrong

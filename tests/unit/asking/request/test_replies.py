"""What comes back, read the same for asking at once and by batch."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from pixelbrain.asking.answer_records import Spent
from pixelbrain.asking.cost.prices import cost_usd, find_price
from pixelbrain.asking.questions.answer_types import InvalidAnswerError, answer_type
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.request.failures import classify_response
from pixelbrain.asking.request.replies import (
    GarbledReplyError,
    Reply,
    error_in,
    parse_answers,
    read_body,
    read_reply,
)

PERSON = Question(field="is_person", text="Is anybody there?", answer=answer_type("bool"))
LIGHT = Question(field="light", text="Which light?", answer=answer_type("choice:day,night"))
PRICE = find_price("gpt-4o")


GOOD = '{"is_person": true, "light": "night"}'
AT_MOST = Spent(1000, 300, Decimal(1))


def completion(content: str | None = GOOD, finish_reason: str | None = "stop", **more: Any) -> dict[str, Any]:
    message = {"content": content, "refusal": more.pop("refusal", None)}
    return {
        "model": "gpt-4o-2024-08-06",
        "choices": [{"message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
        **more,
    }


def outcome(body: dict[str, Any]) -> tuple[str, str | None, str | None]:
    found = read_reply(body, model="gpt-4o").outcome([PERSON, LIGHT])
    return str(found.status), found.error_type, found.raw


def test_an_answer_is_read_with_its_model_and_cost() -> None:
    reply = read_reply(completion(), model="gpt-4o", headers={"x": "y"})
    found = reply.outcome([PERSON, LIGHT])
    assert found.answers == {"is_person": True, "light": "night"} and found.model == "gpt-4o-2024-08-06"
    assert reply.headers == {"x": "y"}
    assert reply.paid(PRICE, AT_MOST) == Spent(100, 10, cost_usd(PRICE, 100, 10))
    assert reply.paid(PRICE, AT_MOST, batch=True).usd == cost_usd(PRICE, 100, 10) / 2


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (completion(refusal=""), ("ok", None, None)),  # as servers write it that know no refusals
        (completion("", refusal="I will not."), ("refused", "Refused", "I will not.")),
        (completion(None, "content_filter"), ("refused", "ContentFilter", None)),
        (completion("Some w", "content_filter"), ("refused", "ContentFilter", "Some w")),
        (completion('{"is_person": tr', "length"), ("invalid", "Truncated", '{"is_person": tr')),
        (completion(GOOD, "length"), ("ok", None, None)),
        (completion("Yes."), ("invalid", "InvalidAnswer", "Yes.")),
        (completion(None, None), ("invalid", "InvalidAnswer", "")),
        (completion([{"type": "refusal", "refusal": "I will not."}]), ("refused", "Refused", "I will not.")),
        (completion("Some w", "SAFETY"), ("refused", "ContentFilter", "Some w")),
        (completion('{"is_person": tr', "MAX_TOKENS"), ("invalid", "Truncated", '{"is_person": tr')),
        (completion(GOOD, 7), ("ok", None, None)),
        (completion(GOOD, "eos"), ("ok", None, None)),
    ],
)
def test_what_a_reply_means(body: dict[str, Any], found: tuple[str, str | None, str | None]) -> None:
    assert outcome(body) == found


@pytest.mark.parametrize(
    "usage",
    [None, [], {}, {"prompt_tokens": 3}, {"prompt_tokens": "many", "completion_tokens": 1}]
    + [{"prompt_tokens": 0, "completion_tokens": 9}, {"prompt_tokens": 9, "completion_tokens": 0}]
    + [{"prompt_tokens": 9, "completion_tokens": -1}, {"prompt_tokens": 10**30, "completion_tokens": 1}]
    + [{"prompt_tokens": float("nan"), "completion_tokens": 1}, {"prompt_tokens": 9, "completion_tokens": True}],
)
def test_what_a_server_does_not_say_counts_as_the_most(usage: Any) -> None:
    reply = read_reply(completion(usage=usage), model="m")
    assert reply.paid(PRICE, AT_MOST) == AT_MOST and not reply.says_usage
    assert read_reply(completion(), model="m").says_usage
    said = read_reply(completion(usage={"prompt_tokens": "100", "completion_tokens": 10.0}), model="m")
    assert said.paid(PRICE, AT_MOST) == Spent(100, 10, cost_usd(PRICE, 100, 10))


@pytest.mark.parametrize(
    "message",
    [
        {"content": [{"type": "thinking", "thinking": [{"text": "{}"}]}, {"type": "text", "text": GOOD}]},
        {"content": [GOOD[:9], {"type": "output_text", "text": GOOD[9:]}]},
        {"content": {"is_person": True, "light": "night"}},
        {"content": None, "reasoning_content": f"Let me see. {GOOD}"},
        {"content": "", "reasoning": GOOD},
        {"content": "\n\n", "reasoning_content": GOOD},
        {"content": " ", "tool_calls": [{"function": {"name": "answers", "arguments": GOOD}}]},
        {"content": [None, {"type": "text", "text": GOOD}]},
        {"content": None, "tool_calls": [{"type": "function", "function": {"name": "answers", "arguments": GOOD}}]},
        {"content": None, "tool_calls": [], "function_call": {"name": "answers", "arguments": json.loads(GOOD)}},
        {"content": GOOD, "reasoning_content": "It is day.", "tool_calls": None},
    ],
)  # fmt: skip
def test_an_answer_is_found_wherever_a_server_puts_it(message: dict[str, Any]) -> None:
    reply = read_reply({"choices": [{"message": message}], "usage": None}, model="m")
    assert reply.outcome([PERSON, LIGHT]).answers == {"is_person": True, "light": "night"}


def _stream(*events: Any, end: str = "\n\n") -> bytes:
    return "".join(f": at work{end}event: chunk{end[0]}data: {json.dumps(one)}{end}" for one in events).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + json.dumps(completion()).encode(),
        json.dumps(completion() | {"by": "caf\u00e9"}, ensure_ascii=False).encode("latin-1"),
        _stream(completion()) + b"data: [DONE]\n\n",
        _stream(
            {"choices": [{"delta": {"role": "assistant", "content": None}}], "usage": None},
            {"model": "gpt-4o-2024-08-06", "choices": [{"delta": {"content": GOOD[:9]}}]},
            {"choices": [{"delta": {"content": GOOD[9:]}}]},
            {"choices": [{"delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10}},
            end="\r\n\r\n",
        ),
    ],
    ids=["mark", "latin", "event", "stream"],
)  # fmt: skip
def test_a_response_is_read_in_other_wrappings(content: bytes) -> None:
    reply = read_reply(read_body(content), model="m")
    assert reply.outcome([PERSON, LIGHT]).answers == {"is_person": True, "light": "night"}
    assert (reply.input_tokens, reply.output_tokens, reply.finish_reason) == (100, 10, "stop")
    assert reply.model == "gpt-4o-2024-08-06"


def test_a_stream_that_breaks_off_is_its_error_or_no_answer() -> None:
    started = {"choices": [{"delta": {"content": GOOD[:9]}}]}
    assert error_in(read_body(_stream(started, {"error": {"code": 502, "message": "x"}}))) == (
        502, {"code": 502, "message": "x"},
    )  # fmt: skip
    with pytest.raises(GarbledReplyError):
        read_reply(read_body(b"data: [DONE]"), model="m")
    with pytest.raises(ValueError, match="line 1"):
        read_body(_stream(started)[:-9])


@pytest.mark.parametrize("content", [None, "", "<think>Is it {", "<think>It is {}</think>"])
def test_a_model_that_only_thought_is_said_to_need_more_room(content: str | None) -> None:
    body = completion(content, "length")
    body["choices"][0]["message"]["reasoning_content"] = GOOD  # not what it would have come to in the end
    found = read_reply(body, model="gpt-5").outcome([PERSON, LIGHT])
    assert found.error_type == "Truncated" and not found.answers
    assert found.error is not None and "before it began to answer" in found.error
    assert "--max-output-tokens" in found.error and "reasoning_effort" in found.error


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"error": {"code": 429, "message": "slow down"}}, 429, "RateLimited"),
        ({"error": {"code": "502", "message": "Provider returned error"}, "user_id": "u"}, 502, "ServerError"),
        ({"error": {"type": "rate_limit_exceeded", "message": "slow down"}}, 429, "RateLimited"),
        ({"error": {"type": "invalid_request_error", "message": "no such thing"}}, 400, "BadRequest"),
        ({"error": "model runner has unexpectedly stopped"}, 500, "ServerError"),
        ({"object": "error", "message": "oops", "type": "BadRequestError", "code": 400}, 400, "BadRequest"),
        ([{"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}], 503, "ServerError"),
        ({"choices": [{"finish_reason": "error", "error": {"code": 502, "message": "x"}}]}, 502, "ServerError"),
        ({"error": True, "message": "Rate limit reached"}, 429, "RateLimited"),
        ({"code": 1214, "msg": "invalid messages", "data": None}, 400, "BadRequest"),
        ({"success": False, "errors": [{"code": 7, "message": "the queue is full"}]}, 500, "ServerError"),
        ({"detail": [{"loc": ["body", "model"], "msg": "Field required"}]}, 500, "ServerError"),
    ],
)
def test_an_error_that_comes_as_a_success_is_that_error(body: Any, status: int, kind: str) -> None:
    found = error_in(body)
    assert found is not None and found[0] == status
    error = classify_response(*found, {}, model="m")
    assert getattr(error, "error_type", None) == kind


@pytest.mark.parametrize("error", [None, {}, "", {"message": "", "code": 0}, {"message": None, "code": None}])
def test_an_error_without_content_is_none(error: Any) -> None:
    assert error_in(completion(error=error)) is None
    assert error_in({"code": 0, "message": "success", "data": completion()}) is None  # it may well be an answer


@pytest.mark.parametrize(
    "body",
    [None, [], "text", {}, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": {"content": [1]}}]},
     {"choices": [{"message": {"content": "", "refusal": 3}}]}],
)  # fmt: skip
def test_what_is_no_completion_is_garbled(body: Any) -> None:
    with pytest.raises(GarbledReplyError, match="not a chat completion"):
        read_reply(body, model="m")


def test_a_body_without_a_model_is_of_the_model_that_was_asked() -> None:
    reply: Reply = read_reply(completion(model=None), model="llava")
    assert reply.model == "llava"


@pytest.mark.parametrize(
    "content",
    [
        '{"is_person": true, "light": "night"}',
        '```json\n{"is_person": true, "light": "night"}\n```',
        ' {"light": "NIGHT", "is_person": true, "more": 1} ',
        f"<think>Perhaps {{}}, or {GOOD.replace('night', 'day')}.</think>\n{GOOD}",
        f"so it is day. {GOOD.replace('night', 'day')}</think>{GOOD}",
        f"<think>It is dark, so {GOOD}",
        f"Sure! Here it is:\n```json\n{GOOD}\n```\nDoes this {{help}}?",
        f'Of the form {{"is_person": ..., "light": ...}}: {GOOD} and not {{"light": "noon"}}.',
        f'{{"is_person": false, "light": "day"}} - no, wait: {GOOD}',
        f'{{"answers": {GOOD}}}',
        f'{{"result": {{"answers": [{GOOD}]}}}}',
        f"[{GOOD}]",
        json.dumps(GOOD),
        # what is not JSON, and can mean but one thing
        '{"is_person": true, "light": "night",}',
        '```json5\n{\n  is_person: true, // it isn\'t day\n  "light": "night", // dark\n}\n```',
        "```python\nanswer = {'is_person': True, 'light': 'night', 'why': 'it\\'s // dark, }'}\n```",
        '{"why": "two\nlines", "is_person": true, "light": "night"}',
        f"<think>{{'is_person': None}}</think>{GOOD[:-1]},}}",
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
        pytest.param("[" * 100_000, "not JSON", {}, id="brackets"),
        ("[true]", "not a JSON object", {}),
        pytest.param("{" * 100_000, "not JSON", {}, id="braces"),
        pytest.param('{"a":' * 100_000, "not JSON", {}, id="nested"),
        pytest.param("{" + "'\\" * 50_000 + "// , " * 50_000, "not JSON", {}, id="loose"),
        ('{"is_person": True False, "light": night}', "not JSON", {}),
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

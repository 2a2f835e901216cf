"""The fake is as strict as the API, exact in its limits and its bill, and speaks to the real SDK."""

from __future__ import annotations

import asyncio
import base64
import copy
import hashlib
import json
import re
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

from tests.fake_openai.answers import expected_answer
from tests.fake_openai.running import FakeOpenAI
from tests.integration.asking.conftest import SCHEMA, plain_image, request_body

RED, BLUE = (200, 10, 10), (10, 10, 200)


def _schema(**changes: Any) -> dict[str, Any]:
    schema = {**copy.deepcopy(SCHEMA), **changes}
    return {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": schema}}


def _content(url: str, **image: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url, **image}}]}]


def _data_url(data: bytes, mime: str = "image/jpeg") -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def test_answers_come_from_the_pixels(fake: FakeOpenAI, ask: Callable[..., Any]) -> None:
    red, blue = plain_image(RED, (64, 48)), plain_image(BLUE, (30, 90))
    answers = [json.loads(ask(image).choices[0].message.content) for image in (red, blue)]
    assert answers == [expected_answer(red, SCHEMA), expected_answer(blue, SCHEMA)]
    assert answers[0]["is_red"] is True
    assert answers[0]["width_px"] == 64
    assert answers[0]["hue"] == "red"
    assert answers[0]["words"] == ["wide", "dark", "red"]
    assert answers[1]["is_red"] is False
    assert answers[1]["hue"] == "blue"
    assert re.fullmatch(r"30x90 mean \(\d+,\d+,\d+\)", answers[1]["seen"])


def test_the_bill_is_exact_and_the_log_tells_each_request(fake: FakeOpenAI, ask: Callable[..., Any]) -> None:
    image = plain_image(RED)
    replies = [ask(image), ask(image), ask(image, model="gpt-4o-2024-08-06")]
    assert [reply.model for reply in replies] == ["gpt-4o-mini-2024-07-18"] * 2 + ["gpt-4o-2024-08-06"]
    prompt, completion = replies[0].usage.prompt_tokens, replies[0].usage.completion_tokens
    assert prompt - replies[2].usage.prompt_tokens == 2833 - 85  # low detail's base tokens
    mini = (prompt * Decimal("0.15") + completion * Decimal("0.60")) / 1_000_000
    usage = replies[2].usage
    full = (usage.prompt_tokens * Decimal("2.50") + usage.completion_tokens * Decimal("10")) / 1_000_000
    stats, log = fake.stats(), fake.requests()
    assert Decimal(stats["billed_usd"]) == 2 * mini + full
    assert Decimal(stats["lost_usd"]) == 0
    assert (stats["answered"], stats["answered_distinct"], stats["answered_again"]) == (3, 2, 1)
    assert sorted(fake.answered().values()) == [1, 2]
    assert [entry["image"] for entry in log] == [hashlib.sha256(image).hexdigest()] * 3
    assert [Decimal(entry["billed"]) for entry in log] == [mini, mini, full]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra_body": {"colour": 1}}, "Unrecognized request argument"),
        ({"temperature": 3}, "temperature"),
        ({"n": 2}, "'n'"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_completion_tokens": 20_000}, "too large"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"model": "o4-mini"}, "temperature"),
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "robot"),
        ({"messages": [{"role": "user", "content": "x", "mood": "good"}]}, "messages[0].mood"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "url": "x"}]}]}, "Supported values"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]}, "expected an object"),
        ({"messages": [{**_content("x")[0], "role": "system"}]}, "only allowed for messages with role 'user'"),
        ({"messages": _content(_data_url(plain_image(RED)), detail="medium")}, "medium"),
        ({"messages": _content("data:image/jpeg;base64,???")}, "Invalid base64"),
        ({"messages": _content("data:text/plain;base64,aGk=")}, "MIME type"),
        ({"messages": _content(_data_url(plain_image(RED)[:-40]))}, "unsupported image"),
        ({"messages": _content(_data_url(plain_image(RED), "image/png"))}, "declared as image/png"),
        ({"messages": _content(_data_url(plain_image(RED, image_format="BMP"), "image/png"))}, "unsupported image"),
        ({"messages": _content("ftp://localhost/a.jpg")}, "Invalid image_url"),
        ({"messages": _content("https://example.com/a.jpg?secret")}, "loopback only"),
        ({"messages": _content("http://127.0.0.1:9/a.jpg?secret")}, "downloading http://127.0.0.1:9/a.jpg ("),
        ({"response_format": {"type": "json_object"}}, "the word 'json'"),
        ({"response_format": _schema(additionalProperties=True)}, "'additionalProperties' is required"),
        ({"response_format": _schema(required=["is_red"])}, "Missing 'grey'"),
        ({"response_format": _schema(type="array")}, "must be a JSON Schema of"),
        ({"response_format": _schema(properties={"a": {"type": "null", "default": 0}}, required=["a"])}, "'default'"),
        ({"response_format": _schema(properties={"a": {"type": "bool"}}, required=["a"])}, "not a valid type"),
        ({"response_format": _schema(properties={"a": {"type": "array"}}, required=["a"])}, "missing items"),
        ({"response_format": _schema(properties={"a": {"$ref": "#/$defs/b"}}, required=["a"])}, "can't be resolved"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused_and_not_billed(
    fake: FakeOpenAI, ask: Callable[..., Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(plain_image(RED), **changes)
    assert message in caught.value.body["message"]
    assert "secret" not in str(caught.value)
    assert Decimal(fake.stats()["billed_usd"]) == 0


def test_sizes_have_limits(fake: FakeOpenAI, ask: Callable[..., Any]) -> None:
    fake.control(max_image_mb=0.0005)
    with pytest.raises(openai.BadRequestError, match="Image is too large"):
        ask(plain_image(RED))


def test_a_wrong_key_an_unknown_model_and_an_unknown_address(fake: FakeOpenAI, ask: Callable[..., Any]) -> None:
    with openai.OpenAI(api_key="sk-wrong-key-0123456789", base_url=fake.base_url, max_retries=0) as wrong:
        with pytest.raises(openai.AuthenticationError) as caught:
            ask(plain_image(RED), client=wrong)
        assert caught.value.code == "invalid_api_key"
        assert "0123456789" not in str(caught.value)
        with pytest.raises(openai.AuthenticationError):
            wrong.batches.list()
    with pytest.raises(openai.NotFoundError) as missing:
        ask(plain_image(RED), model="gpt-9")
    assert missing.value.code == "model_not_found"
    assert httpx.get(f"{fake.base_url}/nothing", headers={"authorization": f"Bearer {fake.key}"}).status_code == 404
    assert fake.stats()["wrong_keys"] == 1


def test_a_request_beyond_the_limit_is_neither_answered_nor_billed(fake: FakeOpenAI) -> None:
    fake.control(rpm=300, window_s=2.0)  # 10 in any 2 seconds

    async def ask_many() -> list[Any]:
        async with openai.AsyncOpenAI(api_key=fake.key, base_url=fake.base_url, max_retries=0) as client:
            body = request_body(plain_image(RED))
            create = client.chat.completions.with_raw_response.create
            return await asyncio.gather(*(create(**body) for _ in range(25)), return_exceptions=True)

    replies = asyncio.run(ask_many())
    refused = [reply for reply in replies if isinstance(reply, openai.RateLimitError)]
    answered = [reply for reply in replies if not isinstance(reply, BaseException)]
    assert (len(answered), len(refused)) == (10, 15)
    assert min(int(reply.headers["x-ratelimit-remaining-requests"]) for reply in answered) == 0
    assert answered[0].headers["x-ratelimit-limit-requests"] == "300"
    assert {error.code for error in refused} == {"rate_limit_exceeded"}
    assert {error.type for error in refused} == {"requests"}
    wait_s = max(int(error.response.headers["retry-after-ms"]) for error in refused) / 1000
    assert 0 < wait_s <= 2.0
    assert int(refused[0].response.headers["retry-after"]) >= 1
    stats = fake.stats()
    assert (stats["answered"], stats["max_requests_per_window"], stats["max_requests_sent_per_window"]) == (10, 10, 25)
    time.sleep(wait_s)  # which is when the server said that there would be room

    with openai.OpenAI(api_key=fake.key, base_url=fake.base_url, max_retries=0) as client:
        assert client.chat.completions.create(**request_body(plain_image(RED))).choices


def test_tokens_have_their_limit_with_the_image_counted(fake: FakeOpenAI, ask: Callable[..., Any]) -> None:
    prompt = ask(plain_image(RED)).usage.prompt_tokens
    assert prompt > 2833
    fake.control(tpm=2 * prompt)
    ask(plain_image(RED))  # the one before was let in without a limit, and counts
    with pytest.raises(openai.RateLimitError) as caught:
        ask(plain_image(RED))
    assert caught.value.type == "tokens"
    assert caught.value.response.headers["x-ratelimit-remaining-tokens"] == "0"
    assert fake.stats()["max_tokens_per_window"] == 2 * prompt
    fake.control(tpm=prompt - 1, limit_retry_after=False)
    with pytest.raises(openai.RateLimitError, match="Request too large") as caught:
        ask(plain_image(RED))
    assert "retry-after" not in caught.value.response.headers


def test_images_behind_presigned_urls(fake: FakeOpenAI, ask: Callable[..., Any], s3: Any) -> None:
    image = plain_image(BLUE)
    s3.create_bucket(Bucket="presigned")
    s3.put_object(Bucket="presigned", Key="blue ü.jpg", Body=image)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "blue ü.jpg"})
    assert json.loads(ask(url).choices[0].message.content) == expected_answer(image, SCHEMA)
    assert fake.requests()[0]["image"] == hashlib.sha256(image).hexdigest()
    missing = s3.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "none.jpg"})
    with pytest.raises(openai.BadRequestError, match="status 404"):
        ask(missing)


def test_many_in_flight_wait_for_the_latency_together(fake: FakeOpenAI) -> None:
    fake.control(latency_ms=300)

    async def ask_many() -> int:
        async with openai.AsyncOpenAI(api_key=fake.key, base_url=fake.base_url, max_retries=0) as client:
            images = [plain_image((index, 0, 0)) for index in range(40)]
            replies = await asyncio.gather(*(client.chat.completions.create(**request_body(image)) for image in images))
            return len({reply.choices[0].message.content for reply in replies})

    assert asyncio.run(ask_many()) > 20  # neighbouring greys look alike after JPEG
    assert fake.stats()["in_flight_max"] > 10

"""What failed responses mean, how long is waited between tries, and that no key is repeated."""

from __future__ import annotations

from typing import Any

import pytest

from pixelbrain.asking.reasons import about_image
from pixelbrain.asking.request.failures import (
    Retry,
    RowFailed,
    StopJob,
    backoff_s,
    classify_response,
    error_of,
    mask_keys,
)

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"


def classify(status: int, body: Any = None, headers: dict[str, str] | None = None) -> Retry | RowFailed | StopJob:
    return classify_response(status, body, headers or {}, model="gpt-4o-mini", key=KEY)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_these_are_tried_again(status: int):
    found = classify(status, {"message": "not now"}, {"retry-after": "7"})
    assert isinstance(found, Retry)
    assert (found.after_s, found.everyone, found.maybe_billed) == (7.0, status == 429, False)


@pytest.mark.parametrize("status", [400, 403, 404, 413, 422])
def test_these_are_the_rows_failure(status: int):
    found = classify(status, {"message": "Invalid image.", "code": "invalid_image", "type": "invalid_request_error"})
    assert isinstance(found, RowFailed) and not found.refused
    assert str(found) == f"HTTP {status}: Invalid image."


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (429, {"code": "insufficient_quota", "message": "You exceeded your current quota"}, "no money"),
        (429, {"code": "billing_not_active", "message": "Your account is not active"}, "no money"),
        (401, {"code": "invalid_api_key", "message": f"Incorrect API key provided: {KEY}."}, "OPENAI_API_KEY"),
        (401, {"message": "Unauthorized"}, "OPENAI_API_KEY"),
        (401, "", "OPENAI_API_KEY"),
        (404, {"code": "model_not_found", "message": "The model does not exist"}, "no model gpt-4o-mini"),
        (403, {"code": "model_not_found", "message": "Project has no access to model"}, "no model gpt-4o-mini"),
        (404, {"message": 'model "gpt-4o-mini" not found, try pulling it first'}, "no model gpt-4o-mini"),
        (404, "404 page not found", "--base-url"),
    ],
)
def test_these_stop_the_job_with_one_line(status: int, body: Any, says: str):
    found = classify(status, body)
    assert isinstance(found, StopJob)
    assert says in str(found) and "\n" not in str(found) and "abcdef" not in str(found)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("a text", "a text"),
        ({"error": "a text"}, "a text"),
        ({"error": True, "message": "beside it"}, "beside it"),
        ({"error": ["one", "two", "one"]}, "one; two"),
        ({"errors": [{"code": 7, "message": "one"}, {"message": "two"}]}, "one; two"),
        ([{"error": {"code": 400, "message": "of Gemini", "status": "INVALID_ARGUMENT"}}], "of Gemini"),
        ({"detail": [{"loc": ["body", "user"], "msg": "Missing", "input": "image" * 900}]}, "body.user: Missing"),
        ({"title": "Bad Request", "detail": "the problem", "status": 400}, "the problem"),
        ({"error_code": 336000, "error_msg": "of Baidu"}, "of Baidu"),
        ({"Message": "in capitals"}, "in capitals"),
        ({"error": {"message": {"detail": '{"error": {"message": "deep"}}'}}}, "deep"),
        ({"error": {"message": "Provider error", "metadata": {"raw": '{"error": "its own"}'}}}, "error: its own"),
        ({"error": {"reasons": {"a": 1}, "code": "x"}}, '{"reasons": {"a": 1}, "code": "x"}'),
        ("<html><head><style>b{}</style><title>502 Bad&nbsp;Gateway</title></head><img src=a.jpg>", "502 Bad Gateway"),
        ("<?xml version='1.0'?><Error><Code>No</Code><Message>of S3</Message></Error>", "No of S3"),
        ({"error": None, "message": None}, ""),
        (None, ""),
        (5, ""),
        ("[" * 100_000, "[[["),
    ],
)  # fmt: skip
def test_a_servers_words_are_found_in_any_form(body: Any, says: str):
    found = str(classify(400, error_of(body)))
    assert found.startswith(f"HTTP 400: {says}") or (says in found and bool(says)) or found == "HTTP 400"
    assert bool(says) == (found != "HTTP 400")
    assert not about_image(found)  # nothing of a request or a page that is repeated makes it an image's own


def test_a_key_is_named_by_its_variable_and_a_missing_one_is_said():
    expired = {"message": "Token has expired", "code": "token_expired"}
    found = classify_response(401, expired, {}, model="m", key=KEY, variable="MISTRAL_API_KEY")
    assert isinstance(found, StopJob) and "the key in MISTRAL_API_KEY" in str(found)
    found = classify_response(401, "", {}, model="m", key=None, variable="OPENAI_API_KEY")
    assert isinstance(found, StopJob) and "wants a key" in str(found) and "set OPENAI_API_KEY" in str(found)


def test_another_401_is_the_rows_failure():
    body = {"code": "ip_not_authorized", "type": "invalid_request_error", "message": "Not from this address"}
    assert isinstance(classify(401, body), RowFailed)


def test_a_content_filter_refuses_and_a_request_that_is_too_large_never_fits():
    for code in ("content_filter", "content_policy_violation"):
        found = classify(400, {"code": code, "message": "rejected by our safety system"})
        assert isinstance(found, RowFailed) and found.refused
    found = classify(429, {"code": "rate_limit_exceeded", "message": "Request too large for gpt-4o on tokens per min"})
    assert isinstance(found, RowFailed) and found.error_type == "RequestTooLarge"


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: {KEY}.",
        "Incorrect API key provided: sk-proj-************6789. You can",
        "Incorrect API key provided: abcdefgh************6789. You can",
        f"Illegal header value b'Bearer {KEY}'",
        "Authorization: Bearer abcdefghijkl refused",
    ],
)
def test_nothing_of_a_key_is_left(text: str):
    found = mask_keys(text, KEY)
    assert "***" in found
    assert not any(part in found for part in ("abcdefgh", "6789", "proj"))


def test_messages_are_one_short_line():
    assert mask_keys("a\n  b") == "a b"
    assert len(mask_keys("x" * 10_000)) == 500


def test_waits_double_up_to_a_limit_and_differ():
    for tries, full in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0), (5000, 8.0)):
        waits = [backoff_s(tries, first_s=1.0, most_s=8.0) for _ in range(50)]
        assert full / 2 <= min(waits) < max(waits) <= full

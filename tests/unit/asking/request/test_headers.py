"""What servers say about limits and waiting."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from pixelbrain.asking.request.headers import RateHeaders, parse_duration, retry_after_s


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"Retry-After": "20"}, "", 20.0),
        ({"retry-after": "20", "retry-after-ms": "1500"}, "", 1.5),
        ({}, "Rate limit reached. Please try again in 6m1.5s. Visit", 361.5),
        ({"retry-after": "2"}, "Please try again in 120ms.", 2.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "3.2s"}, "", 3.2),
        ({"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "3.2s"}, "", None),
        ({"retry-after": "soon"}, "later", None),
    ],
)
def test_how_long_a_server_asks_to_wait(headers: dict[str, str], message: str, seconds: float | None):
    assert retry_after_s(headers, message) == seconds


def test_a_date_to_retry_after():
    found = retry_after_s({"retry-after": formatdate(time.time() + 30, usegmt=True)})
    assert found is not None and 25 <= found <= 31


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120ms", 0.12), ("1s", 1), ("6m0s", 360), ("1h2m3.5s", 3723.5), ("7", 7), ("", None), (None, None), ("x", None)],
)
def test_durations(text: str | None, seconds: float | None):
    assert parse_duration(text) == seconds


def test_rate_headers_in_any_capitals_and_half_of_them():
    found = RateHeaders.parse({"X-RateLimit-Limit-Requests": "500", "x-ratelimit-reset-requests": "120ms", "a": "b"})
    assert found == RateHeaders(limit_requests=500, reset_requests_s=0.12)
    assert RateHeaders.parse({"x-ratelimit-limit-requests": "0", "x-ratelimit-limit-tokens": "nan"}) == RateHeaders()

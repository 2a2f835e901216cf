"""What servers say about limits and waiting."""

from __future__ import annotations

import time
from datetime import datetime, timezone
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
        ({"retry-after": "5, 5"}, "", 5.0),  # said twice, by a server and its proxy
        ({"retry-after": "1m30s"}, "", 90.0),
        ({"retry-after": "1e300"}, "", 366 * 86400.0),
        ({"retry-after-ms": "1e300"}, "", 366 * 86400.0),
        ({"retry-after": "-1"}, "", None),
        ({"retry-after": "Wed, 21 Oct 99999 07:28:00 GMT"}, "", None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, "", 0.0),
        ({}, "Please retry after 26 seconds.", 26.0),
        ({}, "Quota exceeded. Please retry in 36.5s.", 36.5),
        ({}, "Wait 2 minutes, 5 sec, then go on", 125.0),
        ({}, "Please try again in 250 milliseconds", 0.25),
    ],
)
def test_how_long_a_server_asks_to_wait(headers: dict[str, str], message: str, seconds: float | None):
    assert retry_after_s(headers, message) == seconds


def test_a_date_to_retry_after():
    now = time.time()
    iso = datetime.fromtimestamp(now + 30, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    for headers in (
        {"retry-after": formatdate(now + 30, usegmt=True)},
        {"retry-after": iso},
        {"x-ratelimit-reset": str(int(now + 30))},
        {"x-ratelimit-reset": str(int(1000 * (now + 30)))},  # OpenRouter
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": iso},
    ):
        found = retry_after_s(headers)
        assert found is not None and 25 <= found <= 31


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2 minutes", 120),
        ("1 day, 1h", 90000),
        ("5 months", None),
        ("120ms", 0.12),
        ("1s", 1),
        ("6m0s", 360),
        ("1h2m3.5s", 3723.5),
        ("7", 7),
        ("", None),
        (None, None),
        ("x", None),
    ],
)
def test_durations(text: str | None, seconds: float | None):
    assert parse_duration(text) == seconds


def test_rate_headers_in_any_capitals_and_half_of_them():
    found = RateHeaders.parse({"X-RateLimit-Limit-Requests": "500", "x-ratelimit-reset-requests": "120ms", "a": "b"})
    assert found == RateHeaders(limit_requests=500, reset_requests_s=0.12)
    assert RateHeaders.parse({"x-ratelimit-limit-requests": "0", "x-ratelimit-limit-tokens": "nan"}) == RateHeaders()


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (
            {"X-RateLimit-Limit-Requests": "500", "x-ratelimit-remaining-tokens": "9"},
            RateHeaders(limit_requests=500, remaining_tokens=9),
        ),
        (
            {"x-ratelimit-limit-req-minute": "60", "x-ratelimit-remaining-tokens-minute": "7"},  # Mistral
            RateHeaders(limit_requests=60, remaining_tokens=7),
        ),
        ({"x-ratelimit-limit-req-minute": "0"}, RateHeaders()),  # a model that is not in one's plan: its 429 says so
        (
            {"llm_provider-x-ratelimit-limit-tokens": "1000", "llm_provider-x-ratelimit-reset-tokens": "2s"},  # LiteLLM
            RateHeaders(limit_tokens=1000, reset_tokens_s=2),
        ),
        (
            {
                "llm_provider-x-ratelimit-limit-requests": "1000",
                "x-ratelimit-limit-requests": "10",
            },  # its own come first
            RateHeaders(limit_requests=10),
        ),
        ({"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0"}, RateHeaders()),  # OpenRouter: of nobody knows what
    ],
)
def test_limits_by_the_names_of_other_servers(headers: dict[str, str], found: RateHeaders):
    assert RateHeaders.parse(headers) == found

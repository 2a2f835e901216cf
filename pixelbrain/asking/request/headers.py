"""What a server says about its limits: the x-ratelimit-* headers, and how long it asks to wait after a 429."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
#: "Rate limit reached for gpt-4o ... Please try again in 1.2s.": in the body of OpenAI's 429.
_TRY_AGAIN = re.compile(r"try again in ((?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class RateHeaders:
    """The limits that came with a response; None where the server does not say."""

    limit_requests: float | None = None  # a minute
    limit_tokens: float | None = None
    remaining_requests: float | None = None
    remaining_tokens: float | None = None
    reset_requests_s: float | None = None
    reset_tokens_s: float | None = None

    @classmethod
    def parse(cls, headers: Mapping[str, str]) -> RateHeaders:
        """Read them from a response's headers; a value that is no number counts as not said."""
        lower = {name.lower(): value for name, value in headers.items() if name.lower().startswith("x-ratelimit-")}
        return cls(
            limit_requests=_number(lower.get("x-ratelimit-limit-requests"), least=1),
            limit_tokens=_number(lower.get("x-ratelimit-limit-tokens"), least=1),
            remaining_requests=_number(lower.get("x-ratelimit-remaining-requests")),
            remaining_tokens=_number(lower.get("x-ratelimit-remaining-tokens")),
            reset_requests_s=parse_duration(lower.get("x-ratelimit-reset-requests")),
            reset_tokens_s=parse_duration(lower.get("x-ratelimit-reset-tokens")),
        )


def parse_duration(text: str | None) -> float | None:
    """Seconds of a duration such as "120ms", "6m0s" or "1h2m3.5s", or of a bare number; None if it is neither."""
    text = (text or "").strip()
    if (bare := _number(text)) is not None:
        return bare
    if not re.fullmatch(f"(?:{_DURATION_PART.pattern})+", text):
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in _DURATION_PART.findall(text))


def retry_after_s(headers: Mapping[str, str], message: str = "") -> float | None:
    """Seconds that a 429 or a 5xx asks to wait, or None when it does not say.

    Looked for in `retry-after-ms`, `retry-after` (seconds or an HTTP date), the body's message ("try again in"), and,
    for what is used up, `x-ratelimit-reset-*`, in that order.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    if (milliseconds := _number(lower.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    retry_after = lower.get("retry-after", "")
    if (seconds := _number(retry_after)) is not None:
        return seconds
    if retry_after and (date := email.utils.parsedate_tz(retry_after)) is not None:
        return max(0.0, email.utils.mktime_tz(date) - time.time())
    if named := _TRY_AGAIN.search(message):
        return parse_duration(named[1])
    limits = RateHeaders.parse(lower)
    requests = limits.remaining_requests, limits.reset_requests_s
    tokens = limits.remaining_tokens, limits.reset_tokens_s
    resets = (reset for remaining, reset in (requests, tokens) if remaining == 0 and reset is not None)
    return max(resets, default=None)


def _number(text: str | None, *, least: float = 0.0) -> float | None:
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) and value >= least else None

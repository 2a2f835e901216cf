"""What a server says about its limits: the x-ratelimit-* headers, and how long it asks to wait after a 429."""

from __future__ import annotations

import contextlib
import email.utils
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

_UNITS_S = (0.001, 1.0, 60.0, 3600.0, 86400.0)
_DURATION_PART = re.compile(
    r"(\d+(?:\.\d+)?) ?(?:(ms|millis(?:econds?)?)|(s|sec(?:ond)?s?)|(m|min(?:ute)?s?)|(h|hours?)|(d|days?))"
    r"(?![a-z])[ ,]*",
    re.IGNORECASE,
)
#: In the body of a 429: "Please try again in 6m1.2s." (OpenAI), "Please retry after 26 seconds." (Azure), "retry in
#: 36.2s" (Google), "wait 2 minutes".
_TRY_AGAIN = re.compile(
    rf"(?:try(?:ing)? again|retry(?:ing)?|wait)(?: in| after| for)? ((?:{_DURATION_PART.pattern})+)", re.IGNORECASE
)
#: What servers call the two limits: OpenAI, and Mistral. LiteLLM passes on what a provider said under a prefix.
_LIMITS = {"requests": ("requests", "req-minute"), "tokens": ("tokens", "tokens-minute")}
_PREFIXES = ("", "llm_provider-")
#: No wait is longer: what a server says beyond is no time.
_LONGEST_S = 366 * 86400.0


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
        lower = {name.lower(): value for name, value in headers.items()}

        def said(what: str, kind: str) -> str:
            names = (f"{prefix}x-ratelimit-{what}-{name}" for prefix in _PREFIXES for name in _LIMITS[kind])
            return next((lower[name] for name in names if name in lower), "")

        found = {f"limit_{kind}": _number(said("limit", kind), least=1) for kind in _LIMITS}
        found |= {f"remaining_{kind}": _number(said("remaining", kind)) for kind in _LIMITS}
        return cls(**found, **{f"reset_{kind}_s": _until(said("reset", kind)) for kind in _LIMITS})


def parse_duration(text: str | None) -> float | None:
    """Seconds of a duration such as "120ms", "6m0s" or "2 minutes", or of a bare number; None if it is neither."""
    text = (text or "").strip()
    if (bare := _number(text)) is not None:
        return bare
    if not re.fullmatch(f"(?:{_DURATION_PART.pattern})+", text, re.IGNORECASE):
        return None
    parts = _DURATION_PART.findall(text)
    return sum(
        float(number) * next(s for s, unit in zip(_UNITS_S, units, strict=True) if unit) for number, *units in parts
    )


def retry_after_s(headers: Mapping[str, str], message: str = "") -> float | None:
    """Seconds that a 429 or a 5xx asks to wait, or None when it does not say.

    Looked for in `retry-after-ms`, `retry-after` (seconds, a duration or a date), the body's message ("try again in"),
    and, for what is used up, `x-ratelimit-reset-*`, in that order; and last in the `x-ratelimit-reset` of others.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    if (milliseconds := _number(lower.get("retry-after-ms"))) is not None:
        return min(_LONGEST_S, milliseconds / 1000)
    if (seconds := _until(lower.get("retry-after", ""))) is not None:
        return seconds
    if named := _TRY_AGAIN.search(message):
        return _until(named[1])
    limits = RateHeaders.parse(lower)
    requests = limits.remaining_requests, limits.reset_requests_s
    tokens = limits.remaining_tokens, limits.reset_tokens_s
    resets = (reset for remaining, reset in (requests, tokens) if remaining == 0 and reset is not None)
    return max(resets, default=_until(lower.get("x-ratelimit-reset", "")))


def _until(text: str) -> float | None:
    """Seconds of a duration, or until a date: an HTTP one, ISO's, or as Unix time in seconds or milliseconds."""
    found = parse_duration(text)
    found = parse_duration(text.partition(",")[0]) if found is None else found  # a header that came twice is "5, 5"
    if found is None and text:
        with contextlib.suppress(ValueError, OverflowError):
            date = email.utils.parsedate_tz(text)
            iso = datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if date is None else 0
            found = (email.utils.mktime_tz(date) if date is not None else iso) - time.time()
    elif found is not None and found > 1e9:  # no duration
        found = found / (1000 if found > 1e11 else 1) - time.time()
    return None if found is None else min(_LONGEST_S, max(0.0, found))


def _number(text: str | None, *, least: float = 0.0) -> float | None:
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) and value >= least else None

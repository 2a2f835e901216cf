"""Requests and tokens a minute, in exact sliding windows, with the headers that tell of them."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from tests.fake_openai.billing import Model
from tests.fake_openai.errors import ApiError
from tests.fake_openai.settings import Settings

__all__ = ["Limits", "SlidingWindow", "duration"]


@dataclass(slots=True)
class Charge:
    """What one request takes of a window, until it is `window_s` old."""

    at: float
    amount: int


class SlidingWindow:
    """A sum over the last `window_s` seconds, and the largest that it ever was."""

    def __init__(self) -> None:
        self._charges: deque[Charge] = deque()
        self.used = 0
        self.peak = 0

    def expire(self, now: float, window_s: float) -> None:
        """Forget what is `window_s` old."""
        while self._charges and now - self._charges[0].at >= window_s:
            self.used -= self._charges.popleft().amount

    def wait_s(self, now: float, amount: int, limit: int | None, window_s: float) -> float:
        """How long until `amount` more fits under `limit`: 0 for now, inf for never."""
        self.expire(now, window_s)
        if limit is None or self.used + amount <= limit:
            return 0.0
        if amount > limit:
            return math.inf
        left = self.used + amount - limit
        for charge in self._charges:
            left -= charge.amount
            if left <= 0:
                return max(charge.at + window_s - now, 0.001)
        raise AssertionError("the charges do not add up to what is used")

    def add(self, now: float, amount: int, window_s: float) -> Charge:
        """Take `amount`, without looking at any limit."""
        self.expire(now, window_s)
        charge = Charge(now, amount)
        self._charges.append(charge)
        self.used += amount
        self.peak = max(self.peak, self.used)
        return charge

    def lower(self, charge: Charge, amount: int, now: float, window_s: float) -> None:
        """Let `charge` count for `amount`, from now on, if it still counts."""
        self.expire(now, window_s)
        if now - charge.at < window_s:
            self.used += amount - charge.amount
            charge.amount = amount


@dataclass
class _Windows:
    """A model's: of what was let in, and of all that was sent."""

    requests: SlidingWindow
    tokens: SlidingWindow
    sent: SlidingWindow


class Limits:
    """The account's limits, a model each."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._models: dict[str, _Windows] = {}

    def admit(self, model: Model, *, prompt_tokens: int, max_tokens: int, now: float) -> Charge:
        """Let a request in.

        Args:
            now: seconds of a clock that never goes back.

        Raises:
            ApiError: 429 rate_limit_exceeded; the request then takes nothing of the windows.
        """
        settings, windows = self._settings, self._windows(model)
        windows.sent.add(now, 1, settings.window_s)
        if settings.tpm_counts == "documented":
            tokens = max(prompt_tokens, max_tokens)
        else:
            tokens = prompt_tokens + max_tokens
        for kind, window, per_minute, amount in (
            ("requests", windows.requests, settings.rpm, 1),
            ("tokens", windows.tokens, settings.tpm, tokens),
        ):
            wait_s = window.wait_s(now, amount, settings.in_window(per_minute), settings.window_s)
            if wait_s:
                raise self._refusal(model, kind, per_minute, window.used, amount, wait_s, now)
        windows.requests.add(now, 1, settings.window_s)
        return windows.tokens.add(now, tokens, settings.window_s)

    def settle(self, model: Model, charge: Charge, used_tokens: int, now: float) -> None:
        """The answer is there: with `tpm_counts` = used, only its usage counts from now on."""
        if self._settings.tpm_counts == "used" and used_tokens < charge.amount:
            self._windows(model).tokens.lower(charge, used_tokens, now, self._settings.window_s)

    def headers(self, model: Model, now: float, *, wait: dict[str, float] | None = None) -> dict[str, str]:
        """x-ratelimit-*: limits a minute, what is left of them, and the time until all of it is there again.

        With a window that is not a minute, what remains is scaled to a minute, so that it fits the limit beside it.
        """
        settings, windows = self._settings, self._windows(model)
        headers = {}
        for kind, window, per_minute in (
            ("requests", windows.requests, settings.rpm),
            ("tokens", windows.tokens, settings.tpm),
        ):
            limit = settings.in_window(per_minute)
            if limit is None:
                continue
            window.expire(now, settings.window_s)
            reset_s = max(settings.window_s * window.used / max(limit, 1), (wait or {}).get(kind, 0.0))
            headers |= {
                f"x-ratelimit-limit-{kind}": str(per_minute),
                f"x-ratelimit-remaining-{kind}": str(int(max(limit - window.used, 0) * 60 / settings.window_s)),
                f"x-ratelimit-reset-{kind}": duration(reset_s),
            }
        return headers

    def reset(self) -> None:
        """Empty windows."""
        self._models.clear()

    def peaks(self) -> dict[str, int]:
        """The most that any window of any model ever held."""
        every = list(self._models.values())
        return {
            "max_requests_sent_per_window": max((w.sent.peak for w in every), default=0),
            "max_requests_per_window": max((w.requests.peak for w in every), default=0),
            "max_tokens_per_window": max((w.tokens.peak for w in every), default=0),
        }

    def _windows(self, model: Model) -> _Windows:
        if model.name not in self._models:
            self._models[model.name] = _Windows(SlidingWindow(), SlidingWindow(), SlidingWindow())
        return self._models[model.name]

    def _refusal(
        self, model: Model, kind: str, per_minute: int, used: int, amount: int, wait_s: float, now: float
    ) -> ApiError:
        of = {"requests": "requests per min (RPM)", "tokens": "tokens per min (TPM)"}[kind]
        where = f"for {model.name} in organization org-fake on {of}: Limit {per_minute}"
        more = "Visit https://platform.openai.com/account/rate-limits to learn more."
        if math.isinf(wait_s):  # waiting won't help, and the real one names no time either
            message = f"Request too large {where}, Requested {amount}. The input or output tokens must be reduced in "
            message += f"order to run successfully. {more}"
            headers = self.headers(model, now)
        else:
            message = f"Rate limit reached {where}, Used {used}, Requested {amount}. "
            message += f"Please try again in {duration(wait_s)}. {more}"
            headers = self.headers(model, now, wait={kind: wait_s})
            if self._settings.limit_retry_after:
                headers |= {"retry-after": str(math.ceil(wait_s)), "retry-after-ms": str(math.ceil(wait_s * 1000))}
        return ApiError(429, message, type=kind, code="rate_limit_exceeded", headers=headers)


def duration(seconds: float) -> str:
    """As the headers write it: 120ms, 1.5s, 6m0s; rounded up to a millisecond."""
    ms = math.ceil(seconds * 1000)
    if ms < 1000:
        return f"{ms}ms"
    minutes, ms = divmod(ms, 60_000)
    text = f"{ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{minutes}m{text}" if minutes else text

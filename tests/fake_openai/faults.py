"""Faults on order: which requests get something else than their answer.

Which ones is drawn from a hash of seed, image and try, so that it does not depend on the order in which concurrent
requests arrive.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.fake_openai.errors import ApiError

__all__ = ["Fault", "FaultError", "Faults", "Target"]

#: What a 4xx or 5xx fault says: status, type, code, message.
_STATUSES: dict[str, tuple[int, str, str | None, str]] = {
    "400": (400, "invalid_request_error", "invalid_image", "The image could not be processed."),
    "401": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: it was revoked."),
    "403": (403, "invalid_request_error", "unsupported_country_region_territory", "Country not supported"),
    "404": (404, "invalid_request_error", "model_not_found", "The model does not exist or you do not have access."),
    "408": (408, "timeout", None, "The request timed out."),
    "409": (409, "conflict", None, "The request conflicts with another. Please try again."),
    "422": (422, "invalid_request_error", None, "The request was well-formed but could not be followed."),
    "429": (429, "requests", "rate_limit_exceeded", "Rate limit reached. Please try again later."),
    "500": (500, "server_error", None, "The server had an error while processing your request."),
    "503": (503, "server_error", None, "The engine is currently overloaded, please try again later."),
    "quota": (
        429, "insufficient_quota", "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details. For more information on this "
        "error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
    ),
    "content_policy": (
        400, "image_content_policy_violation", "content_policy_violation",
        "Your request was rejected as a result of our safety system.",
    ),
}  # fmt: skip
#: The answer is made and billed, but does not get through; `slow` comes after `seconds`.
_TRANSPORT = {"slow", "cut", "drop", "garbage"}
#: The answer is another than asked for: `misfit` is JSON of other types, `prose` no JSON at all.
_CONTENT = {"misfit", "prose", "truncated", "refusal", "content_filter"}
#: A batch as a whole; `seconds` does not apply, `after_lines` does.
_BATCH = {"batch_fail", "batch_expire"}
_KINDS = {*_STATUSES, *_TRANSPORT, *_CONTENT, *_BATCH}


class FaultError(ValueError):
    """A fault that can't be."""


@dataclass(frozen=True)
class Target:
    """What a fault may fall on: a request, or a line of a batch."""

    image: str = ""  # sha256
    colour: tuple[float, float, float] = (0.0, 0.0, 0.0)
    questions: str = ""
    max_tokens: int | None = None
    lane: str = "chat"  # or batch


@dataclass
class Fault:
    """One order, from the JSON of /control. All conditions must hold."""

    kind: str
    probability: float = 1.0
    seed: int = 0
    count: int | None = None  # at most so many times
    per_image: int | None = None  # at most so many times for one image and its questions
    after: int = 0  # only after so many requests that fit the conditions below
    colour: list[float] | None = None  # only images of this mean colour
    tolerance: float = 12.0  # in each channel
    max_tokens_below: int | None = None  # only requests whose max_completion_tokens is smaller
    lane: str | None = None  # only "chat", or only "batch"
    seconds: float = 0.0  # of slow
    retry_after_s: float | None = None  # the Retry-After of a status; None: no such header
    after_lines: int = 0  # batch_expire: so many lines are done before
    code: str = "server_error"  # of batch_fail
    done: int = 0
    seen: int = 0
    _images: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def of(cls, given: dict[str, Any]) -> Fault:
        """Raises FaultError, which says what is wrong."""
        known = {one.name for one in dataclasses.fields(cls)} - {"done", "seen", "_images"}
        if not isinstance(given, dict) or set(given) - known or given.get("kind") not in _KINDS:
            raise FaultError(f"a fault has {', '.join(sorted(known))}; kinds are {', '.join(sorted(_KINDS))}: {given}")
        return cls(**given)

    @property
    def error(self) -> ApiError | None:
        """The error response, for the kinds that are one."""
        if self.kind not in _STATUSES:
            return None
        status, kind, code, message = _STATUSES[self.kind]
        headers = {}
        if self.retry_after_s is not None:
            headers["retry-after"] = f"{self.retry_after_s:g}"
            headers["retry-after-ms"] = f"{self.retry_after_s * 1000:g}"
        return ApiError(status, message, type=kind, code=code, headers=headers)

    def falls_on(self, target: Target, attempt: int) -> bool:
        """Whether this request gets it; counts it then."""
        if self.lane not in (None, target.lane) or (self.kind in _TRANSPORT and target.lane == "batch"):
            return False
        if self.colour is not None and any(
            abs(a - b) > self.tolerance for a, b in zip(self.colour, target.colour, strict=True)
        ):
            return False
        if self.max_tokens_below is not None and (target.max_tokens or 10**9) >= self.max_tokens_below:
            return False
        self.seen += 1
        key = (target.image, target.questions)
        if (
            self.seen <= self.after
            or (self.count is not None and self.done >= self.count)
            or (self.per_image is not None and self._images[key] >= self.per_image)
            or (self.probability < 1 and self._draw(target, attempt) >= self.probability)
        ):
            return False
        self.done += 1
        if self.per_image is not None:
            self._images[key] += 1
        return True

    def _draw(self, target: Target, attempt: int) -> float:
        return random.Random(f"{self.seed}/{self.kind}/{target.image}/{target.questions}/{attempt}").random()


class Faults:
    """The orders that stand, and how often each kind happened."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._attempts: Counter[tuple[str, str]] = Counter()
        self.counts: Counter[str] = Counter()

    def order(self, given: list[dict[str, Any]]) -> None:
        """Replace all orders; raises FaultError and changes nothing."""
        if not isinstance(given, list):
            raise FaultError("faults is a list")
        self._faults[:] = [Fault.of(one) for one in given]

    def reset(self) -> None:
        """No orders, and nothing counted."""
        self._faults.clear()
        self._attempts.clear()
        self.counts.clear()

    def pick(self, target: Target) -> Fault | None:
        """The first order that falls on a request, if any."""
        if not self._faults:
            return None
        key = (target.image, target.questions)
        self._attempts[key] += 1
        return self._first(
            fault for fault in self._faults if fault.kind not in _BATCH and fault.falls_on(target, self._attempts[key])
        )

    def pick_for_batch(self, batch_id: str) -> Fault | None:
        """The first order that falls on a batch as a whole, if any."""
        target = Target(image=batch_id, lane="batch")
        return self._first(fault for fault in self._faults if fault.kind in _BATCH and fault.falls_on(target, 1))

    def _first(self, faults: Any) -> Fault | None:
        fault = next(faults, None)
        if fault is not None:
            self.counts[fault.kind] += 1
        return fault

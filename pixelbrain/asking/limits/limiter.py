"""The limiter of one provider and model: requests, tokens and dollars, shared by everyone who asks it.

Pure logic: every method takes `now` (seconds of a clock that does not go backwards), nothing sleeps. One limiter serves
all asking actors of a cluster; each asks through a `Gate`.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from pixelbrain.asking.limits.budget import Budget
from pixelbrain.asking.limits.leases import Granted, LeaseAnswer, OverBudget, Settlement, Wait, Waiting, Want
from pixelbrain.asking.limits.window import Count, Expense, PacedWindow
from pixelbrain.asking.request.headers import RateHeaders

logger = logging.getLogger(__name__)

#: Nobody who waits needs to ask more often than this; what accrues meanwhile is granted in one block.
_POLL_S = 0.1
#: After a 429 the rate is this part of what it was, and doubles in a minute until the limit is reached again.
_BRAKE, _BRAKE_BLIND = 0.8, 0.5  # blind: the server names no limit, so that the right rate has to be found
_RECOVERY_S = 60.0


@dataclass(slots=True)
class _Reservation:
    """A permitted request that has not come to anything yet."""

    at: float
    usd: Decimal
    tokens: int
    expense: Expense
    requests_before: Count  # in the window when it was permitted, this one included
    tokens_before: Count


@dataclass(kw_only=True)
class RateLimiter:
    """Leases requests, tokens and dollars, and takes back what was not used of them."""

    rpm: float | None = None  # requests a minute; None: learned from the headers of the first response
    tpm: float | None = None  # tokens a minute, input and output; None: likewise
    budget_usd: Decimal | None = None  # a hard cap on what is spent; None: there is none
    already_spent_usd: Decimal = Decimal(0)  # of the budget, by earlier runs: what the journal of answers adds up to
    window_s: float = 60.0  # over which the server counts requests and tokens
    #: The longest time between a permit and its request's arrival at the server. The limits are kept in windows longer
    #: by this, so 2 s leave 97 % of a minute's limit to use.
    slack_s: float = 2.0
    burst_s: float = 0.5  # seconds of unused pace that may be caught up on
    #: A permit of which nothing was heard for so long belonged to an actor that died. What it may have cost stays
    #: counted as spent. At least twice the timeout of a request.
    lease_timeout_s: float = 300.0
    seed: int | None = None  # of the jitter on pauses
    _named: tuple[float | None, float | None] = (None, None)  # by the server
    _paused_until: float = 0.0
    _brake: tuple[float, float] | None = None  # requests a minute, and when they were set
    _open: dict[int, _Reservation] = field(default_factory=dict)  # oldest first
    _next_permit: int = 1
    _first_at: float | None = None
    _paused_for: str = ""  # what the server said
    _refused: tuple[float, str] | None = None  # the last that had to wait: until when, and for what

    def __post_init__(self) -> None:
        counted = {"window_s": self.window_s, "slack_s": self.slack_s, "burst_s": self.burst_s}
        self._requests, self._tokens = PacedWindow(self.rpm, **counted), PacedWindow(self.tpm, **counted)
        self._responded = self.rpm is not None and self.tpm is not None  # no first response to wait for
        self._rng = random.Random(self.seed)
        self.budget = Budget(self.budget_usd, self.already_spent_usd)

    def lease(self, now: float, wanted: Sequence[Want]) -> LeaseAnswer:
        """Permit as many of the wanted requests, of which there is one at least, as may be sent now, the first first.

        Returns:
            `Granted` for at least one, `Wait` when none may go yet, or `OverBudget`, which is final: asking is over.
        """
        self._expire(now)
        self._follow(now)
        permits: list[int] = []
        for want in wanted:
            if (refused := self._refuse(now, want)) is not None:
                if isinstance(refused, Wait):
                    self._refused = (now + refused.seconds, refused.reason)
                if not permits:
                    return refused
                break
            permits.append(self._grant(now, want))
        return Granted(tuple(permits))

    def settle(self, now: float, settled: Iterable[Settlement]) -> None:
        """Take back what permitted requests did not use. A permit that is unknown, or settled before, is ignored."""
        for one in settled:
            reservation = self._open.pop(one.permit, None)
            if reservation is None:
                self.budget.find(one.permit, one.usd)  # the actor was slow, not dead
                continue
            self.budget.settle(reservation.usd, one.usd)
            if one.tokens is not None:
                self._tokens.amend(reservation.expense, reservation.tokens, one.tokens)
            if one.limits is not None:
                self._observe(now, one.limits, reservation)

    def pause(self, now: float, seconds: float, why: str = "") -> None:
        """The server said 429, in the words of `why`: nobody is permitted anything for so long, or up to a tenth more.

        Afterwards the rate is lower than before, and grows back within a minute or so.
        """
        self._responded = True
        if now >= self._paused_until:  # the 429s that came together are one event
            self._slow_down(now)
        until = now + max(0.0, seconds) * (1 + 0.1 * self._rng.random())
        if until > self._paused_until:
            self._paused_until, self._paused_for = until, why

    def waiting(self, now: float) -> Waiting | None:
        """What those who were refused last wait for; None: there is nobody."""
        if self._refused is None or self._refused[0] <= now:
            return None
        until, reason = self._refused
        if reason == "paused":
            return Waiting(until, f"the server, which said {self._paused_for}")
        window = {"requests": self._requests, "tokens": self._tokens}.get(reason)
        if window is None:
            return Waiting(until, "requests that are on their way")
        rates = (rate for rate in (window.per_minute, window.brake_per_minute) if rate is not None)
        return Waiting(until, f"the limit of {min(rates):,.0f} {reason} a minute")

    @property
    def in_flight(self) -> int:
        """Requests that are permitted, and not settled."""
        return len(self._open)

    def _refuse(self, now: float, want: Want) -> Wait | OverBudget | None:
        money = self.budget.check(want.usd)
        if isinstance(money, OverBudget):
            return money
        if now < self._paused_until:
            return Wait(self._paused_until - now, "paused")
        if money == "wait":
            return Wait(_POLL_S, "budget")
        if not self._responded and self._open and next(iter(self._open.values())).at > now - self.window_s:
            return Wait(_POLL_S, "learning")  # one request goes ahead to learn the limits
        requests_s = self._requests.wait_s(now, 1)
        tokens_s = self._tokens.wait_s(now, want.tokens)
        if max(requests_s, tokens_s) > 0:
            return Wait(max(requests_s, tokens_s, _POLL_S), "requests" if requests_s >= tokens_s else "tokens")
        return None

    def _grant(self, now: float, want: Want) -> int:
        if self._first_at is None:
            self._first_at = now
        permit = self._next_permit
        self._next_permit += 1
        self.budget.reserve(want.usd)
        self._requests.spend(now, 1)
        expense = self._tokens.spend(now, want.tokens)
        self._open[permit] = _Reservation(
            now, want.usd, want.tokens, expense, self._requests.count(now), self._tokens.count(now)
        )
        return permit

    def _expire(self, now: float) -> None:
        while self._open:
            permit, reservation = next(iter(self._open.items()))
            if reservation.at > now - self.lease_timeout_s:
                return
            del self._open[permit]
            self.budget.lose(permit, reservation.usd)

    def _follow(self, now: float) -> None:
        """Set the windows to the limits that hold now: the lower of one given and one that the server names."""
        requests, tokens = self._named
        for window, *limits in ((self._requests, self.rpm, requests), (self._tokens, self.tpm, tokens)):
            window.per_minute = min((limit for limit in limits if limit is not None), default=None)
        if self._brake is not None:
            rpm, since = self._brake
            # without a limit to come back to, the brake goes where it does nothing any more
            normal = self._requests.per_minute or rpm * 2**10
            rpm *= 2 ** ((now - since) / _RECOVERY_S)
            self._brake = self._brake if rpm < normal else None
            self._requests.brake_per_minute = rpm if self._brake else None

    def _observe(self, now: float, limits: RateHeaders, reservation: _Reservation) -> None:
        """Learn the limits that the server names, and how it counts."""
        self._responded = True
        self._named = (limits.limit_requests or self._named[0], limits.limit_tokens or self._named[1])
        self._follow(now)
        for window, per_minute, remaining, before in (
            (self._requests, limits.limit_requests, limits.remaining_requests, reservation.requests_before),
            (self._tokens, limits.limit_tokens, limits.remaining_tokens, reservation.tokens_before),
        ):
            if per_minute is not None and remaining is not None:
                window.observe(now, per_minute, remaining, before)
            else:
                window.trust_refunds()

    def _slow_down(self, now: float) -> None:
        rate, factor = self._requests.per_minute, _BRAKE
        if self._requests.brake_per_minute is not None:  # again
            rate, factor = self._requests.brake_per_minute, _BRAKE if rate is not None else _BRAKE_BLIND
        elif rate is None:  # as many as there were
            elapsed = min(self.window_s, now - (self._first_at if self._first_at is not None else now))
            rate, factor = self._requests.count(now).used / max(1.0, elapsed) * 60, _BRAKE_BLIND
        rpm = max(1.0, factor * rate)
        self._brake = (rpm, now)
        self._requests.brake_per_minute = rpm
        self._requests.drop_credit(now)
        self._tokens.drop_credit(now)
        logger.info("429 from the server: slowing down to %.0f requests a minute for a while", rpm)

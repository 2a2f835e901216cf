"""An amount a minute that is spent smoothly, and never exceeded in any window."""

from __future__ import annotations

from collections import deque
from dataclasses import KW_ONLY, dataclass, field
from typing import NamedTuple

#: Sums of floats that should be equal may differ by so much.
_EPSILON = 1e-6
#: What is spent within so short a time shares an expense, so that their number does not grow with the rate.
_GRAIN_S = 0.05
#: Differences below this part of the limit say nothing about how the server counts.
_NOISE = 0.05


class Count(NamedTuple):
    """What a window holds."""

    used: float  # as it came to, where that is known
    held: float  # as it was reserved: nothing refunded


@dataclass(slots=True)
class Expense:
    """What was spent at about the same time."""

    since: float
    at: float  # the latest of it: it leaves the window as a whole
    used: float
    held: float
    gone: bool = False  # out of the window


@dataclass
class PacedWindow:
    """The requests, or the tokens, of one limit.

    Two rules hold at once. The pace: credit accrues evenly, at most `burst_s` seconds of it, so that a minute's limit
    is not gone in its first second. The window: what was spent within the last `window_s + slack_s` seconds never
    exceeds the limit. The pace alone could exceed it by one burst; the window alone would send in bursts.
    """

    per_minute: float | None  # the limit; None: there is none
    _: KW_ONLY
    window_s: float  # over which the server counts; a window allows `per_minute * window_s / 60`
    #: The longest time between a permit and its request's arrival at the server: what arrives within a window was
    #: permitted within a window that is longer by this.
    slack_s: float
    burst_s: float  # how many seconds of unused pace may be caught up on
    brake_per_minute: float | None = None  # a slower pace for a while; the window stays what it is
    _log: deque[Expense] = field(default_factory=deque)
    _used: float = 0.0
    _held: float = 0.0
    _kept: float = 1.0  # the part of a refund that the server does not give, 0 to 1; all, until it shows
    _foreign: float = 0.0  # spent by others on the same account
    _foreign_until: float = 0.0
    _credit: float = 0.0  # below zero: a debt, which is waited for
    _credit_at: float | None = None  # None: nothing was asked yet

    def __post_init__(self) -> None:
        self._minutes = self.window_s / 60
        self._span_s = self.window_s + self.slack_s

    def count(self, now: float) -> Count:
        """Spent within the last `window_s + slack_s` seconds."""
        self._advance(now)
        return Count(self._used, self._held)

    def wait_s(self, now: float, amount: float) -> float:
        """Seconds until `amount` may be spent; 0: now. More than the whole limit counts as the whole limit."""
        self._advance(now)
        rate = self._rate()
        wait = -self._credit / rate if rate is not None and self._credit < -_EPSILON else 0.0
        if self.per_minute is None:
            return wait
        limit = self.per_minute * self._minutes
        excess = self._counted(Count(self._used, self._held)) + self._foreign + min(amount, limit) - limit
        if excess <= _EPSILON:
            return wait
        for expense in self._log:  # the oldest leave first
            excess -= self._counted(Count(expense.used, expense.held))
            if excess <= _EPSILON:
                return max(wait, expense.at + self._span_s - now)
        return max(wait, 1.0)  # only what others spend is in the way: look again

    def spend(self, now: float, amount: float) -> Expense:
        """Count `amount` as spent now; returns where, for `amend`."""
        self._advance(now)
        expense = self._log[-1] if self._log else None
        if expense is None or now - expense.since > _GRAIN_S:
            expense = Expense(now, now, 0.0, 0.0)
            self._log.append(expense)
        expense.at = max(expense.at, now)
        self._change(expense, amount, amount)
        self._credit -= amount
        return expense

    def amend(self, expense: Expense, spent: float, amount: float) -> None:
        """What was counted in `expense` as `spent` came to another amount."""
        change = amount - spent
        self._change(expense, change, max(0.0, change))
        self._credit -= change if change > 0 else change * (1 - self._kept)

    def observe(self, now: float, per_minute: float, remaining: float, before: Count) -> None:
        """Learn from a response's headers how the server counts.

        Some servers keep counting what was reserved for an answer that came out shorter, others give it back. What
        they count beyond all that we reserved is spent by others.

        Args:
            per_minute: the server's limit.
            remaining: of it, says the server.
            before: our own count when the response's request was permitted. A response may be late by a minute, and
                nobody knows whether it counts at its beginning or its end: what either explains is not held against
                the account.
        """
        there = max(0.0, (per_minute - remaining) * self._minutes)
        noise = _NOISE * per_minute * self._minutes
        counts = (before, self.count(now))
        kept = [(there - c.used) / (c.held - c.used) for c in counts if c.held - c.used > noise]
        if kept:
            # a tenth more, because the server's window is shorter than ours; and one low reading is no proof
            found = min(1.0, max(0.0, 1.1 * min(kept)))
            self._kept = max(found, 0.8 * self._kept + 0.2 * found)
        foreign = there - max(map(self._counted, counts))
        self._foreign = foreign if foreign > noise else 0.0
        self._foreign_until = now + self._span_s

    def trust_refunds(self) -> None:
        """The server does not say what it counts: what was not used is taken to be given back."""
        self._kept = 0.0

    def drop_credit(self, now: float) -> None:
        """Nobody makes up for what was not spent before now."""
        self._advance(now)
        self._credit = min(self._credit, 0.0)

    def _change(self, expense: Expense, used: float, held: float) -> None:
        expense.used += used
        expense.held += held
        if not expense.gone:
            self._used += used
            self._held += held

    def _rate(self) -> float | None:
        """The pace, a second."""
        per_minute = min((x for x in (self.per_minute, self.brake_per_minute) if x is not None), default=None)
        return None if per_minute is None else per_minute * self._minutes / self._span_s

    def _counted(self, count: Count) -> float:
        """What the server makes of it."""
        return count.used + self._kept * (count.held - count.used)

    def _advance(self, now: float) -> None:
        while self._log and self._log[0].at <= now - self._span_s:
            expense = self._log.popleft()
            expense.gone = True
            self._used -= expense.used
            self._held -= expense.held
        if not self._log:
            self._used = self._held = 0.0  # no drift of floats
        if now >= self._foreign_until:
            self._foreign = 0.0
        elapsed = 0.0 if self._credit_at is None else max(0.0, now - self._credit_at)
        self._credit_at = now if self._credit_at is None else max(now, self._credit_at)
        rate = self._rate()
        if rate is None:
            self._credit = 0.0  # no pace, and no debt once there is one
        else:
            # what accrues stops at a burst; what is given back had been taken, and is not cut
            self._credit = max(self._credit, min(self._credit + elapsed * rate, self.burst_s * rate))

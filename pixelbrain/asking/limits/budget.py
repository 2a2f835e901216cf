"""The dollars of the limiter: reserved before a request is sent, at the most that it can cost, under a hard cap."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from pixelbrain.asking.limits.leases import OverBudget


@dataclass
class Budget:
    """A hard cap on what is spent."""

    cap_usd: Decimal | None  # None: there is none, and dollars are only counted
    spent_usd: Decimal = Decimal(0)  # for certain, by earlier runs too, and what lost requests may have cost
    reserved_usd: Decimal = Decimal(0)  # the most that requests in flight can come to
    over: OverBudget | None = None  # final once set
    _lost: dict[int, Decimal] = field(default_factory=dict)

    def check(self, usd: Decimal) -> Literal["fits", "wait"] | OverBudget:
        """Whether a request of at most `usd` fits, may fit once those in flight came to less, or ends the asking."""
        if self.over is not None:
            return self.over
        if self.cap_usd is None:
            return "fits"
        left = self.cap_usd - self.spent_usd
        if usd > left:
            self.over = OverBudget(usd, left)
            return self.over
        return "fits" if usd <= left - self.reserved_usd else "wait"

    def reserve(self, usd: Decimal) -> None:
        """A request that fits is sent."""
        self.reserved_usd += usd

    def settle(self, reserved_usd: Decimal, usd: Decimal | None) -> None:
        """It came to `usd`. None: nobody knows, and what was reserved counts as spent."""
        self.reserved_usd -= reserved_usd
        self.spent_usd += reserved_usd if usd is None else usd

    def lose(self, permit: int, reserved_usd: Decimal) -> None:
        """Nothing was heard of it: it counts as spent, until something is."""
        self.settle(reserved_usd, None)
        self._lost[permit] = reserved_usd

    def find(self, permit: int, usd: Decimal | None) -> None:
        """A lost request came to something after all; any other is ignored."""
        reserved_usd = self._lost.pop(permit, None)
        if reserved_usd is not None and usd is not None:
            self.spent_usd += usd - reserved_usd

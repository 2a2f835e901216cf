"""The dollars of the limiter: reserved before a request is sent, at the most that it can cost, under a hard cap."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pixelbrain.asking.limits.leases import OverBudget


class Budget:
    """A hard cap on what is spent.

    Args:
        cap_usd: None: there is none, and dollars are only counted.
        already_spent_usd: of the cap, by earlier runs.
    """

    def __init__(self, cap_usd: Decimal | None, already_spent_usd: Decimal = Decimal(0)) -> None:
        self.spent_usd = Decimal(already_spent_usd)  # for certain, and what lost requests may have cost
        self.reserved_usd = Decimal(0)  # the most that requests in flight can come to
        self.over: OverBudget | None = None  # final once set
        self._cap_usd = cap_usd
        self._lost: dict[int, Decimal] = {}

    def check(self, usd: Decimal) -> Literal["fits", "wait"] | OverBudget:
        """Whether a request of at most `usd` fits, may fit once those in flight came to less, or ends the asking."""
        if self.over is not None:
            return self.over
        if self._cap_usd is None:
            return "fits"
        left = self._cap_usd - self.spent_usd
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

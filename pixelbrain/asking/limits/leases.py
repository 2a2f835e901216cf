"""What passes between a gate and the limiter: wanted requests, the answer to them, and what they came to."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pixelbrain.asking.request.headers import RateHeaders


@dataclass(frozen=True)
class Want:
    """One request that waits to be sent, with the most that it can come to."""

    tokens: int  # input and output
    usd: Decimal


@dataclass(frozen=True)
class Granted:
    """The first `len(permits)` of the wanted requests may be sent now, not later: the limits count on it."""

    permits: tuple[int, ...]  # their numbers, for `Settlement`


@dataclass(frozen=True)
class Wait:
    """None of the wanted requests may be sent yet; ask again after so many seconds."""

    seconds: float
    reason: Literal["requests", "tokens", "paused", "budget", "learning"]


#: What is over sooner is not told.
WORTH_TELLING_S = 3.0


@dataclass(frozen=True)
class Waiting:
    """What is waited for, for people to read."""

    until: float  # of the clock of whoever says it
    what: str


@dataclass(frozen=True)
class OverBudget:
    """The first of the wanted requests does not fit into what is left, and nothing in flight could change that."""

    needed_usd: Decimal
    left_usd: Decimal

    def __str__(self) -> str:
        left = max(self.left_usd, Decimal(0))
        return (
            f"the next request may cost ${self.needed_usd:f} and ${left:f} of the budget is left: "
            "the same command with a larger --budget continues"
        )


LeaseAnswer = Granted | Wait | OverBudget


@dataclass(frozen=True)
class Settlement:
    """What a permitted request came to."""

    permit: int
    tokens: int | None  # None: unknown, as after a cut connection; what was reserved stays counted
    usd: Decimal | None  # None: unknown; what was reserved stays counted as spent
    limits: RateHeaders | None = None  # None: no response came

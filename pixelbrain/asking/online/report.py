"""What a run of asking came to."""

from __future__ import annotations

import collections
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(kw_only=True)
class AskReport:
    """What a run of `ask` did."""

    images: int = 0  # that were to be asked about
    statuses: collections.Counter[str] = field(default_factory=collections.Counter)  # of answers, by status
    failures: collections.Counter[str] = field(default_factory=collections.Counter)  # by error_type
    remembered: int = 0  # answers that were not paid for again
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    seconds: float = 0.0
    failed_images: int = 0
    overrun: str | None = None  # said when requests cost a fifth more than was estimated

    def merge(self, other: AskReport) -> None:
        """Add what a part of the work came to; `images` is known beforehand."""
        self.statuses += other.statuses
        self.failures += other.failures
        for name in ("remembered", "input_tokens", "output_tokens", "cost_usd", "failed_images"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.overrun = other.overrun or self.overrun

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one answer record."""
        self.statuses[record["status"]] += 1
        self.remembered += bool(record.get("remembered"))
        self.input_tokens += record.get("input_tokens") or 0
        self.output_tokens += record.get("output_tokens") or 0
        self.cost_usd += Decimal(record.get("cost_usd") or 0)
        if record.get("error_type"):
            self.failures[record["error_type"]] += 1

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "images": self.images,
            "answers": dict(self.statuses),
            "failures": dict(self.failures.most_common()),
            "remembered": self.remembered,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": str(self.cost_usd),
            "overrun": self.overrun,
            "seconds": round(self.seconds, 2),
        }

"""What a run of batches did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

from pixelbrain.asking.batch.collect import Collected
from pixelbrain.asking.batch.store import BatchState
from pixelbrain.asking.request.estimate import Overrun


@dataclass(kw_only=True)
class BatchReport:
    """What a run did."""

    submitted: int = 0  # batches
    requests: int = 0  # in them
    collected: int = 0  # batches, earlier runs' too
    running: int = 0  # batches that are still on their way
    more: bool = False  # images are left that were not sent: run again
    cancelled: bool = False
    answers: Counter[str] = field(default_factory=Counter)  # records by status
    remembered: int = 0  # of them, not paid for again
    cost_usd: Decimal = Decimal(0)  # of what was collected, answers that were asked for again included
    reserved_usd: Decimal = Decimal(0)  # for what is still on its way, at most
    overrun: Overrun = field(default_factory=Overrun)

    def add(self, state: BatchState, found: Collected) -> None:
        """Count a collected batch, and warn if it cost much more than was expected."""
        self.collected += 1
        self.answers += found.answers
        self.remembered += found.remembered
        self.cost_usd += found.paid_usd
        requests = state.requests - found.again
        self.overrun.add(state.usual_usd * requests / state.requests, found.paid_usd, requests=requests)

"""What a run of batches did."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

from pixelbrain.asking.batch.collect import Collected
from pixelbrain.asking.batch.store import BatchState

__all__ = ["BatchReport"]

logger = logging.getLogger(__name__)

#: Observed dollars over expected ones from which on there is a warning, and how many answers it takes to say so.
_OVERRUN, _OVERRUN_ANSWERS = Decimal("1.2"), 10


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

    def add(self, state: BatchState, found: Collected) -> None:
        """Count a collected batch, and warn if it cost much more than was expected."""
        self.collected += 1
        self.answers += found.answers
        self.remembered += found.remembered
        self.cost_usd += found.paid_usd
        if sum(found.answers.values()) - found.remembered < _OVERRUN_ANSWERS:
            return
        expected = state.usual_usd * (state.requests - found.again) / state.requests
        if found.paid_usd > _OVERRUN * expected:
            logger.warning(
                "batch %s cost $%.6f, $%.6f was expected (%+.0f %%): the answers are longer, or the images larger, "
                "than the table of prices expects",
                state.id,
                found.paid_usd,
                expected,
                (found.paid_usd / expected - 1) * 100 if expected else float("inf"),
            )

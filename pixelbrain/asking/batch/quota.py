"""Whether one more request may go: the account's queue of tokens, the budget, and what is on its way."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Literal

from pixelbrain.asking.batch.store import BatchState, Row
from pixelbrain.asking.batch.submit import RequestFile
from pixelbrain.asking.request.failures import StopJob

logger = logging.getLogger(__name__)

#: While no limit is known, so many batches may be unchecked by the server: a full queue is then seen in time.
_UNCHECKED = 2
_CHECK_PATIENCE_S = 600.0  # none is waited for longer than this
_LONGEST_HOLD_S = 600.0
#: Batches turned away in a row before we give up; each waits longer than the one before.
_MAX_REFUSALS = 10

#: Why the next request does not go.
Block = Literal["tokens", "budget", "unchecked", "hold", "cancelled"]


@dataclass
class Quota:
    """What is on its way, and what may follow it."""

    budget_usd: Decimal | None
    poll_s: float
    active: list[BatchState]  # batches on their way
    spent_usd: Decimal  # for certain, before this run too
    refusals: int = 0  # batches turned away since the last one that was not
    _learnt: int | None = None  # the limit of the account's queue, in input tokens
    _for_now: int | None = None  # less than that, because others fill the queue too
    _hold_until: float = 0.0  # monotonic; after a refusal
    _drain: bool = False  # no batch is begun before all that are on their way have ended

    @property
    def token_limit(self) -> int | None:
        """Input tokens that may be on their way; None: not known."""
        return min((limit for limit in (self._learnt, self._for_now) if limit is not None), default=None)

    @property
    def reserved_usd(self) -> Decimal:
        """The most that what is on its way can cost."""
        return sum((state.usd for state in self.active), Decimal(0))

    @property
    def left_usd(self) -> Decimal | None:
        """Of the budget, of what is neither spent nor reserved."""
        return None if self.budget_usd is None else self.budget_usd - self.spent_usd - self.reserved_usd

    def blocked(self, row: Row, model: str, file: RequestFile | None) -> Block | None:
        """Why a request may not go now; None: it may. Without a `file`, it would be the first of a batch."""
        if file is None:
            if (self._drain and self.active) or time.monotonic() < self._hold_until:
                return "hold"
            if self.token_limit is None and self._unchecked() >= _UNCHECKED:
                return "unchecked"
            self._drain = False
        if not self.fits(row.input_tokens, model, in_file=file.state.input_tokens if file else 0):
            return "tokens"
        left = self.left_usd
        if left is not None and row.usd > left - (file.state.usd if file else 0):
            self._drain = True  # what comes back of the reserves makes one round, not many small ones
            return "budget"
        return None

    def fits(self, tokens: int, model: str, *, in_file: int) -> bool:
        """The account's queue takes one more request in the batch that is being made, beside what is on its way.

        A batch is not begun for a small corner of the queue, and one request alone is always tried.
        """
        limit, enqueued = self.token_limit, self._enqueued(model)
        if limit is None or not (enqueued or in_file):
            return True
        if not in_file and limit - enqueued < limit / 4:
            return False
        return enqueued + in_file + tokens <= limit

    def refused(self, state: BatchState, said: int | None) -> None:
        """The account's queue is full: a smaller round, once what is on its way has ended.

        `said` is the limit that the server named. Raises `StopJob` where this happened too often in a row.
        """
        tokens = state.input_tokens
        self.refusals += 1
        if self.refusals >= _MAX_REFUSALS:
            raise StopJob(
                f"the account's queue of batch tokens had no room for {tokens:,} more, {self.refusals} times in a "
                "row: other batches fill it; run the same command again when they are done"
            )
        if said is not None:
            self._learnt = said
        if said is None or tokens + self._enqueued(state.model) <= said:  # it would have fitted, were it not for others
            self._for_now = max(1, tokens // 2)
        self._hold_until = time.monotonic() + min(_LONGEST_HOLD_S, self.poll_s * 2 ** (self.refusals - 1))
        self._drain = True
        logger.warning(
            "the account's queue of batch tokens is full (limit: %s); a smaller round follows", said or "not said"
        )

    def accepted(self) -> None:
        """A batch was let in."""
        self.refusals = 0
        if self._for_now is not None:
            self._for_now *= 2
            if self._learnt is not None and self._for_now >= self._learnt:
                self._for_now = None

    def _enqueued(self, model: str) -> int:
        return sum(state.input_tokens for state in self.active if state.model == model)

    def _unchecked(self) -> int:
        oldest = datetime.fromtimestamp(time.time() - _CHECK_PATIENCE_S, timezone.utc)
        fresh = (state for state in self.active if datetime.fromisoformat(state.created_at) > oldest)
        return sum(state.status == "validating" for state in fresh)

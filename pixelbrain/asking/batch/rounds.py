"""The rounds of a run: fill, send, look, collect, and again, until everything is answered."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from openai.types import Batch

from pixelbrain.asking.batch.api import BatchApi, RejectedError
from pixelbrain.asking.batch.collect import ENDED, TOKEN_LIMIT, Collected, Collector, read_token_limit
from pixelbrain.asking.batch.pending_answers import PendingAnswers
from pixelbrain.asking.batch.quota import Block, Quota
from pixelbrain.asking.batch.requests import RequestMaker
from pixelbrain.asking.batch.store import BatchState, BatchStore
from pixelbrain.asking.batch.submit import RequestFile, submit
from pixelbrain.asking.reasons import Reasons, only_reason
from pixelbrain.asking.request.estimate import Overrun
from pixelbrain.asking.request.failures import StopJob
from pixelbrain.shown import Shown

#: A batch that has not ended so long after its 24 hours never will.
_OVERDUE_S = 7200.0


@dataclass(kw_only=True, repr=False)
class BatchReport(Shown):
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
    reasons: Reasons = field(default_factory=Reasons, repr=False)  # why answers failed, in words
    overrun: Overrun = field(default_factory=Overrun, repr=False)

    def add(self, state: BatchState, found: Collected) -> None:
        """Count a collected batch, and warn if it cost much more than was expected."""
        self.collected += 1
        self.answers += found.answers
        self.reasons += found.reasons
        self.remembered += found.remembered
        self.cost_usd += found.paid_usd
        requests = max(0, state.requests - found.again - found.estimated)
        usual_usd = state.usual_usd * requests / state.requests
        told_usd = found.paid_usd - found.estimated_usd
        self.overrun.add(usual_usd, told_usd, requests=requests, estimated=found.estimated)


@dataclass(kw_only=True)
class Rounds:
    """One run; `run` is called once."""

    maker: RequestMaker  # knows what is asked
    new_file: Callable[[], RequestFile]
    quota: Quota  # for more
    store: BatchStore
    api: BatchApi
    pending: PendingAnswers  # knows what is in `store`
    collector: Collector
    progress: Callable[[int, int, int], None] | None  # called with (done, total, failed) requests
    report: BatchReport = field(default_factory=BatchReport)
    _polled_at: float = 0.0  # monotonic
    _moved_at: float = field(default_factory=time.monotonic)  # when a batch was last sent, or brought home
    _finished: int = 0  # requests that are not asked again
    _block: Block | None = None
    _known_cancelled: set[str] | None = None  # cancelled before this run began, by our id

    def run(self, *, wait: bool) -> BatchReport:
        """Until everything is answered; without `wait`, until everything that fits is sent."""
        self._poll()
        while not self.report.cancelled:
            self._fill()
            if not self.quota.active:
                self.pending.release_waiting()
                if self._block == "budget":
                    self.maker.rest_over_budget(
                        f"${self.quota.left_usd:.6f} of the budget of ${self.quota.budget_usd} is left, and the next "
                        "request can cost more; run it again with a larger budget"
                    )
                    self._block = None
                    break
                if self._block is None:
                    if not self.pending.has_redo():
                        break
                    continue
            if not wait and not (self.quota.active and self._block == "unchecked"):
                break
            self._rest()
            self._poll()
        while wait and self.quota.active:  # cancelled: what they finished is still to come
            self._rest()
            self._poll()
        self.report.running = len(self.quota.active)
        self.report.reserved_usd = self.quota.reserved_usd
        self.report.more = self.report.cancelled or self._block is not None or self.pending.has_redo()
        return self.report

    def _rest(self) -> None:
        """Until the next look at the server."""
        most_s = self.maker.settings.max_batch_wait_s
        left_s = self.quota.poll_s if most_s is None else self._moved_at + most_s - time.monotonic()
        if left_s <= 0:
            count = len(self.quota.active)
            raise StopJob(
                f"no batch has ended for {most_s:g} s, which is --max-wait, and {count:,} are on their way; what "
                "was answered is kept, the same command collects the rest, and --cancel ends them"
            )
        time.sleep(min(self.quota.poll_s, left_s))

    def _fill(self) -> None:
        """Send as many batches as fit now; `_block` says why no more."""
        file: RequestFile | None = None
        model = self.maker.settings.model
        try:
            while (request := self.maker.take()) is not None:
                if file is not None and not file.has_room(request.line):
                    self._send(file)
                    file = None
                    self.maker.put_back(request)  # to be made anew, if the answers to others taught how to ask
                    continue
                self._block = "cancelled" if self.report.cancelled else self.quota.blocked(request.row, model, file)
                if self._block is not None:
                    self.maker.put_back(request)
                    break
                file = file or self.new_file()
                file.add(request.row, request.line, request.usual_usd)
                self.pending.add(request.row, self.maker.settings_key)
            else:
                self._block = None
            if file is not None:
                self._send(file)
        finally:
            if file is not None:
                file.discard()

    def _send(self, file: RequestFile) -> None:
        state = file.finish()
        self._forget_history(state)
        try:
            submit(state, file, self.store, self.api)
        except RejectedError as error:
            self._rejected(state, error)
            return
        self.quota.active.append(state)
        self._moved_at = time.monotonic()
        self.report.submitted += 1
        self.report.requests += state.requests
        self._tell()
        if time.monotonic() - self._polled_at >= self.quota.poll_s:
            self._poll()

    def _forget_history(self, state: BatchState) -> None:
        """The earlier tries' history went along with the batch's rows: it is told once."""
        taken = {row.custom_id for row in self.store.rows(state) if row.has_history}
        if taken:
            self.store.prune_again(lambda row: row.custom_id not in taken)
            for custom_id in taken:
                self.pending.drop_again(custom_id)

    def _rejected(self, state: BatchState, error: RejectedError) -> None:
        """The server did not take a batch: its requests are as they were before."""
        for row in self.store.rows(state):
            self.pending.remove(row, state.settings)
            if row.has_history:
                self.pending.put_again(row)
            self.pending.push_redo(row.image_id, row.version)
        self.store.drop(state)
        if error.code != TOKEN_LIMIT:
            raise StopJob(f"the server does not take the batch ({error.code}: {error}); answers so far are kept")
        self.quota.refused(state, read_token_limit(str(error)))

    def _poll(self) -> None:
        """Look at every batch, and collect those that have ended."""
        self._polled_at = time.monotonic()
        stop: StopJob | None = None
        refused: tuple[BatchState, Collected] | None = None
        cancel = self.store.cancel_wanted
        for state in list(self.quota.active):
            look = self.api.cancel if cancel else self.api.retrieve
            batch = look(state.batch_id or "")
            self._look(state, batch)
            if batch.status in ENDED:
                found = self.collector.collect(state, batch)
                self._moved_at = time.monotonic()
                self.quota.active.remove(state)
                self.quota.spent_usd += found.spent_usd
                self._finished += state.requests - found.again
                self.report.add(state, found)
                # a second batch would fare no better than one of which every request failed alike
                stop = stop or found.stop or only_reason(found.answers, found.turned_down)
                if found.too_many_tokens:
                    refused = (state, found)
        if cancel:
            self.report.cancelled = True
            self.store.cancel_wanted = False
        if self._known_cancelled is None:
            self._known_cancelled = {state.id for state in self.quota.active if state.status == "cancelling"}
        self._tell()
        if stop is not None:
            raise stop
        if refused is not None:  # several at once are one full queue
            self.quota.refused(refused[0], refused[1].token_limit)

    def _look(self, state: BatchState, batch: Batch) -> None:
        """Note how far a batch is."""
        if state.status == "validating" and batch.status not in ("validating", "failed"):
            self.quota.accepted()
        if batch.status in ("cancelling", "cancelled") and self._known_cancelled is not None:
            # someone cancelled it while we ran: not to send it again, then
            self.report.cancelled |= state.id not in self._known_cancelled
        if batch.request_counts is not None:
            state.completed, state.failed = batch.request_counts.completed, batch.request_counts.failed
        if batch.status in ENDED:
            return
        if batch.expires_at is not None and time.time() > batch.expires_at + _OVERDUE_S:
            raise StopJob(
                f"{batch.id} is {batch.status} for hours after its end was due: cancel it with --cancel, and run again"
            )
        if state.status != batch.status:
            state.status = batch.status
            self.store.save(state)

    def _tell(self) -> None:
        if self.progress is not None:
            running = self.quota.active
            done = self._finished + sum(state.completed + state.failed for state in running)
            total = self._finished + sum(state.requests for state in running)
            failed = self.report.answers["failed"] + sum(state.failed for state in running)
            self.progress(done, total, failed)

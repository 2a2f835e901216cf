"""Cancel the batches of an OUT, and keep what they have finished."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from decimal import Decimal

from openai import OpenAI

from pixelbrain.asking.batch.api import BatchApi
from pixelbrain.asking.batch.collect import ENDED, Collector
from pixelbrain.asking.batch.pending_answers import PendingAnswers
from pixelbrain.asking.batch.store import BatchStore
from pixelbrain.asking.batch.submit import recover
from pixelbrain.errors import OutLockedError
from pixelbrain.landing.answers.log import AnswerMemory
from pixelbrain.locks.run import RunLock
from pixelbrain.shown import Shown
from pixelbrain.storage.base import Storage

#: platform.openai.com/docs/guides/batch, "Cancel a batch": up to 10 minutes; and a little for our own looks.
_PATIENCE_S = 660.0


@dataclass(kw_only=True, repr=False)
class CancelReport(Shown):
    """What was cancelled."""

    cancelled: int = 0  # batches
    ended: int = 0  # batches that had ended by themselves
    pending: int = 0  # batches that have not stopped yet: the next run collects what they finished
    handed_over: bool = False  # another process works on this OUT: it was told to collect, and to stop
    answers: Counter[str] = field(default_factory=Counter)  # records that were kept, by status
    cost_usd: Decimal = Decimal(0)


def cancel_batches(
    storage: Storage,
    client: OpenAI,
    memory: Callable[[], AbstractContextManager[AnswerMemory]],
    *,
    poll_s: float = 5.0,
) -> CancelReport:
    """Cancel what is on its way, wait until it has stopped, and keep what it finished.

    `memory` is opened once OUT is ours: the journal of a run that waits for its batches is not to be folded.

    Raises:
        StopJob: the server cannot be reached, or does not know a batch.
    """
    store, api, report = BatchStore(storage), BatchApi(client), CancelReport()
    if not store.active():
        return report
    with contextlib.ExitStack() as held:
        lock = RunLock(storage, what="ask --cancel")
        try:
            if lock.holders():  # it would be shared, and the journal of a thread that waits be folded
                raise OutLockedError(f"{storage.uri} is in use by this process")
            held.enter_context(lock)
        except OutLockedError:  # its batches are cancelled here; who holds OUT collects them, and sends no more
            store.cancel_wanted = report.handed_over = True
            for batch_id in filter(None, [state.batch_id for state in store.active()]):
                api.cancel(batch_id)
                report.cancelled += 1
            return report
        recover(store, api, settle_s=poll_s)
        pending = held.enter_context(contextlib.closing(PendingAnswers()))
        pending.load(store)
        collector = Collector(store, api, pending, held.enter_context(memory()))
        active = store.active()
        look = api.cancel
        until = time.monotonic() + _PATIENCE_S
        while True:
            for state, batch in [(state, look(state.batch_id or "")) for state in active]:
                if batch.status in ENDED:
                    found = collector.collect(state, batch)
                    active.remove(state)
                    report.cancelled += batch.status == "cancelled"
                    report.ended += batch.status != "cancelled"
                    report.answers += found.answers
                    report.cost_usd += found.paid_usd
            if not active or time.monotonic() > until:
                break
            time.sleep(poll_s)
            look = api.retrieve
        report.pending = len(active)
    return report

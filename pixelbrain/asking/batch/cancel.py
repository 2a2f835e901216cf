"""Cancel the batches of an OUT, and keep what they have finished."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelbrain.asking.batch.api import BatchApi
from pixelbrain.asking.batch.collect import ENDED, Collector
from pixelbrain.asking.batch.pending_answers import Flight
from pixelbrain.asking.batch.store import BatchStore
from pixelbrain.asking.batch.submit import load_flight, recover
from pixelbrain.errors import LandingError

if TYPE_CHECKING:
    from openai import OpenAI

__all__ = ["CancelReport", "cancel_batches"]

logger = logging.getLogger(__name__)

#: platform.openai.com/docs/guides/batch, "Cancel a batch": up to 10 minutes; and a little for our own looks.
_PATIENCE_S = 660.0


@dataclass(kw_only=True)
class CancelReport:
    """What was cancelled."""

    cancelled: int = 0  # batches
    ended: int = 0  # batches that had ended by themselves
    pending: int = 0  # batches that have not stopped yet: the next run collects what they finished
    handed_over: bool = False  # another process waits for these batches: it was told to collect, and to stop
    answers: Counter[str] = field(default_factory=Counter)  # records that were kept, by status
    cost_usd: Decimal = Decimal(0)


def cancel_batches(
    out: Path,
    client: OpenAI,
    *,
    remembered: Callable[[str], dict[str, Any] | None],
    journal: Callable[[dict[str, Any]], None],
    poll_s: float = 5.0,
    patience_s: float = _PATIENCE_S,
    progress: Callable[[int, int, int], None] | None = None,
) -> CancelReport:
    """Cancel what is on its way, wait until it has stopped, and keep what it finished.

    Args:
        out: the folder of results.
        client: see `make_sync_client`.
        remembered, journal: as for `run_batches`.
        poll_s: seconds between looks at the server.
        patience_s: how long to wait for the batches to stop.
        progress: called with (stopped, total, 0) batches.

    Raises:
        StopJob: the server cannot be reached, or does not know a batch.
    """
    store = BatchStore(out)
    api = BatchApi(client)
    report = CancelReport()
    if not store.active():
        return report
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(store.lock())
        except LandingError:
            return _hand_over(store, api, report)
        recover(store, api, settle_s=poll_s)
        flight = held.enter_context(contextlib.closing(Flight()))
        load_flight(store, flight)
        collector = Collector(store, api, flight, remembered=remembered, journal=journal)
        active = store.active()
        total = len(active)
        batches = {state.id: api.cancel(state.batch_id or "") for state in active}
        until = time.monotonic() + patience_s
        while True:
            for state in list(active):
                if batches[state.id].status in ENDED:
                    found = collector.collect(state, batches[state.id])
                    active.remove(state)
                    report.cancelled += found.status == "cancelled"
                    report.ended += found.status != "cancelled"
                    report.answers += found.answers
                    report.cost_usd += found.paid_usd
            if progress is not None:
                progress(total - len(active), total, 0)
            if not active or time.monotonic() > until:
                break
            time.sleep(poll_s)
            batches = {state.id: api.retrieve(state.batch_id or "") for state in active}
        report.pending = len(active)
    return report


def _hand_over(store: BatchStore, api: BatchApi, report: CancelReport) -> CancelReport:
    """Another process holds the batches: they are cancelled here, it collects them and sends no more."""
    store.cancel_wanted = True
    for state in store.active():
        if state.batch_id is not None:
            api.cancel(state.batch_id)
            report.cancelled += 1
    report.handed_over = True
    return report

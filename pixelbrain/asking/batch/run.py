"""Ask through the Batch API: waves of batches under the account's limits and the budget."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelbrain.asking.batch.api import BatchApi
from pixelbrain.asking.batch.collect import Collector
from pixelbrain.asking.batch.pending_answers import Flight
from pixelbrain.asking.batch.quota import Limits, Room
from pixelbrain.asking.batch.report import BatchReport
from pixelbrain.asking.batch.request_file import MAX_BYTES, MAX_REQUESTS, settings_key
from pixelbrain.asking.batch.requests import RequestMaker
from pixelbrain.asking.batch.rounds import Waves
from pixelbrain.asking.batch.store import BatchStore
from pixelbrain.asking.batch.submit import load_flight, recover
from pixelbrain.asking.batch.token_queue import TokenQueue
from pixelbrain.asking.cost.prices import ModelPrice
from pixelbrain.asking.questions.question import AskSettings
from pixelbrain.errors import ConfigError

if TYPE_CHECKING:
    from openai import OpenAI

__all__ = ["BatchReport", "run_batches"]

#: A batch whose creation was on its way when its process was killed is known to the server after so long.
_SETTLE_S = 10.0


def run_batches(
    entries: Iterable[dict[str, str]],
    settings: AskSettings,
    price: ModelPrice,
    *,
    out: Path,
    client: OpenAI,
    read: Callable[[str], bytes],
    remembered: Callable[[str], dict[str, Any] | None],
    journal: Callable[[dict[str, Any]], None],
    budget_usd: Decimal | None = None,
    already_spent_usd: Decimal = Decimal(0),
    wait: bool = True,
    enqueued_token_limit: int | None = None,
    poll_s: float = 30.0,
    progress: Callable[[int, int, int], None] | None = None,
    max_bytes: int = MAX_BYTES,
    max_requests: int = MAX_REQUESTS,
) -> BatchReport:
    """Ask the questions about images through the Batch API, at half the price and within a day.

    May be ended at any point, and run again on any machine that has OUT and the key: nothing is paid for twice, and
    what has ended is collected first, whatever run sent it.

    Args:
        entries: dicts with image_id and version, of the images without an answer; taken as far as there is room.
        settings: what is asked.
        price: of the settings' model.
        out: the folder of results; the states are in its answers/batches.
        client: see `make_sync_client`.
        read: the bytes of an image; called by several threads at once.
        remembered: the record with an answer key, if there is one. What `journal` got, it finds from then on.
        journal: takes each record: answers, failures, what is over budget, and what is remembered. A record has
            `question` (see `question_hash`); with batches of earlier runs, it may be none of the settings'.
        budget_usd: a cap for all that was ever spent; the most that a request can cost is reserved before it is sent.
        already_spent_usd: the cost of all journalled records.
        wait: until everything is answered. False: collect what has ended, send what fits, and return.
        enqueued_token_limit: input tokens that may be on their way at once; None: learnt from the server's refusals.
        poll_s: seconds between looks at the server.
        progress: called with (done, total, failed) requests.
        max_bytes, max_requests: of one file.

    Raises:
        StopJob: no request of this job can succeed, or the server cannot be reached; what was answered is kept.
        LandingError: OUT cannot be written, or another process works on its batches.
        ConfigError: settings that do not go with batches.
    """
    if settings.image_urls:
        raise ConfigError("image_urls does not go with batch: a presigned URL may be out of date when its turn comes")
    store = BatchStore(out)
    with store.lock(), contextlib.closing(Flight()) as flight:
        store.cancel_wanted = False  # said to a run that is no more
        api = BatchApi(client)
        recover(store, api, settle_s=min(poll_s, _SETTLE_S))
        spent_usd = already_spent_usd + load_flight(store, flight)
        limits = Limits(budget_usd=budget_usd, poll_s=poll_s, max_bytes=max_bytes, max_requests=max_requests)
        key = settings_key(settings)
        maker = RequestMaker(entries, settings, price, flight, read=read, remembered=remembered, journal=journal)
        waves = Waves(
            settings,
            price,
            limits,
            settings_key=key,
            room=Room(limits, TokenQueue(enqueued_token_limit), store.active(), spent_usd),
            store=store,
            api=api,
            flight=flight,
            collector=Collector(
                store,
                api,
                flight,
                remembered=remembered,
                journal=journal,
                settings=key,
                questions=settings.questions,
            ),
            maker=maker,
            progress=progress,
        )
        with contextlib.closing(maker):
            report = waves.run(wait=wait)
        report.answers += maker.answers
        report.remembered += maker.remembered
        return report

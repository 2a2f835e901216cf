"""Ask through the Batch API: rounds of batches under the account's limits and the budget. Nothing of it needs Ray."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal

from openai import OpenAI

from pixelbrain.asking.batch.api import BatchApi
from pixelbrain.asking.batch.collect import Collector
from pixelbrain.asking.batch.pending_answers import PendingAnswers
from pixelbrain.asking.batch.quota import Quota
from pixelbrain.asking.batch.requests import RequestMaker
from pixelbrain.asking.batch.rounds import BatchReport, Rounds
from pixelbrain.asking.batch.store import BatchStore
from pixelbrain.asking.batch.submit import MAX_BYTES, MAX_REQUESTS, RequestFile, recover
from pixelbrain.asking.cost.prices import ModelPrice
from pixelbrain.asking.pending import pending_images, spent_usd
from pixelbrain.asking.request.body import question_hash
from pixelbrain.asking.request.client import make_sync_client
from pixelbrain.asking.settings import AskLimits, AskSettings
from pixelbrain.errors import ConfigError
from pixelbrain.landing.answers.log import AnswerMemory
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.where.language import Condition
from pixelbrain.locks.run import RunLock
from pixelbrain.sources import read_bytes
from pixelbrain.storage.base import Storage

#: A batch whose creation was on its way when its process was killed is known to the server after so long.
_SETTLE_S = 10.0


def ask_batch(
    landing: Landing,
    settings: AskSettings,
    price: ModelPrice,
    limits: AskLimits,
    *,
    where: Condition | None = None,
    limit: int | None = None,
    wait: bool = True,
    progress: Callable[[int, int, int], None] | None = None,
    poll_s: float = 30.0,
) -> BatchReport:
    """Ask the questions about the landed images that they are open for, and land the answers.

    Of them, `where` and `limit` mean some. All else, and what is raised, is as in `run_batches`; and `OutLockedError`:
    another process works on this OUT.
    """
    settings.server.require_batches()
    with RunLock(landing.storage, what="ask --batch"), open_memory(landing, settings) as memory:
        tables = pending_images(landing, settings, where)
        return run_batches(
            itertools.islice((row for table in tables for row in table.to_pylist()), limit),
            settings,
            price,
            storage=landing.storage,
            client=make_sync_client(server=settings.server, timeout_s=settings.timeout_s),
            memory=memory,
            read=functools.partial(read_bytes, s3_endpoint=settings.s3_endpoint),
            budget_usd=limits.budget_usd,
            already_spent_usd=spent_usd(landing.answer_log, tuple(q.field for q in settings.questions)),
            wait=wait,
            progress=progress,
            poll_s=poll_s,
        )


@contextlib.contextmanager
def open_memory(landing: Landing, settings: AskSettings | None) -> Iterator[AnswerMemory]:
    """The answers of an OUT, for what batches bring: to these questions, and to those of earlier runs."""
    landing.answer_log.fold()
    landing.refresh()
    questions = settings.questions if settings is not None else ()
    asked = [q for state in BatchStore(landing.storage).states() for q in state.read_questions()] + list(questions)
    memory = AnswerMemory(
        landing.answer_log,
        f"batch-{uuid.uuid4().hex[:8]}-{os.getpid()}",
        types={question.field: question.answer.arrow_type() for question in asked},
        questions={q.field: question_hash(settings, q) for q in questions} if settings is not None else {},
    )
    try:
        yield memory
    finally:
        memory.close()
        landing.answer_log.fold()
        landing.refresh()


def run_batches(
    entries: Iterable[Mapping[str, str]],
    settings: AskSettings,
    price: ModelPrice,
    *,
    storage: Storage,
    client: OpenAI,
    memory: AnswerMemory,
    read: Callable[[str], bytes],
    budget_usd: Decimal | None = None,
    already_spent_usd: Decimal = Decimal(0),
    wait: bool = True,
    poll_s: float = 30.0,
    progress: Callable[[int, int, int], None] | None = None,
    max_bytes: int = MAX_BYTES,
    max_requests: int = MAX_REQUESTS,
) -> BatchReport:
    """Ask the questions about images through the Batch API, at half the price and within a day.

    May be ended at any point, and run again on any machine that has OUT and the key: nothing is paid for twice, and
    what has ended is collected first, whatever run sent it.

    Args:
        entries: with image_id and version, of the images without an answer; taken as far as there is room.
        storage: where OUT is, held by the caller.
        memory: what was answered before, and the journal, which takes each record: answers, failures, what is over
            budget, and what is remembered; with batches of earlier runs, it may be of none of the settings' questions.
        read: the bytes of an image; called by several threads at once.
        budget_usd: a cap for all that was ever spent; the most that a request can cost is reserved before it is sent.
        wait: until everything is answered. False: collect what has ended, send what fits, and return.
        poll_s: seconds between looks at the server.
        progress: called with (done, total, failed) requests.

    Raises:
        StopJob: no request of this job can succeed, or the server cannot be reached; what was answered is kept.
        LandingError: OUT cannot be written.
        ConfigError: settings that do not go with batches.
    """
    if settings.image_urls:
        raise ConfigError("image_urls does not go with batch: a presigned URL may be out of date when its turn comes")
    store, api = BatchStore(storage), BatchApi(client)
    with contextlib.closing(PendingAnswers()) as pending:
        store.cancel_wanted = False  # said to a run that is no more
        recover(store, api, settle_s=min(poll_s, _SETTLE_S))
        spent = already_spent_usd + pending.load(store)
        with contextlib.closing(RequestMaker(iter(entries), settings, price, pending, memory, read)) as maker:
            report = Rounds(
                maker=maker,
                new_file=lambda: RequestFile(
                    store, maker.spoken, price, max_bytes=max_bytes, max_requests=max_requests
                ),
                quota=Quota(budget_usd, poll_s, store.active(), spent),
                store=store,
                api=api,
                pending=pending,
                collector=Collector(store, api, pending, memory, maker.settings_key, settings.questions, maker.teach),
                progress=progress,
            ).run(wait=wait)
        report.answers += maker.answers
        report.remembered += maker.remembered
        return report

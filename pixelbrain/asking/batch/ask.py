"""Ask through the Batch API: half the price, within a day. Nothing of it needs Ray; OUT holds all of its state."""

from __future__ import annotations

import contextlib
import functools
import os
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pixelbrain.asking.batch.api import make_sync_client
from pixelbrain.asking.batch.cancel import CancelReport, cancel_batches
from pixelbrain.asking.batch.report import BatchReport
from pixelbrain.asking.batch.results import read_questions
from pixelbrain.asking.batch.run import run_batches
from pixelbrain.asking.batch.store import BatchStore
from pixelbrain.asking.pending import pending_images, spent_usd
from pixelbrain.asking.questions.question import AskLimits, AskSettings
from pixelbrain.asking.questions.where import Where
from pixelbrain.asking.request.body import question_hash
from pixelbrain.landing.answers.memory import AnswerMemory
from pixelbrain.landing.landing import Landing
from pixelbrain.sources import read_bytes

if TYPE_CHECKING:
    from pixelbrain.asking.cost.prices import ModelPrice

__all__ = ["ask_batch", "cancel"]


def ask_batch(
    landing: Landing,
    settings: AskSettings,
    price: ModelPrice,
    limits: AskLimits,
    *,
    where: Where | None = None,
    limit: int | None = None,
    wait: bool = True,
    progress: Callable[[int, int, int], None] | None = None,
    poll_s: float = 30.0,
) -> BatchReport:
    """As `engine.ask.run.ask`, through the Batch API; see `asking.batch.run.run_batches` for what it survives.

    Args:
        wait: until everything is answered. False: collect what has ended, send what fits, and return.
        poll_s: seconds between looks at the server.
    """
    with _memory(landing, settings) as memory:
        return run_batches(
            _entries(landing, settings, where, limit),
            settings,
            price,
            out=landing.storage.local,
            client=make_sync_client(base_url=settings.base_url, timeout_s=settings.timeout_s),
            read=functools.partial(read_bytes, s3_endpoint=settings.s3_endpoint),
            remembered=memory.remembered,
            journal=memory.journal,
            budget_usd=limits.budget_usd,
            already_spent_usd=spent_usd(landing.answer_log, tuple(q.field for q in settings.questions)),
            wait=wait,
            progress=progress,
            poll_s=poll_s,
        )


def cancel(landing: Landing, *, base_url: str | None = None) -> CancelReport:
    """Cancel the batches that are on their way, and keep what they have answered."""
    with _memory(landing, None) as memory:
        return cancel_batches(
            landing.storage.local,
            make_sync_client(base_url=base_url),
            remembered=memory.remembered,
            journal=memory.journal,
        )


@contextlib.contextmanager
def _memory(landing: Landing, settings: AskSettings | None) -> Iterator[AnswerMemory]:
    landing.answer_log.fold()
    landing.refresh()
    questions = settings.questions if settings is not None else ()
    # batches of earlier runs may bring answers to other questions
    asked = [q for state in BatchStore(landing.storage.local).states() for q in read_questions(state)] + list(questions)
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


def _entries(
    landing: Landing, settings: AskSettings, where: Where | None, limit: int | None
) -> Iterator[dict[str, Any]]:
    left = limit
    for table in pending_images(landing, settings, where):
        for row in table.to_pylist():
            if left == 0:
                return
            left = None if left is None else left - 1
            yield row

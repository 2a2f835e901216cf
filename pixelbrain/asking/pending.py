"""What is still to be asked about what has landed, and what asking has cost so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.request.body import question_hash
from pixelbrain.asking.settings import AskSettings
from pixelbrain.landing.answers.log import FINAL_STATUSES, AnswerLog
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.where.language import Condition
from pixelbrain.landing.where.names import mask


def pending_images(landing: Landing, settings: AskSettings, where: Condition | None = None) -> Iterator[pa.Table]:
    """The images that are still to be asked about.

    An image that could not be read is not asked about. One that all questions were answered for (or that was refused,
    or whose answers could not be used) is done, until its file or a question changes.

    Yields:
        Tables with image_id, version, sha256, width and height.

    Raises:
        ConfigError: a question is called like a module of this OUT.
    """
    for question in settings.questions:
        schema.check_name("question", question.field, modules=landing.index.modules)
    open_questions = [_open_mask(landing, settings, question) for question in settings.questions]
    unanswered = np.logical_or.reduce(open_questions)
    start = 0
    for table in landing.iter_images(vectors=False):
        chosen = pc.equal(table["status"], schema.Status.OK.value).combine_chunks()
        chosen = pc.and_(chosen, pa.array(unanswered[start : start + len(table)]))
        start += len(table)
        if where is not None:
            chosen = pc.and_(chosen, mask(where, table))
        rows = table.select(["image_id", "version", "sha256", "width", "height"]).filter(chosen)
        if len(rows):
            yield rows


def _open_mask(landing: Landing, settings: AskSettings, question: Question) -> np.ndarray:
    """True for each image of the index that has no final answer to this question."""
    index = landing.index
    answers = landing.answer_log.read(question.field, ["image_id", "version", "question", "status"])
    if answers is None:
        return np.ones(len(index.image_id), bool)
    final = pc.is_in(answers["status"], pa.array(sorted(FINAL_STATUSES)))
    final = pc.and_(final, pc.equal(answers["question"], question_hash(settings, question)))
    return np.asarray(index.rows_in(answers.filter(final)).is_null())


def spent_usd(log: AnswerLog, fields: Sequence[str]) -> Decimal:
    """What these fields have cost so far: their answers, and requests that may have been paid for and were lost."""
    answers = sum((Decimal(r["cost_usd"] or 0) for r in log.records() if r["field"] in fields), start=Decimal(0))
    return answers + log.lost_usd(fields)

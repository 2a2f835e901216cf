"""Answer records: what is known about a question and an image, as it is journalled and lands, and added up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import ROUND_DOWN, Decimal
from typing import Any

from pixelbrain.asking.questions.question import AnswerStatus, Question
from pixelbrain.asking.reasons import Reasons, as_rows, only_reason
from pixelbrain.errors import StopJob
from pixelbrain.shown import Shown


@dataclass(frozen=True)
class Spent:
    """What the tries of one request came to, all together."""

    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal = Decimal(0)

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens, self.usd + other.usd
        )

    def split(self, parts: int) -> list[Spent]:
        """Equal shares, and with the first one what is left over, so that the sums are exact."""
        unit, rest = Decimal(1).scaleb(int(self.usd.as_tuple().exponent)), parts - 1
        input_tokens, output_tokens = self.input_tokens // parts, self.output_tokens // parts
        usd = (self.usd / parts).quantize(unit, rounding=ROUND_DOWN)
        left = self.input_tokens - rest * input_tokens, self.output_tokens - rest * output_tokens, self.usd - rest * usd
        return [Spent(*left)] + [Spent(input_tokens, output_tokens, usd)] * rest


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a request ended, after all its tries."""

    status: AnswerStatus  # of the questions without an answer
    answers: Mapping[str, Any] = field(default_factory=dict)  # by field; these are ok
    raw: str | None = None  # the model's words, when invalid or refused
    error_type: str | None = None
    error: str | None = None
    model: str | None = None  # that answered
    latency_s: float | None = None  # of the last try
    spent: Spent = Spent()


def answer_records(
    entry: Mapping[str, Any], keys: Mapping[str, str] | None, questions: Sequence[Question], outcome: Outcome
) -> list[dict[str, Any]]:
    """The records of a request's questions, in their order; its tokens and dollars are split among them.

    Each field's answer is remembered under its key; without `keys`, the image was not read.
    """
    answered_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return [
        {
            "image_id": entry["image_id"],
            "version": entry["version"],
            "field": question.field,
            "key": keys and keys[question.field],
            "status": str(AnswerStatus.OK if answered else outcome.status),
            "answer": outcome.answers.get(question.field),
            "raw": None if answered else outcome.raw,
            "error_type": None if answered else outcome.error_type,
            "error": None if answered else outcome.error,
            "model": outcome.model,
            "input_tokens": share.input_tokens,
            "output_tokens": share.output_tokens,
            "cost_usd": f"{share.usd:f}",
            "latency_s": outcome.latency_s,
            "answered_at": answered_at,
            "remembered": False,
        }
        for question, share in zip(questions, outcome.spent.split(len(questions)), strict=True)
        for answered in [question.field in outcome.answers]
    ]


def remembered_record(entry: Mapping[str, Any], question: Question, record: Mapping[str, Any]) -> dict[str, Any]:
    """An earlier record, as the answer to the same question about the same picture elsewhere. It costs nothing."""
    return {
        **record,
        "image_id": entry["image_id"],
        "version": entry["version"],
        "field": question.field,
        "answer": json.loads(json.dumps(record["answer"])),  # nobody shares a list with another row
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_usd": "0",
        "remembered": True,
    }


@dataclass(kw_only=True, repr=False)
class AskReport(Shown):
    """What a run of `ask` did."""

    images: int = 0  # that were to be asked about
    statuses: Counter[str] = field(default_factory=Counter)  # of answers, by status
    failures: Counter[str] = field(default_factory=Counter)  # by error_type
    reasons: Reasons = field(default_factory=Reasons, repr=False)  # of those that failed, in words
    by_server: Reasons = field(default_factory=Reasons, repr=False)  # of them, those that were sent
    remembered: int = 0  # answers that were not paid for again
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    seconds: float = 0.0
    failed_images: int = 0
    overrun: str | None = None  # said when requests cost a fifth more than was estimated
    notes: list[str] = field(default_factory=list)  # said once: what the server does otherwise than others

    def merge(self, other: AskReport) -> None:
        """Add what a part of the work came to; `images` is known beforehand."""
        self.statuses += other.statuses
        self.failures += other.failures
        self.reasons += other.reasons
        self.by_server += other.by_server
        for name in ("remembered", "input_tokens", "output_tokens", "cost_usd", "failed_images"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.overrun = other.overrun or self.overrun
        self.notes = list(dict.fromkeys([*self.notes, *other.notes]))

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one answer record."""
        self.statuses[record["status"]] += 1
        self.remembered += bool(record.get("remembered"))
        self.input_tokens += record.get("input_tokens") or 0
        self.output_tokens += record.get("output_tokens") or 0
        self.cost_usd += Decimal(record.get("cost_usd") or 0)
        if record.get("error_type"):
            self.failures[record["error_type"]] += 1
        if record["status"] in (AnswerStatus.FAILED, AnswerStatus.INVALID):
            reason = str(record.get("error") or record.get("error_type"))
            self.reasons.add(reason)
            if record["status"] == AnswerStatus.FAILED and record.get("key"):  # else its image could not be read
                self.by_server.add(reason)

    def only_reason(self) -> StopJob | None:
        """The error to end with where all failed for one reason that is not the images'."""
        return only_reason(self.statuses, self.by_server)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "images": self.images,
            "answers": dict(self.statuses),
            "failures": dict(self.failures.most_common()),
            "reasons": as_rows(self.reasons),
            "remembered": self.remembered,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": str(self.cost_usd),
            "overrun": self.overrun,
            "notes": self.notes,
            "seconds": round(self.seconds, 2),
        }

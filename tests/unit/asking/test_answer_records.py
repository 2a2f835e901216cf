"""What is known about a question and an image: sums that are exact, and copies that share nothing."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal

import pytest

from pixelbrain.asking.answer_records import AskReport, Outcome, Spent, answer_records, remembered_record
from pixelbrain.asking.questions.question import AnswerStatus
from tests.unit.asking.online.asker_bench import PERSON

ENTRY = {"image_id": "a", "version": "1"}


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_splits_add_up(parts: int):
    questions = [dataclasses.replace(PERSON, field=f"q{n}") for n in range(parts)]
    spent = Spent(1000, 17, Decimal("0.00012345"))
    entry = {"image_id": "a", "version": "1"}
    outcome = Outcome(status=AnswerStatus.INVALID, spent=spent)
    records = answer_records(entry, dict.fromkeys([q.field for q in questions], "k"), questions, outcome)
    assert len(records) == parts
    assert sum(r["input_tokens"] for r in records) == 1000 and sum(r["output_tokens"] for r in records) == 17
    assert sum(Decimal(r["cost_usd"]) for r in records) == spent.usd
    assert all(Decimal(r["cost_usd"]) >= 0 and "E" not in r["cost_usd"] for r in records)


def test_fields_with_an_answer_are_ok_whatever_the_others_are():
    other = dataclasses.replace(PERSON, field="other")
    outcome = Outcome(status=AnswerStatus.INVALID, answers={"is_person": True}, raw="?", error_type="T", error="e")
    first, second = answer_records(ENTRY, {"is_person": "k1", "other": "k2"}, [PERSON, other], outcome)
    assert (first["status"], first["answer"], first["raw"], first["error"], first["key"]) == (
        "ok",
        True,
        None,
        None,
        "k1",
    )
    assert (second["status"], second["answer"], second["raw"], second["error_type"]) == ("invalid", None, "?", "T")


def test_an_image_that_was_not_read_has_no_keys():
    (record,) = answer_records(ENTRY, None, [PERSON], Outcome(status=AnswerStatus.FAILED))
    assert record["key"] is None and record["cost_usd"] == "0"


def test_a_remembered_answer_costs_nothing_and_is_nobody_elses_list():
    (record,) = answer_records(
        ENTRY, {"is_person": "k"}, [PERSON],
        Outcome(status=AnswerStatus.OK, answers={"is_person": ["x"]}, spent=Spent(5, 5, Decimal(1))),
    )  # fmt: skip
    copy = remembered_record({"image_id": "b", "version": "2"}, dataclasses.replace(PERSON, field="twin"), record)
    assert (copy["image_id"], copy["version"], copy["field"], copy["key"]) == ("b", "2", "twin", "k")
    assert (copy["cost_usd"], copy["input_tokens"], copy["output_tokens"], copy["remembered"]) == ("0", 0, 0, True)
    copy["answer"].append("y")
    assert record["answer"] == ["x"]


RECORD = {"status": "ok", "remembered": False, "input_tokens": 5, "output_tokens": 2, "cost_usd": "0.1"}


def test_parts_add_up_and_are_json() -> None:
    whole, first, second = AskReport(images=3), AskReport(), AskReport(overrun="much")
    first.add(RECORD)
    first.add({**RECORD, "remembered": True, "cost_usd": "0"})
    second.add({**RECORD, "status": "failed", "error_type": "ReadError", "input_tokens": None, "cost_usd": None})
    second.failed_images = 1
    whole.merge(first)
    whole.merge(second)
    assert (whole.statuses, whole.failures) == ({"ok": 2, "failed": 1}, {"ReadError": 1})
    assert (whole.remembered, whole.input_tokens, whole.output_tokens) == (1, 10, 6)
    assert (whole.cost_usd, whole.failed_images, whole.images, whole.overrun) == (Decimal("0.1"), 1, 3, "much")
    assert json.loads(json.dumps(whole.as_dict()))["cost_usd"] == "0.1"

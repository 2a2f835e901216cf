"""What a line of a batch's results means."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pixelbrain.asking.batch.results import MAX_TRIES, ResultReader
from pixelbrain.asking.batch.store import BatchState, Row
from pixelbrain.asking.questions.answer_types import answer_type

STATE = BatchState(
    id="b",
    stage="running",
    created_at="2026-11-22T00:00:00+00:00",
    settings="s",
    model="gpt-4o-mini",
    questions=[
        {"field": "a", "text": "A?", "answer": answer_type("bool").as_dict(), "hash": "ha"},
        {"field": "b", "text": "B?", "answer": answer_type("int").as_dict(), "hash": "hb"},
    ],
    price={"input_usd_per_million": "0.15", "output_usd_per_million": "0.60", "batch_factor": "0.5"},
    requests=1,
    input_tokens=3000,
    usd=Decimal("0.001"),
    usual_usd=Decimal("0.001"),
)
ROW = Row(
    custom_id="c", image_id="i", version="v", keys={"a": "ka", "b": "kb"}, input_tokens=3000, usd=Decimal("0.001")
)
READER = ResultReader(STATE, ended_at=1_700_000_000)


def answered(content: str | None, finish_reason: str = "stop", **more: Any) -> dict[str, Any]:
    body = {
        "model": "gpt-4o-mini-2024-07-18",
        "created": 1_600_000_000,
        "choices": [{"message": {"content": content, "refusal": None}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 2901, "completion_tokens": 11},
        **more,
    }
    return {"custom_id": "c", "response": {"status_code": 200, "body": body}, "error": None}


def test_an_answer_is_a_record_a_question_and_the_sums_are_exact() -> None:
    result = READER.read(ROW, answered('{"a": true, "b": 4}'))
    assert result.again is None and len(result.records) == 2
    first, second = result.records
    assert (first["answer"], second["answer"]) == (True, 4)
    assert (first["question"], second["question"]) == ("ha", "hb")
    assert (first["input_tokens"], second["input_tokens"]) == (1451, 1450)
    assert (first["output_tokens"], second["output_tokens"]) == (6, 5)
    exact = (2901 * Decimal("0.15") + 11 * Decimal("0.60")) / 1_000_000 / 2
    assert Decimal(first["cost_usd"]) + Decimal(second["cost_usd"]) == exact == result.paid.usd
    assert first["answered_at"] == "2020-09-13T12:26:40.000+00:00"
    assert first["latency_s"] is None and first["remembered"] is False
    assert READER.read(ROW, answered('{"a": true, "b": 4}')).records == result.records


def test_an_invalid_answer_is_asked_again_once_and_its_cost_is_kept() -> None:
    result = READER.read(ROW, answered('{"a": true}'))
    assert result.records == [] and result.again is not None
    assert result.again.asked_again and result.again.spent == result.paid
    second = READER.read(result.again, answered('{"a": false, "b": "x"}'))
    assert [record["status"] for record in second.records] == ["ok", "invalid"]
    assert second.records[1]["raw"] == '{"a": false, "b": "x"}'
    assert sum(Decimal(record["cost_usd"]) for record in second.records) == 2 * result.paid.usd


def test_a_cut_off_answer_gets_more_room_once_unless_it_is_whole() -> None:
    result = READER.read(ROW, answered('{"a": tr', "length"))
    assert result.again is not None and result.again.more_room and not result.again.asked_again
    second = READER.read(result.again, answered('{"a": tr', "length"))
    assert {(record["status"], record["error_type"]) for record in second.records} == {("invalid", "Truncated")}
    assert {r["status"] for r in READER.read(ROW, answered('{"a": true, "b": 4}', "length")).records} == {"ok"}


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "many", "completion_tokens": 1}])
def test_without_usage_the_most_that_it_can_cost_is_counted(usage: Any) -> None:
    result = READER.read(ROW, answered('{"a": true, "b": 4}', usage=usage))
    assert result.paid.usd == ROW.usd
    assert sum(Decimal(record["cost_usd"]) for record in result.records) == ROW.usd


@pytest.mark.parametrize(
    "line",
    [
        {"response": None, "error": {"code": "batch_expired", "message": "expired"}},
        {"response": None, "error": None},
        {},
        {"response": {"status_code": 200, "body": {"error": {"message": "overloaded", "code": 503}}}},
        {"response": {"status_code": 500, "body": {"error": {"message": "oops"}}}},
        {"response": {"status_code": 429, "body": {"error": {"code": "rate_limit_exceeded"}}}},
        {"response": {"status_code": "?", "body": "garbage"}},
    ],
)
def test_what_brings_no_answer_is_asked_again_so_often(line: dict[str, Any]) -> None:
    row = ROW
    for _ in range(MAX_TRIES - 1):
        result = READER.read(row, line)
        assert result.again is not None
        row = result.again
    result = READER.read(row, line)
    assert [record["status"] for record in result.records] == ["failed", "failed"]
    assert "3 batches brought no answer" in result.records[0]["error"]
    assert result.records[0]["cost_usd"] == "0"


@pytest.mark.parametrize("body", [None, {"choices": []}, {"choices": [{"message": {"content": [1]}}]}])
def test_an_answer_that_is_none_is_paid_for_and_asked_for_again_once(body: Any) -> None:
    first = READER.read(ROW, {"response": {"status_code": 200, "body": body}})
    assert first.again is not None and first.paid.usd == ROW.usd and first.estimated
    last = READER.read(first.again, {"response": {"status_code": 200, "body": body}})
    assert [(r["status"], r["error_type"]) for r in last.records] == [("failed", "GarbledResponse")] * 2
    assert sum(Decimal(record["cost_usd"]) for record in last.records) == 2 * ROW.usd


def test_a_cancelled_request_has_not_tried() -> None:
    result = READER.read(ROW, {"response": None, "error": {"code": "batch_cancelled", "message": "cancelled"}})
    assert result.again == ROW


def test_no_money_stops_the_job_and_counts_no_try() -> None:
    body = {"error": {"code": "insufficient_quota", "type": "insufficient_quota", "message": "quota"}}
    result = READER.read(ROW, {"response": {"status_code": 429, "body": body}})
    assert result.stop is not None and result.again == ROW


def test_a_failed_request_tells_what_its_earlier_tries_cost() -> None:
    row = READER.read(ROW, answered("no JSON")).again
    assert row is not None
    body = {"error": {"code": "invalid_image", "message": "bad sk-abcdefgh12345"}}
    result = READER.read(row, {"response": {"status_code": 400, "body": body}})
    assert {record["status"] for record in result.records} == {"failed"}
    assert sum(Decimal(record["cost_usd"]) for record in result.records) == row.spent.usd > 0
    assert "abcdefgh" not in json.dumps(result.records)


def test_a_row_may_ask_fewer_questions_than_the_batch() -> None:
    result = READER.read(replace(ROW, keys={"b": "kb"}), answered('{"b": 4}'))
    assert [(record["field"], record["answer"]) for record in result.records] == [("b", 4)]

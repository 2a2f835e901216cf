"""What was answered before is found, and what is journalled is found from then on."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from pixelbrain.landing.answers.log import AnswerLog
from pixelbrain.landing.answers.memory import AnswerMemory
from tests.unit.landing.answers.test_log import record

TYPES = {"is_cat": pa.bool_()}


def memory(log: AnswerLog, writer: str) -> AnswerMemory:
    return AnswerMemory(log, writer, TYPES, {"is_cat": "asked-now"})


def test_answers_are_found_by_their_key_here_and_by_the_next_process(tmp_path: Path) -> None:
    log = AnswerLog(tmp_path)
    first = memory(log, "one")
    assert first.remembered("k-a") is None
    first.journal({name: value for name, value in record("a").items() if name != "question"})
    first.journal(record("b", status="failed", answer=None))
    first.journal(record("c", key=None))
    found = first.remembered("k-a")
    assert found is not None and found["answer"] is True
    assert first.remembered("k-b") is None  # no answer: asked again
    first.close()
    second = memory(log, "two")
    assert second.remembered("k-a") is not None and second.remembered("k-b") is None
    second.close()
    questions = {one["image_id"]: one["question"] for one in log.records()}
    assert questions == {"a": "asked-now", "b": "q1", "c": "q1"}  # given to those that do not say


def test_nobody_shares_a_record(tmp_path: Path) -> None:
    one = memory(AnswerLog(tmp_path), "one")
    one.journal(record("a", answer=["x"]))
    one.remembered("k-a")["answer"].append("y")
    assert one.remembered("k-a")["answer"] == ["x"]
    one.close()

"""Answers are journalled as they come, folded into typed Parquet, and survive being killed in between."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.landing.answers.log import AnswerLog, AnswerMemory
from pixelbrain.landing.landing import Landing

TYPES = {"is_cat": pa.bool_(), "tags": pa.list_(pa.string())}


def record(image_id: str, field: str = "is_cat", **values) -> dict:
    base = {
        "image_id": image_id,
        "version": "1",
        "field": field,
        "question": "q1",
        "key": f"k-{image_id}",
        "status": "ok",
    }
    return base | {"cost_usd": "0.000123456789", "answer": True, "remembered": False} | values


def test_folded_answers_have_their_type(tmp_path):
    log = AnswerLog(tmp_path)
    journal = log.journal("one", TYPES)
    journal.append(record("a"), record("a", "tags", answer=["x", "y"]))
    journal.append(record("b", answer=None, status="refused", raw="no"))
    journal.close()
    assert len(list(log.records())) == 3 and log.fields() == []
    log.fold()
    assert log.fields() == ["is_cat", "tags"] and not list((tmp_path / "answers" / "journal").iterdir())
    table = log.read("is_cat")
    assert table.schema.field("answer").type == pa.bool_()
    assert table.select(["image_id", "answer", "status"]).to_pylist() == [
        {"image_id": "a", "answer": True, "status": "ok"},
        {"image_id": "b", "answer": None, "status": "refused"},
    ]
    assert log.read("tags")["answer"].to_pylist() == [["x", "y"]]
    assert sum(Decimal(r["cost_usd"]) for r in log.records()) == Decimal("0.000370370367")


def test_only_answers_to_the_newest_question_are_read(tmp_path):
    log = AnswerLog(tmp_path)
    for question, ids in (("q1", "ab"), ("q2", "bc")):
        journal = log.journal(question, TYPES)
        journal.append(*(record(image_id, question=question, answer=question == "q2") for image_id in ids))
        journal.close()
        log.fold()
    found = log.read("is_cat").select(["image_id", "question", "answer"]).to_pylist()
    assert found == [{"image_id": image_id, "question": "q2", "answer": True} for image_id in "bc"]


def test_a_torn_line_costs_only_itself(tmp_path):
    log = AnswerLog(tmp_path)
    journal = log.journal("one", TYPES)
    journal.append(record("a"))
    journal.close()
    path = tmp_path / "answers" / "journal" / "one.jsonl"
    path.write_bytes(path.read_bytes() + b'{"image_id": "b", "fie')
    again = log.journal("one", TYPES)
    again.append(record("c"))
    again.close()
    log.fold()
    assert log.read("is_cat")["image_id"].to_pylist() == ["a", "c"]


def test_folding_twice_and_answering_again(tmp_path):
    log = AnswerLog(tmp_path)
    for number, answer in enumerate([False, True]):
        journal = log.journal(f"run{number}", TYPES)
        journal.append(record("a", answer=answer))
        journal.close()
        log.fold()
        log.fold()
    assert log.read("is_cat")["answer"].to_pylist() == [True]


def test_the_journals_of_one_run_become_one_file(tmp_path):
    log = AnswerLog(tmp_path)
    for writer in ("one", "two", "three"):
        journal = log.journal(writer, TYPES)
        journal.append(record(writer))
        journal.close()
    log.fold()
    assert [path.name for path in (tmp_path / "answers" / "is_cat").iterdir()] == ["part-000001.parquet"]
    assert sorted(log.read("is_cat")["image_id"].to_pylist()) == ["one", "three", "two"]


def test_a_fold_that_was_killed_before_it_removed_the_journals_changes_no_answer(tmp_path):
    log = AnswerLog(tmp_path)
    journal = log.journal("one", TYPES)
    journal.append(record("a"), record("b", answer=False))
    journal.close()
    path = tmp_path / "answers" / "journal" / "one.jsonl"
    kept = path.read_bytes()
    log.fold()
    path.write_bytes(kept)
    log.fold()
    assert log.read("is_cat").select(["image_id", "answer"]).to_pylist() == [
        {"image_id": "a", "answer": True},
        {"image_id": "b", "answer": False},
    ]


def test_a_file_of_answers_that_lost_power_is_left_out_with_a_warning(tmp_path, caplog):
    log = AnswerLog(tmp_path)
    for number, image_id in enumerate("ab"):
        journal = log.journal(f"run{number}", TYPES)
        journal.append(record(image_id))
        journal.close()
        log.fold()
    path = tmp_path / "answers" / "is_cat" / "part-000002.parquet"
    path.write_bytes(path.read_bytes()[:-7])
    assert log.read("is_cat")["image_id"].to_pylist() == ["a"]
    assert [r["image_id"] for r in log.records()] == ["a"]
    assert "part-000002.parquet" in caplog.text and "asked again" in caplog.text


def test_what_requests_may_have_cost_is_kept_until_it_is_known(tmp_path):
    log = AnswerLog(tmp_path)
    log.set_lost("run1", ["is_cat"], Decimal("0.25"))
    log.set_lost("run2", ["tags"], Decimal("1"))
    assert log.lost_usd(["is_cat"]) == Decimal("0.25") and log.lost_usd(["is_cat", "tags"]) == Decimal("1.25")
    log.set_lost("run1", ["is_cat"], Decimal(0))
    assert log.lost_usd(["is_cat"]) == 0


def test_another_question_replaces_the_answers_even_of_another_type(tmp_path):
    log = AnswerLog(tmp_path)
    for types, values in ((TYPES, {"answer": True}), ({"is_cat": pa.string()}, {"answer": "maybe", "question": "q2"})):
        journal = log.journal("x", types)
        journal.append(record("a", **values))
        journal.close()
        log.fold()
    assert log.read("is_cat")["answer"].to_pylist() == ["maybe"]


def test_answers_to_an_earlier_question_are_nobodys_answers(tmp_path):
    log = AnswerLog(tmp_path)
    journal = log.journal("x", TYPES)
    journal.append(record("a"), record("b"))
    journal.append(record("a", answer=False, question="q2"))
    journal.close()
    log.fold()
    assert log.read("is_cat").select(["image_id", "answer"]).to_pylist() == [{"image_id": "a", "answer": False}]


def test_answers_are_columns_of_the_images_they_are_about(tmp_path):
    landing = Landing(tmp_path)
    base = [{"image_id": i, "version": v, "status": "ok"} for i, v in (("a", "1"), ("b", "2"), ("c", "1"))]
    landing.write_part(
        pa.Table.from_pylist(base, pa.schema(schema.BASE_FIELDS)), generation=1, block=0, piece=0, modules={}
    )
    journal = landing.answer_log.journal("one", TYPES)
    journal.append(record("c"), record("b"), record("gone"))
    journal.close()
    landing.answer_log.fold()
    rows = [row for table in landing.iter_images(batch_rows=2) for row in table.to_pylist()]
    assert len(rows) == 3
    assert [row["is_cat"] and row["is_cat"]["answer"] for row in rows] == [None, None, True]  # b has changed since


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


def test_of_several_answers_about_an_image_the_newest_to_the_newest_question_is_read(tmp_path):
    landing = Landing(tmp_path)
    base = [{"image_id": f"i{n}", "version": "1", "status": "ok"} for n in range(4)]
    landing.write_part(
        pa.Table.from_pylist(base, pa.schema(schema.BASE_FIELDS)), generation=1, block=0, piece=0, modules={}
    )
    log = landing.answer_log
    for run, (question, said) in enumerate([("q1", "abcd"), ("q2", "abca"), ("q2", "x")]):
        journal = log.journal(f"run{run}", {"tags": pa.string()})
        journal.append(*(record(f"i{n}", "tags", question=question, answer=answer) for n, answer in enumerate(said)))
        journal.append(record("i1", "tags", question=question, answer=f"again {run}"))
        journal.close()
        log.fold()
    path = tmp_path / log.files("tags")[1][0]
    rows = [row for table in landing.iter_images(batch_rows=3) for row in table.to_pylist()]
    assert [row["tags"]["answer"] for row in rows] == ["x", "again 2", "c", "a"]
    path.write_bytes(b"of a power loss")
    landing.refresh()
    rows = [row for table in landing.iter_images(["tags"]) for row in table.to_pylist()]
    assert [row["tags"] and row["tags"]["answer"] for row in rows] == ["x", "again 2", None, None]

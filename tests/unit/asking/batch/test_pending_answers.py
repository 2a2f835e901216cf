"""What is on its way, who waits, and what is done over."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from decimal import Decimal

from pixelbrain.asking.answer_records import Spent
from pixelbrain.asking.batch.pending_answers import PendingAnswers
from pixelbrain.asking.batch.store import Row

ROW = Row(custom_id="c", image_id="i", version="v", keys={"a": "ka", "b": "kb"}, input_tokens=1, usd=Decimal(1))


def test_an_answer_on_its_way_is_known_until_its_batch_ends() -> None:
    with closing(PendingAnswers()) as pending:
        assert pending.whose("ka", "a", "i", "v") == "nobody"
        pending.add(ROW, "s")
        assert pending.whose("ka", "a", "i", "v") == "same"
        assert pending.whose("ka", "b", "i", "v") == "other"  # another field with the same question
        assert pending.whose("ka", "a", "i", "v2") == "other"
        assert pending.has_image("s", "i", "v") and not pending.has_image("t", "i", "v")
        assert pending.has_answer(replace(ROW, keys={"x": "kb"})) and not pending.has_answer(replace(ROW, keys={}))
        pending.remove(ROW, "s")
        assert pending.whose("ka", "a", "i", "v") == "nobody" and not pending.has_image("s", "i", "v")


def test_an_image_that_is_done_is_not_looked_at_again() -> None:
    with closing(PendingAnswers()) as pending:
        pending.add(ROW, "s")
        pending.remove(ROW, "s", done=True)
        assert pending.has_image("s", "i", "v") and pending.whose("ka", "a", "i", "v") == "nobody"


def test_those_who_wait_are_served_once_or_looked_at_again() -> None:
    with closing(PendingAnswers()) as pending:
        pending.wait("ka", "a", "j", "1")
        pending.wait("ka", "b", "k", "1")
        pending.wait("kb", "b", "k", "1")
        assert pending.take_waiting("ka") == [("a", "j", "1"), ("b", "k", "1")]
        assert pending.take_waiting("ka") == []
        pending.wait("kc", "c", "k", "1")
        pending.release_waiting()
        assert pending.has_redo()
        assert (pending.pop_redo(), pending.pop_redo()) == ({"image_id": "k", "version": "1"}, None)


def test_what_is_done_over_comes_first_in_first_out() -> None:
    with closing(PendingAnswers()) as pending:
        for number in range(3):
            pending.push_redo(str(number), "v")
        found = [pending.pop_redo() for _ in range(4)]
        assert found == [*({"image_id": str(n), "version": "v"} for n in range(3)), None]
        assert not pending.has_redo()


def test_the_newest_history_of_a_request_counts() -> None:
    with closing(PendingAnswers()) as pending:
        pending.put_again(replace(ROW, spent=Spent(1, 1, Decimal("0.1"))))
        newest = replace(ROW, tries=1, spent=Spent(2, 2, Decimal("0.2")))
        pending.put_again(newest)
        assert pending.look_again("c") == newest and pending.again_usd() == Decimal("0.2")
        pending.drop_again("c")
        assert pending.look_again("c") is None and pending.again_usd() == 0


def test_records_of_this_run_are_known() -> None:
    record = {"key": "k", "field": "a", "image_id": "i", "version": "v"}
    with closing(PendingAnswers()) as pending:
        pending.journalled(record)
        assert pending.is_journalled(record) and not pending.is_journalled({**record, "image_id": "j"})

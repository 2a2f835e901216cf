"""What is on its way, who waits, and what is done over."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from decimal import Decimal

from pixelbrain.asking.answer_records import Spent
from pixelbrain.asking.batch.pending_answers import Flight
from pixelbrain.asking.batch.store import Row

ROW = Row(custom_id="c", image_id="i", version="v", keys={"a": "ka", "b": "kb"}, input_tokens=1, usd=Decimal(1))


def test_an_answer_on_its_way_is_known_until_its_batch_ends() -> None:
    with closing(Flight()) as flight:
        assert flight.whose("ka", "a", "i", "v") == "nobody"
        flight.add(ROW, "s")
        assert flight.whose("ka", "a", "i", "v") == "same"
        assert flight.whose("ka", "b", "i", "v") == "other"  # another field with the same question
        assert flight.whose("ka", "a", "i", "v2") == "other"
        assert flight.has_image("s", "i", "v") and not flight.has_image("t", "i", "v")
        assert flight.has_answer(replace(ROW, keys={"x": "kb"})) and not flight.has_answer(replace(ROW, keys={}))
        flight.remove(ROW, "s")
        assert flight.whose("ka", "a", "i", "v") == "nobody" and not flight.has_image("s", "i", "v")


def test_an_image_that_is_done_is_not_looked_at_again() -> None:
    with closing(Flight()) as flight:
        flight.add(ROW, "s")
        flight.remove(ROW, "s", done=True)
        assert flight.has_image("s", "i", "v") and flight.whose("ka", "a", "i", "v") == "nobody"


def test_those_who_wait_are_served_once_or_looked_at_again() -> None:
    with closing(Flight()) as flight:
        flight.wait("ka", "a", "j", "1")
        flight.wait("ka", "b", "k", "1")
        flight.wait("kb", "b", "k", "1")
        assert flight.take_waiting("ka") == [("a", "j", "1"), ("b", "k", "1")]
        assert flight.take_waiting("ka") == []
        flight.wait("kc", "c", "k", "1")
        flight.release_waiting()
        assert flight.has_redo()
        assert (flight.pop_redo(), flight.pop_redo()) == (("k", "1"), None)


def test_what_is_done_over_comes_first_in_first_out() -> None:
    with closing(Flight()) as flight:
        for number in range(3):
            flight.push_redo(str(number), "v")
        assert [flight.pop_redo() for _ in range(4)] == [("0", "v"), ("1", "v"), ("2", "v"), None]
        assert not flight.has_redo()


def test_the_newest_history_of_a_request_counts() -> None:
    with closing(Flight()) as flight:
        flight.put_again(replace(ROW, spent=Spent(1, 1, Decimal("0.1"))))
        newest = replace(ROW, tries=1, spent=Spent(2, 2, Decimal("0.2")))
        flight.put_again(newest)
        assert flight.look_again("c") == newest and flight.again_usd() == Decimal("0.2")
        flight.drop_again("c")
        assert flight.look_again("c") is None and flight.again_usd() == 0


def test_records_of_this_run_are_known() -> None:
    record = {"key": "k", "field": "a", "image_id": "i", "version": "v"}
    with closing(Flight()) as flight:
        flight.journalled(record)
        assert flight.is_journalled("k", "a", "i", "v") and not flight.is_journalled("k", "a", "j", "v")

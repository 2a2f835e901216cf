"""The states of batches on the disk."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from pixelbrain.asking.answer_records import Spent
from pixelbrain.asking.batch.store import BatchState, BatchStore, Row
from pixelbrain.asking.batch.submit import RequestFile
from pixelbrain.asking.cost.prices import find_price
from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.request.body import question_hash
from pixelbrain.asking.settings import AskSettings
from pixelbrain.errors import LandingError
from pixelbrain.storage.open import open_storage

CHOICE = Question(field="sky", text="Day or night? ä", answer=answer_type("choice:day,night"))
SETTINGS = AskSettings(questions=(CHOICE,))
PRICE = find_price(SETTINGS.model)
ROW = Row(
    custom_id="pb-1", image_id="file:///ä\u2028.jpg", version="v", keys={"sky": "k"}, input_tokens=7, usd=Decimal("0.1")
)


def make_batch(store: BatchStore, *rows: Row) -> BatchState:
    file = RequestFile(store, SETTINGS, PRICE)
    for row in rows:
        file.add(row, b"line\n", Decimal("0.01"))
    state = file.finish()
    file.discard()  # as once it is sent
    return state


def folder(out: Path) -> Path:
    return out / "answers" / "batches"


def test_a_row_survives_its_line() -> None:
    row = replace(ROW, tries=2, more_room=True, spent=Spent(3, 4, Decimal("0.000000000001")))
    line = row.line()
    assert line.endswith("\n") and line.count("\n") == 1
    assert Row.from_line(line) == row


def test_a_batch_is_read_back_with_its_questions(tmp_path: Path) -> None:
    store = BatchStore(open_storage(tmp_path))
    state = make_batch(store, ROW, replace(ROW, custom_id="pb-2"))
    (found,) = store.active()
    assert found == state
    assert (found.requests, found.input_tokens, found.usd, found.usual_usd) == (2, 14, Decimal("0.2"), Decimal("0.02"))
    assert found.read_questions() == [CHOICE]
    assert found.questions[0]["hash"] == question_hash(SETTINGS, CHOICE)
    assert list(store.rows(found)) == [ROW, replace(ROW, custom_id="pb-2")]
    assert str(tmp_path) not in (folder(tmp_path) / f"{state.id}.json").read_text()


def test_batches_are_listed_in_the_order_of_their_making(tmp_path: Path) -> None:
    store = BatchStore(open_storage(tmp_path))
    made = [make_batch(store, ROW).id for _ in range(5)]
    assert [state.id for state in store.states()] == made


def test_an_ended_batch_keeps_what_is_to_be_asked_again_and_has_a_history(tmp_path: Path) -> None:
    store = BatchStore(open_storage(tmp_path))
    state = make_batch(store, ROW)
    old = replace(ROW, custom_id="pb-2", tries=1)
    store.end(state, [ROW, old])
    assert store.active() == [] and len(store.states()) == 1
    assert list(store.again_rows()) == [old]
    assert not (folder(tmp_path) / f"{state.id}.requests.jsonl").exists()
    store.prune_again(lambda row: row.custom_id == "pb-2")
    assert list(store.again_rows()) == [old]
    store.prune_again(lambda row: False)
    assert list(store.again_rows()) == [] and not list(folder(tmp_path).glob("*.again.jsonl"))


def test_a_batch_that_never_was_is_forgotten_but_not_what_its_requests_cost(tmp_path: Path) -> None:
    store = BatchStore(open_storage(tmp_path))
    paid = replace(ROW, custom_id="pb-2", spent=Spent(1, 2, Decimal("0.5")))
    store.drop(make_batch(store, ROW, paid))
    assert store.states() == []
    assert list(store.again_rows()) == [paid]


def test_what_a_killed_process_left_is_cleaned_up(tmp_path: Path) -> None:
    store = BatchStore(open_storage(tmp_path))
    store.clean()  # no folder yet
    state = make_batch(store, ROW)
    file = RequestFile(store, SETTINGS, PRICE)  # killed before finish()
    file.add(ROW, b"x\n", Decimal(0))
    store.save_rows("killed-in-finish", [ROW.line()])
    ended = make_batch(store, ROW)
    store.end(ended, [])
    store.save_rows(ended.id, [ROW.line()])  # killed before `end` removed them
    (folder(tmp_path) / ".torn.json.1.tmp").write_text("{")
    store.clean()
    left = sorted(path.name for path in folder(tmp_path).iterdir())
    file.discard()
    assert left == sorted([f"{state.id}.json", f"{state.id}.requests.jsonl", f"{ended.id}.json"])


def test_a_wish_to_cancel_is_a_note_in_out(tmp_path: Path) -> None:
    here, there = BatchStore(open_storage(tmp_path)), BatchStore(open_storage(tmp_path))
    assert not there.cancel_wanted
    here.cancel_wanted = True
    assert there.cancel_wanted and here.states() == []
    there.cancel_wanted = False
    assert not here.cancel_wanted


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"id": 3}'])
def test_a_state_that_cannot_be_read_says_which(tmp_path: Path, text: str) -> None:
    store = BatchStore(open_storage(tmp_path))
    folder(tmp_path).mkdir(parents=True)
    (folder(tmp_path) / "b.json").write_text(text)
    with pytest.raises(LandingError, match="answers/batches/b.json is not the state of a batch"):
        store.states()


def test_rows_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    store = BatchStore(open_storage(tmp_path))
    state = make_batch(store, ROW)
    (folder(tmp_path) / f"{state.id}.requests.jsonl").write_text("torn")
    with pytest.raises(LandingError, match="which answer is whose"):
        list(store.rows(state))

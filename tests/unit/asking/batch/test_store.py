"""The states of batches on the disk."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from pixelbrain.asking.answer_records import Spent
from pixelbrain.asking.batch.request_file import (
    MAX_REQUESTS,
    RequestFile,
    custom_id,
    question_hash,
    request_line,
    settings_key,
)
from pixelbrain.asking.batch.results import open_questions, read_questions
from pixelbrain.asking.batch.store import BatchState, BatchStore, Row
from pixelbrain.asking.cost.prices import find_price
from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.questions.question import AskSettings, Question
from pixelbrain.errors import LandingError

CHOICE = Question(field="sky", text="Day or night? ä", answer=answer_type("choice:day,night"))
SETTINGS = AskSettings(questions=(CHOICE,))
PRICE = find_price(SETTINGS.model)
ROW = Row(
    custom_id="pb-1", image_id="file:///ä\u2028.jpg", version="v", keys={"sky": "k"}, input_tokens=7, usd=Decimal("0.1")
)


def make_batch(store: BatchStore, *rows: Row) -> BatchState:
    file = RequestFile(store)
    for row in rows:
        file.add(row, request_line(row, {"model": "m"}), Decimal("0.01"))
    return file.finish(SETTINGS, PRICE)


def test_a_row_survives_its_line() -> None:
    row = replace(ROW, tries=2, more_room=True, spent=Spent(3, 4, Decimal("0.000000000001")))
    line = row.line()
    assert line.endswith("\n") and line.count("\n") == 1
    assert Row.from_line(line) == row


def test_a_request_line_is_what_the_api_wants() -> None:
    line = request_line(ROW, {"model": "m", "text": "one\ntwo \u2028 ä"})
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert json.loads(line) == {
        "custom_id": "pb-1",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "m", "text": "one\ntwo \u2028 ä"},
    }


def test_a_custom_id_depends_on_the_answers_alone() -> None:
    assert custom_id({"a": "1", "b": "2"}) == custom_id({"y": "2", "x": "1"}) != custom_id({"a": "1"})
    assert len(custom_id({"a": "1"})) <= 64


def test_settings_with_other_questions_or_models_are_others() -> None:
    others = [
        replace(SETTINGS, model="gpt-4o"),
        replace(SETTINGS, detail="high"),
        replace(SETTINGS, temperature=1.0),
        replace(SETTINGS, questions=(replace(CHOICE, field="light"),)),
        replace(SETTINGS, questions=(replace(CHOICE, text="Night or day?"),)),
        replace(SETTINGS, questions=(replace(CHOICE, answer=answer_type("text")),)),
    ]
    assert len({settings_key(settings) for settings in [SETTINGS, *others]}) == 7
    assert settings_key(replace(SETTINGS, max_tries=2, base_url="http://elsewhere/v1")) == settings_key(SETTINGS)


def test_a_batch_is_read_back_with_its_questions(tmp_path: Path) -> None:
    store = BatchStore(tmp_path)
    state = make_batch(store, ROW, replace(ROW, custom_id="pb-2"))
    (found,) = store.active()
    assert found == state
    assert (found.requests, found.input_tokens, found.usd, found.usual_usd) == (2, 14, Decimal("0.2"), Decimal("0.02"))
    assert read_questions(found) == [CHOICE]
    assert found.questions[0]["hash"] == question_hash(SETTINGS, CHOICE)
    assert list(store.rows(found)) == [ROW, replace(ROW, custom_id="pb-2")]
    assert str(tmp_path) not in (store.folder / f"{state.id}.json").read_text()


def test_the_questions_that_are_still_open_are_known(tmp_path: Path) -> None:
    store = BatchStore(tmp_path)
    assert open_questions(tmp_path) == {}
    state = make_batch(store, ROW)
    assert open_questions(tmp_path) == {question_hash(SETTINGS, CHOICE): CHOICE}
    store.end(state, [])
    assert open_questions(tmp_path) == {}


def test_batches_are_listed_in_the_order_of_their_making(tmp_path: Path) -> None:
    store = BatchStore(tmp_path)
    made = [make_batch(store, ROW).id for _ in range(5)]
    assert [state.id for state in store.states()] == made


def test_an_ended_batch_keeps_what_is_to_be_asked_again_and_has_a_history(tmp_path: Path) -> None:
    store = BatchStore(tmp_path)
    state = make_batch(store, ROW)
    old = replace(ROW, custom_id="pb-2", tries=1)
    store.end(state, [ROW, old])
    assert store.active() == [] and len(store.states()) == 1
    assert list(store.again_rows()) == [old]
    assert not (store.folder / f"{state.id}.requests.jsonl").exists()
    store.prune_again(lambda row: row.custom_id == "pb-2")
    assert list(store.again_rows()) == [old]
    store.prune_again(lambda row: False)
    assert list(store.again_rows()) == [] and not list(store.folder.glob("*.again.jsonl"))


def test_a_batch_that_never_was_is_forgotten_but_not_what_its_requests_cost(tmp_path: Path) -> None:
    store = BatchStore(tmp_path)
    paid = replace(ROW, custom_id="pb-2", spent=Spent(1, 2, Decimal("0.5")))
    store.drop(make_batch(store, ROW, paid))
    assert store.states() == []
    assert list(store.again_rows()) == [paid]


def test_what_a_killed_process_left_is_cleaned_up(tmp_path: Path) -> None:
    store = BatchStore(tmp_path)
    store.clean()  # no folder yet
    state = make_batch(store, ROW)
    left = RequestFile(store)  # killed before finish()
    left.add(ROW, b"x\n", Decimal(0))
    (store.folder / ".torn.json.1.tmp").write_text("{")
    store.clean()
    assert sorted(path.name for path in store.folder.iterdir()) == [f"{state.id}.json", f"{state.id}.requests.jsonl"]
    left.discard()


def test_a_file_has_limits(tmp_path: Path) -> None:
    store = BatchStore(tmp_path)
    file = RequestFile(store, max_bytes=10, max_requests=3)
    assert file.has_room(b"x" * 11)  # the first one always
    file.add(ROW, b"x" * 6, Decimal(0))
    assert file.has_room(b"x" * 4) and not file.has_room(b"x" * 5)
    file.add(ROW, b"x", Decimal(0))
    file.add(ROW, b"x", Decimal(0))
    assert not file.has_room(b"x")
    file.discard()
    assert list(store.folder.iterdir()) == []
    assert MAX_REQUESTS == 50_000


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"id": 3}'])
def test_a_state_that_cannot_be_read_says_which(tmp_path: Path, text: str) -> None:
    store = BatchStore(tmp_path)
    store.folder.mkdir(parents=True)
    (store.folder / "b.json").write_text(text)
    with pytest.raises(LandingError, match="answers/batches/b.json is not the state of a batch"):
        store.states()


def test_rows_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    store = BatchStore(tmp_path)
    state = make_batch(store, ROW)
    (store.folder / f"{state.id}.requests.jsonl").write_text("torn")
    with pytest.raises(LandingError, match="which answer is whose"):
        list(store.rows(state))

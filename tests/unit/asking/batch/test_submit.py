"""A batch in the making, and what of it is sent when."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pixelbrain.asking.batch.api import RejectedError
from pixelbrain.asking.batch.store import BatchStore
from pixelbrain.asking.batch.submit import (
    MAX_REQUESTS,
    RequestFile,
    custom_id,
    recover,
    request_line,
    settings_key,
    submit,
)
from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.request.server import Server
from pixelbrain.storage.open import open_storage
from tests.unit.asking.batch.test_store import CHOICE, PRICE, ROW, SETTINGS, folder, make_batch


class Api:
    """A server that knows some batches, and notes what it is told."""

    def __init__(self, known: list[str] | None = None, *, rejects: bool = False) -> None:
        self.known, self.rejects, self.deleted = known or [], rejects, []
        self.states: list[dict[str, Any]] = []

    def upload(self, path: Path) -> str:
        self.states += [json.loads(found.read_text()) for found in path.parent.glob("*.json")]
        return f"file of {len(path.read_bytes())}"

    def create(self, file_id: str, our_id: str) -> Any:
        if self.rejects:
            raise RejectedError("no", "not today")
        self.known.append(our_id)
        return self.find(our_id)

    def find(self, our_id: str) -> Any:
        found = SimpleNamespace(id=f"batch_{our_id}", status="validating", input_file_id="f")
        return found if our_id in self.known else None

    def delete_file(self, file_id: str) -> None:
        self.deleted.append(file_id)


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
    assert settings_key(replace(SETTINGS, max_tries=2, server=Server(base_url="http://elsewhere/v1"))) == settings_key(
        SETTINGS
    )


def test_a_file_has_limits(tmp_path: Path) -> None:
    store = BatchStore(open_storage(tmp_path))
    file = RequestFile(store, SETTINGS, PRICE, max_bytes=10, max_requests=3)
    assert file.has_room(b"x" * 11)  # the first one always
    file.add(ROW, b"x" * 6, Decimal(0))
    assert file.has_room(b"x" * 4) and not file.has_room(b"x" * 5)
    file.add(ROW, b"x", Decimal(0))
    file.add(ROW, b"x", Decimal(0))
    assert not file.has_room(b"x")
    file.discard()
    assert list(folder(tmp_path).iterdir()) == []
    assert MAX_REQUESTS == 50_000


def test_a_batch_is_known_in_out_before_the_server_knows_of_it(tmp_path: Path) -> None:
    store, api = BatchStore(open_storage(tmp_path)), Api()
    file = RequestFile(store, SETTINGS, PRICE)
    file.add(ROW, b"x\n", Decimal(0))
    state = file.finish()
    submit(state, file, store, api)  # type: ignore[arg-type]
    assert [(s["id"], s["stage"]) for s in api.states] == [(state.id, "submitting")]
    (found,) = store.active()
    assert (found.stage, found.batch_id, found.input_file_id) == ("running", f"batch_{state.id}", "file of 2")
    assert not file.path.exists()


def test_a_batch_that_is_rejected_leaves_no_file(tmp_path: Path) -> None:
    store, api = BatchStore(open_storage(tmp_path)), Api(rejects=True)
    file = RequestFile(store, SETTINGS, PRICE)
    file.add(ROW, b"x\n", Decimal(0))
    with pytest.raises(RejectedError):
        submit(file.finish(), file, store, api)  # type: ignore[arg-type]
    assert api.deleted == ["file of 2"] and not file.path.exists()


def test_what_was_sent_is_found_again_and_what_was_not_is_dropped(tmp_path: Path) -> None:
    store = BatchStore(open_storage(tmp_path))
    sent, never = make_batch(store, ROW), make_batch(store, replace(ROW, custom_id="pb-2", tries=1))
    recover(store, Api([sent.id]), settle_s=0)  # type: ignore[arg-type]
    (found,) = store.active()
    assert (found.id, found.stage, found.batch_id) == (sent.id, "running", f"batch_{sent.id}")
    assert [row.custom_id for row in store.again_rows()] == ["pb-2"]
    assert not (folder(tmp_path) / f"{never.id}.json").exists()

"""What is still to be asked about, and what asking has cost."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.asking.pending import pending_images, spent_usd
from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.request.body import question_hash
from pixelbrain.asking.settings import AskSettings
from pixelbrain.errors import ConfigError
from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.landing.where.names import read_where

LIGHT = Question(field="light", text="Day or night?", answer=answer_type("choice:day,night"))
SETTINGS = AskSettings(questions=(LIGHT,))


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    """Images a to d, of which d could not be read."""
    rows = [
        {"image_id": name, "version": "1", "sha256": name * 64, "width": 10 + number, "height": 10, "status": "ok"}
        for number, name in enumerate("abcd")
    ]
    rows[3]["status"] = "failed"
    made = Landing(tmp_path)
    made.write_part(
        pa.Table.from_pylist(rows, pa.schema(schema.BASE_FIELDS)), generation=1, block=0, piece=0, modules={}
    )
    return made


def answer(landing: Landing, *records: dict[str, Any], settings: AskSettings = SETTINGS) -> None:
    journal = landing.answer_log.journal("one", {"light": pa.string()})
    base = {"version": "1", "field": "light", "question": question_hash(settings, LIGHT), "key": None, "answer": "day"}
    for record in records:
        journal.append({**base, "cost_usd": "0.25", **record})
    journal.close()
    landing.answer_log.fold()
    landing.refresh()


def pending(landing: Landing, settings: AskSettings = SETTINGS, where: str | None = None) -> list[str]:
    tables = pending_images(landing, settings, read_where(landing, where))
    return [row["image_id"] for table in tables for row in table.to_pylist()]


def test_an_image_is_asked_about_until_its_answer_is_final(landing: Landing) -> None:
    assert pending(landing) == ["a", "b", "c"]
    answer(landing, {"image_id": "a", "status": "refused"}, {"image_id": "b", "status": "failed"})
    assert pending(landing) == ["b", "c"]
    answer(landing, {"image_id": "c", "status": "invalid", "version": "0"})  # of the file as it was
    assert pending(landing) == ["b", "c"]


def test_another_question_asks_again(landing: Landing) -> None:
    answer(landing, {"image_id": "a", "status": "ok"})
    assert pending(landing, dataclasses.replace(SETTINGS, model="gpt-4o")) == ["a", "b", "c"]
    other = dataclasses.replace(LIGHT, field="other")
    assert pending(landing, dataclasses.replace(SETTINGS, questions=(LIGHT, other))) == ["a", "b", "c"]


def test_where_knows_the_columns_and_the_answers(landing: Landing) -> None:
    answer(landing, {"image_id": "a", "status": "ok"})
    other = dataclasses.replace(SETTINGS, questions=(dataclasses.replace(LIGHT, field="other"),))
    assert pending(landing, other, "width > 10 or light == 'day'") == ["a", "b", "c"]
    assert pending(landing, other, "light is null") == ["b", "c"]
    with pytest.raises(ConfigError, match="dark is not known"):
        read_where(landing, "dark > 1")
    assert read_where(landing, None) is None


def test_where_knows_people_groups_and_fields_that_users_stored(landing: Landing) -> None:
    people = [("a", "ada"), ("a", "bob"), ("a", "ada"), ("b", "ada"), ("c", None)]
    faces = [
        {"face_id": f"{image}#{n}", "image_id": image, "identity_id": person, "assigned": "clustered"}
        for n, (image, person) in enumerate(people)
    ]
    rows = [
        {"image_id": image, "version": "1", "status": "ok", "width": 10 + n, "resnet": {"label": "cat"}}
        | {"facenet": {"faces": [face for face in faces if face["image_id"] == image]}}
        for n, image in enumerate("abc")
    ]
    kinds = {"facenet": schema.faces_fields(2), "resnet": schema.classifier_fields(2)}
    columns = [pa.field(name, schema.module_struct(kind)) for name, kind in kinds.items()]
    table = pa.Table.from_pylist(rows, pa.schema([*schema.BASE_FIELDS, *columns]))
    states = dict.fromkeys(kinds, ModuleState(settings={}, model=None))
    landing.write_part(table, generation=2, block=0, piece=0, modules=states)
    landing.refresh()
    IDENTITIES.write(landing, pa.Table.from_pylist(faces, schema.IDENTITY_SCHEMA))
    groups = [{"image_id": "b", "group_id": "g"}, {"image_id": "c", "group_id": None}]
    GROUPS.write(landing, pa.Table.from_pylist(groups, schema.GROUP_SCHEMA))
    stored = {"rating": {"a": 5, "c": 2.5, "x": 9}, "mixed": {"a": 1, "b": "2"}}
    asked = []

    def found(where: str) -> str:
        read = read_where(landing, where, lambda name: asked.append(name) or stored.get(name, {}))
        return "".join(
            id_ for table in pending_images(landing, SETTINGS, read) for id_ in table["image_id"].to_pylist()
        )

    assert found("'bob' in identities") == "a" and found("'ada' in identities") == "ab"
    assert found("identities is null") == "c" and found("group_id == 'g'") == "b" and asked == []
    assert found("rating > 2 and not 'bob' in identities or group_id == 'g'") == "b"
    assert found("rating > 2 and width > 10") == "c" and set(asked) == {"rating"}
    with pytest.raises(ConfigError, match="mixed has values of several types"):
        found("mixed == 1")
    with pytest.raises(ConfigError, match="colour is not known.* known are .*identities, group_id"):
        found("colour == 1")


def test_spent_is_what_answers_cost_and_what_lost_ones_may_have(landing: Landing) -> None:
    answer(landing, {"image_id": "a", "status": "ok"}, {"image_id": "b", "status": "failed", "cost_usd": None})
    landing.answer_log.set_lost("run", ["light"], Decimal(1))
    assert spent_usd(landing.answer_log, ["light"]) == Decimal("1.25")
    assert spent_usd(landing.answer_log, ["other"]) == 0

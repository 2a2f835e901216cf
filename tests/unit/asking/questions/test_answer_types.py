"""Types of answers: what users write, what the model is told, what is accepted, how it is stored."""

from __future__ import annotations

import json
import pickle
from typing import Any, Literal

import pyarrow as pa
import pydantic
import pytest

from pixelbrain.asking.questions.answer_types import AnswerType, InvalidAnswerError, answer_type
from pixelbrain.errors import ConfigError

OBJECT = {
    "type": "object",
    "properties": {"colour": {"type": "string"}, "count": {"type": "integer"}, "share": {"type": "number"}},
    "required": ["colour", "count"],
}


class Animal(pydantic.BaseModel):
    species: Literal["cat", "dog"]
    legs: int = pydantic.Field(ge=0, le=8)
    name: str | None = None


class Scene(pydantic.BaseModel):
    title: str
    animals: list[Animal]
    nearest: Animal | None = None


@pytest.mark.parametrize(
    ("spec", "schema", "arrow"),
    [
        ("text", {"type": "string"}, pa.string()),
        ("bool", {"type": "boolean"}, pa.bool_()),
        (bool, {"type": "boolean"}, pa.bool_()),
        ("int", {"type": "integer"}, pa.int64()),
        ("float", {"type": "number"}, pa.float64()),
        ("tags", {"type": "array", "items": {"type": "string"}}, pa.list_(pa.string())),
        ("choice:day, night", {"type": "string", "enum": ["day", "night"]}, pa.string()),
        (["day", "night"], {"type": "string", "enum": ["day", "night"]}, pa.string()),
    ],
)
def test_spec_decides_schema_and_column(spec: Any, schema: dict[str, Any], arrow: pa.DataType) -> None:
    answer = answer_type(spec)
    assert answer.json_schema() == schema
    assert answer.arrow_type() == arrow


@pytest.mark.parametrize("spec", ["text", "bool", "int", "float", "tags", "choice:a,b", OBJECT, Scene])
def test_survives_pickling_json_and_hashing(spec: Any) -> None:
    answer = answer_type(spec)
    assert pickle.loads(pickle.dumps(answer)) == answer
    assert AnswerType.from_dict(json.loads(json.dumps(answer.as_dict()))) == answer
    assert len({answer, answer_type(answer)}) == 1


@pytest.mark.parametrize(
    ("spec", "value", "stored"),
    [
        ("text", "a cat", "a cat"),
        ("text", "", ""),
        ("bool", False, False),
        ("int", 3, 3),
        ("int", 3.0, 3),
        ("float", 2, 2.0),
        ("float", 2.5, 2.5),
        ("choice:Day,night", "night", "night"),
        ("choice:Day,night", " day ", "Day"),
        ("tags", [" sea", "sun", "", "sea"], ["sea", "sun"]),
        ("tags", [], []),
        (OBJECT, {"colour": "red", "count": 2.0, "share": None}, {"colour": "red", "count": 2, "share": None}),
    ],
)
def test_parse_returns_what_its_column_holds(spec: Any, value: Any, stored: Any) -> None:
    answer = answer_type(spec)
    found = answer.parse(value)
    assert found == stored
    assert type(found) is type(stored)
    assert pa.array([found, None], answer.arrow_type()).to_pylist()[1] is None


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ("text", 3),
        ("text", None),
        ("text", "half a surrogate \ud800"),
        ("bool", "true"),
        ("bool", 1),
        ("int", True),
        ("int", 2.5),
        ("int", "2"),
        ("int", 2**63),
        ("float", float("nan")),
        ("float", float("inf")),
        ("float", 10**400),
        ("float", True),
        ("choice:day,night", "dusk"),
        ("choice:day,night", ["day"]),
        ("choice:a,A", "Á"),
        ("tags", "sea"),
        ("tags", ["sea", 1]),
        (OBJECT, {"colour": "red", "share": 0.5}),
        (OBJECT, {"colour": "red", "count": 2, "share": None, "more": 1}),
        (OBJECT, {"colour": None, "count": 2, "share": None}),
        (OBJECT, [1]),
        (Scene, {"title": "x", "animals": [{"species": "cow", "legs": 4, "name": None}], "nearest": None}),
        (Scene, {"title": "x", "animals": [{"species": "cat", "legs": 9, "name": None}], "nearest": None}),
    ],
)
def test_parse_refuses_other_types(spec: Any, value: Any) -> None:
    with pytest.raises(InvalidAnswerError) as error:
        answer_type(spec).parse(value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250


def test_an_int_is_not_cut_where_the_number_is_large() -> None:
    assert answer_type("int").parse(2**63 - 1) == 2**63 - 1


def test_pydantic_model_becomes_a_strict_schema_and_a_struct() -> None:
    answer = answer_type(Scene)
    schema = answer.json_schema()
    objects = [schema, schema["properties"]["animals"]["items"], schema["properties"]["nearest"]["anyOf"][0]]
    assert len(objects) == 3
    for one in objects:
        assert one["additionalProperties"] is False
        assert one["required"] == list(one["properties"])
    assert "$ref" not in answer.schema  # it is sent inside another schema, where references would lead nowhere
    assert schema["properties"]["title"] == {"type": "string"}  # a property's name is no annotation
    animal = pa.struct([("species", pa.string()), ("legs", pa.int64()), ("name", pa.string())])
    assert answer.arrow_type() == pa.struct(
        [("title", pa.string()), ("animals", pa.list_(animal)), ("nearest", animal)]
    )
    value = {"title": "zoo", "animals": [{"species": "cat", "legs": 4, "name": None}], "nearest": None}
    assert pa.array([answer.parse(value)], answer.arrow_type()).to_pylist() == [value]


def test_optional_properties_may_be_null() -> None:
    assert answer_type(OBJECT).json_schema()["properties"]["share"] == {"anyOf": [{"type": "number"}, {"type": "null"}]}


def test_what_arrow_has_no_type_for_is_kept_as_json() -> None:
    mixed = {"type": "object", "properties": {"x": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}}
    answer = answer_type({**mixed, "required": ["x"]})
    assert answer.arrow_type() == pa.string()
    assert json.loads(answer.parse({"x": 3})) == {"x": 3}
    assert json.loads(answer.parse({"x": "três"})) == {"x": "três"}


def test_schema_may_come_as_text() -> None:
    assert answer_type(json.dumps(OBJECT)) == answer_type(OBJECT)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("number", "'number'"),
        ("schema", "'schema'"),
        ("choice", "choice:day,night"),
        ("choice:one", "1 choices"),
        ("choice:a,,b", "none is empty"),
        ("choice:a,a", "twice"),
        ([f"c{i}" for i in range(1001)], "1,000"),
        (3, "3"),
        (dict, "dict"),
        ("{not json", "not JSON"),
        ({"type": "string"}, "type object"),
        ({"type": "object"}, "properties"),
        ({"type": "object", "properties": {"a": {}}}, "the answer.a"),
        ({"type": "object", "properties": {"a": {"type": "array"}}}, "items"),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "'text'"),
        ({"type": "object", "properties": {"a": {"not": {"type": "string"}}}}, "'not'"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}}, "which is not in it"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, "not in it"),
        (
            {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/b"}},
                "$defs": {"b": {"type": "array", "items": {"$ref": "#/$defs/b"}}},
            },
            "itself",
        ),
    ],
)
def test_specs_that_cannot_work_say_so(spec: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("$", r"\$")) as error:
        answer_type(spec)
    assert "\n" not in str(error.value)

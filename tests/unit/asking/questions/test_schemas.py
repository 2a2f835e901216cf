"""JSON schemas of answers: made strict, checked against, and brought to what Arrow stores."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from pixelbrain.asking.questions.schemas import arrow_type_of, mismatch, shown, stored, strict_schema
from pixelbrain.errors import ConfigError

SCENE = strict_schema(
    {
        "type": "object",
        "title": "Scene",
        "properties": {
            "hue": {"type": "string", "enum": ["red", "blue"]},
            "count": {"type": "integer", "minimum": 0, "exclusiveMaximum": 9},
            "share": {"type": ["number", "null"]},
            "who": {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/name"}},
        },
        "required": ["hue", "count", "share", "who"],
        "$defs": {"name": {"anyOf": [{"type": "string", "pattern": "^[A-Z]"}, {"type": "null"}], "default": None}},
    }
)
GOOD = {"hue": "red", "count": 3, "share": None, "who": ["Ann", None]}


def test_a_strict_schema_has_no_references_and_requires_everything() -> None:
    assert SCENE["properties"]["who"]["items"] == {"anyOf": [{"type": "string", "pattern": "^[A-Z]"}, {"type": "null"}]}
    assert SCENE["required"] == ["hue", "count", "share", "who"] and SCENE["additionalProperties"] is False
    assert "title" not in SCENE and "$defs" not in SCENE


def test_a_schema_that_refers_to_itself_ends_nowhere() -> None:
    node = {"type": "object", "properties": {"child": {"$ref": "#"}}, "required": ["child"]}
    with pytest.raises(ConfigError, match="refers to itself"):
        strict_schema({"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {
            "n": {**node, "properties": {"child": {"$ref": "#/$defs/n"}}}}})  # fmt: skip


@pytest.mark.parametrize("value", [GOOD, {**GOOD, "count": 3.0}, {**GOOD, "share": 1}, {**GOOD, "who": ["ann"]}])
def test_values_of_the_schema_are_none_the_worse(value: Any) -> None:
    assert mismatch(value, SCENE) is None  # patterns are the server's to check


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([1], "the answer is [1], and not of type object"),
        ({**GOOD, "hue": "green"}, "the answer.hue: 'green' is not one of ['red', 'blue']"),
        ({**GOOD, "count": "3"}, "the answer.count is '3', and not of type integer"),
        ({**GOOD, "count": True}, "the answer.count is True, and not of type integer"),
        ({**GOOD, "count": 2**63}, "the answer.count"),
        ({**GOOD, "count": -1}, "the answer.count: -1 is less than the minimum of 0"),
        ({**GOOD, "count": 9}, "the answer.count: 9 is greater than or equal to the maximum of 9"),
        ({**GOOD, "share": float("nan")}, "the answer.share is nan, which is out of range, or not Unicode text"),
        ({**GOOD, "share": "x"}, "the answer.share is 'x', and not of type number or null"),
        ({**GOOD, "who": ["A", 3]}, "the answer.who[1] is 3, and not of type string"),
        ({**GOOD, "who": ["A", "B", "C"]}, "the answer.who: ['A', 'B', 'C'] is too long"),
        ({**GOOD, "who": ["\ud800"]}, "the answer.who[0] is '\\ud800', which is out of range, or not Unicode text"),
        ({"hue": "red"}, "the answer: 'count' is a required property"),
        ({**GOOD, "more": 1}, "('more' was unexpected)"),
    ],
)
def test_a_mismatch_names_the_place_and_what_is_wrong(value: Any, says: str) -> None:
    found = mismatch(value, SCENE)
    assert found is not None and says in found
    assert len(found) <= 200 and "\n" not in found


def test_long_values_are_cut_and_the_reason_stays() -> None:
    found = mismatch({**GOOD, "hue": "x" * 5000}, SCENE)
    assert found is not None and found.endswith("is not one of ['red', 'blue']")
    assert len(shown("x" * 5000)) == 80 and shown("a\u2028b") == "'a\\u2028b'"


def test_arrow_types_and_what_is_stored_in_them() -> None:
    assert arrow_type_of(SCENE) == pa.struct(
        {"hue": pa.string(), "count": pa.int64(), "share": pa.float64(), "who": pa.list_(pa.string())}.items()
    )
    assert arrow_type_of({"anyOf": [{"type": "string"}, {"type": "integer"}]}) is None
    found = stored({**GOOD, "count": 3.0}, SCENE)
    assert found == GOOD and type(found["count"]) is int

"""The part of JSON schema that strict structured outputs take, and the limits on it.

From the guide "Structured Outputs", section "Supported schemas": every object closed and all its properties required,
a root object, at most 10 levels, 5,000 properties, 1,000 enum values and 120,000 characters of names and values.
"""

from __future__ import annotations

import re
from typing import Any

from tests.fake_openai.errors import ApiError, bad_request

__all__ = ["check_response_format"]

_TYPES = {"string", "number", "boolean", "integer", "object", "array", "null"}
_KEYWORDS = {
    "$defs", "$ref", "additionalProperties", "anyOf", "const", "definitions", "description", "enum",
    "exclusiveMaximum", "exclusiveMinimum", "format", "items", "maxItems", "maximum", "minItems", "minimum",
    "multipleOf", "pattern", "properties", "required", "title", "type",
}  # fmt: skip
_NOT_ANSWERED = {"pattern", "format", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"}
_MAX_DEPTH, _MAX_PROPERTIES, _MAX_ENUM, _MAX_CHARACTERS = 10, 5_000, 1_000, 120_000


def check_response_format(given: Any) -> dict[str, Any] | None:
    """The JSON schema that the answer must follow, or None where the format asks for none.

    Raises:
        ApiError: 400, not a response format, or a schema outside of the strict subset.
    """
    kinds = ("text", "json_object", "json_schema")
    if not isinstance(given, dict) or given.get("type") not in kinds:
        raise bad_request(f"Invalid value for 'response_format.type': one of {kinds}.", param="response_format.type")
    allowed = {"type", "json_schema"} if given["type"] == "json_schema" else {"type"}
    if unknown := sorted(set(given) - allowed):
        raise _unknown("response_format", unknown[0])
    if given["type"] != "json_schema":
        return None
    wanted = given.get("json_schema")
    if not isinstance(wanted, dict):
        raise _missing("response_format.json_schema")
    if unknown := sorted(set(wanted) - {"name", "description", "schema", "strict"}):
        raise _unknown("response_format.json_schema", unknown[0])
    name = wanted.get("name")
    if name is None:
        raise _missing("response_format.json_schema.name")
    if not isinstance(name, str) or not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        raise bad_request(
            f"Invalid 'response_format.json_schema.name': {name!r} does not match '^[a-zA-Z0-9_-]{{1,64}}$'.",
            param="response_format.json_schema.name",
            code="invalid_value",
        )
    if wanted.get("strict") is not True:
        raise bad_request("the fake answers strict schemas only: 'response_format.json_schema.strict' must be true",
                          param="response_format.json_schema.strict")  # fmt: skip
    if not isinstance(wanted.get("schema"), dict):
        raise _missing("response_format.json_schema.schema")
    _Checker(name, wanted["schema"]).check()
    return wanted["schema"]


class _Checker:
    """One walk over a schema."""

    def __init__(self, name: str, root: dict[str, Any]) -> None:
        self._name, self._root = name, root
        self._properties = self._enum_values = self._characters = 0

    def check(self) -> None:
        if self._root.get("type") != "object" or "anyOf" in self._root:
            raise self._error((), f"schema must be a JSON Schema of 'type: \"object\"', got {self._root.get('type')!r}")
        self._walk(self._root, (), 1)
        for group in ("$defs", "definitions"):
            for key, value in self._root.get(group, {}).items():
                self._characters += len(key)
                self._walk(value, (group, key), 1)
        for count, most, what in (
            (self._properties, _MAX_PROPERTIES, "object properties"),
            (self._enum_values, _MAX_ENUM, "enum values"),
            (self._characters, _MAX_CHARACTERS, "characters of names and values"),
        ):
            if count > most:
                raise self._error((), f"{count} {what}, at most {most} are allowed")

    def _walk(self, schema: Any, path: tuple[str, ...], depth: int) -> None:
        if not isinstance(schema, dict):
            raise self._error(path, "schema must be an object")
        if depth > _MAX_DEPTH:
            raise self._error(path, f"more than {_MAX_DEPTH} levels of nesting")
        for keyword in schema:
            if keyword not in _KEYWORDS:
                raise self._error(path, f"'{keyword}' is not permitted")
            if keyword in _NOT_ANSWERED:
                raise self._error(path, f"'{keyword}' is allowed by the real API, but not answered by the fake")
        if "$ref" in schema:
            return self._check_reference(schema, path)
        if "anyOf" in schema:
            for index, option in enumerate(self._list(schema, "anyOf", path)):
                self._walk(option, (*path, "anyOf", str(index)), depth)
            return None
        if "enum" in schema:
            values = self._list(schema, "enum", path)
            self._enum_values += len(values)
            self._characters += sum(len(value) for value in values if isinstance(value, str))
        elif "const" in schema and "type" not in schema:
            return None
        kinds = schema.get("type")
        if kinds is None:
            raise self._error(path, "schema must have a 'type' key")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if not kinds or any(not isinstance(kind, str) or kind not in _TYPES for kind in kinds):
            raise self._error(path, f"{schema['type']!r} is not a valid type")
        if "object" in kinds:
            self._check_object(schema, path, depth)
        if "array" in kinds:
            if "items" not in schema:
                raise self._error(path, "array schema missing items")
            self._walk(schema["items"], (*path, "items"), depth + 1)
        return None

    def _check_object(self, schema: dict[str, Any], path: tuple[str, ...], depth: int) -> None:
        if schema.get("additionalProperties") is not False:
            raise self._error(path, "'additionalProperties' is required to be supplied and to be false")
        properties = schema.get("properties", {})
        if not isinstance(properties, dict):
            raise self._error(path, "'properties' must be an object")
        required = schema.get("required")
        if not isinstance(required, list) or sorted(map(str, required)) != sorted(properties):
            missing = sorted(set(properties) - set(map(str, required or [])))
            raise self._error(
                path,
                "'required' is required to be supplied and to be an array including every key in properties"
                + (f". Missing {missing[0]!r}" if missing else ", and no other"),
            )
        self._properties += len(properties)
        for name, value in properties.items():
            self._characters += len(name)
            self._walk(value, (*path, "properties", name), depth + 1)

    def _check_reference(self, schema: dict[str, Any], path: tuple[str, ...]) -> None:
        reference = schema["$ref"]
        if set(schema) - {"$ref", "description"}:
            raise self._error(path, "$ref cannot have keywords beside it")
        if reference == "#":
            raise self._error(path, "a recursive schema is allowed by the real API, but not answered by the fake")
        group, _, name = str(reference).removeprefix("#/").partition("/")
        if group not in ("$defs", "definitions") or name not in self._root.get(group, {}):
            raise self._error(path, f"reference {reference!r} can't be resolved")

    def _list(self, schema: dict[str, Any], keyword: str, path: tuple[str, ...]) -> list[Any]:
        values = schema[keyword]
        if not isinstance(values, list) or not values:
            raise self._error(path, f"'{keyword}' must be a list that is not empty")
        return values

    def _error(self, path: tuple[str, ...], what: str) -> ApiError:
        where = "(" + ", ".join(map(repr, path)) + ("," if len(path) == 1 else "") + ")"
        return bad_request(
            f"Invalid schema for response_format '{self._name}': In context={where}, {what}.", param="response_format"
        )


def _unknown(where: str, name: str) -> ApiError:
    return bad_request(f"Unknown parameter: '{where}.{name}'.", param=f"{where}.{name}", code="unknown_parameter")


def _missing(param: str) -> ApiError:
    return bad_request(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")

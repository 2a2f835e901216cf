"""JSON schemas of answers: brought to what strict structured outputs take, checked against, and as Arrow types.

Strict mode takes a subset of JSON schema: every object lists its properties, requires all of them and allows no
others; no `allOf`, no `oneOf`, no references to outside. (OpenAI's guide "Structured outputs", "Supported schemas".)
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import best_match

from pixelbrain.errors import ConfigError
from pixelbrain.shown import shown

#: Words that strict mode takes as they are, words that are left out, and words that are rewritten; others are refused.
_KEPT = frozenset(
    {"type", "description", "enum", "const", "format", "pattern", "minItems", "maxItems", "multipleOf"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
)
_DROPPED = frozenset(
    {"title", "default", "examples", "deprecated", "readOnly", "writeOnly", "discriminator"}
    | {"$schema", "$id", "$comment"}
)
_REWRITTEN = frozenset(
    {"properties", "required", "additionalProperties", "items", "anyOf", "oneOf", "allOf"}
    | {"$ref", "$defs", "definitions"}
)

_ARROW = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
_KINDS = (*_ARROW, "object", "array")
_INT64 = range(-(2**63), 2**63)
_MESSAGE_CHARS = 200


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An object's JSON schema as strict structured outputs want it.

    References are inlined, every property becomes required (an optional one may be null), titles and defaults go.
    Raises `ConfigError` for what is no object with named properties, or what strict mode cannot express.
    """
    strict = _strict(schema, schema, "the answer", ())
    if strict.get("type") != "object":
        raise ConfigError(f"an answer's JSON schema has type object, and not {strict.get('type', 'none')!r}")
    return strict


def _strict(node: Any, root: Mapping[str, Any], where: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(node, Mapping) or not node:
        raise ConfigError(f"the schema of {where} says nothing: give it a type")
    if unknown := sorted(str(word) for word in node if word not in _KEPT | _DROPPED | _REWRITTEN):
        raise ConfigError(f"the schema of {where} has {unknown[0]!r}, which strict structured outputs do not take")
    if "$ref" in node:
        name = str(node["$ref"])
        if name in seen:
            raise ConfigError(f"the schema of {where} refers to itself: an answer's columns end somewhere")
        target = {**_resolve(name, root, where), **{k: v for k, v in node.items() if k != "$ref"}}
        return _strict(target, root, where, (*seen, name))
    if "allOf" in node:  # pydantic wraps a single reference in one
        if len(node["allOf"]) != 1:
            raise ConfigError(f"the schema of {where} has allOf, which strict structured outputs do not take")
        rest = {k: v for k, v in node.items() if k != "allOf"}
        return _strict({**node["allOf"][0], **rest}, root, where, seen)
    strict = {word: value for word, value in node.items() if word in _KEPT}
    if "anyOf" in node or "oneOf" in node:
        strict["anyOf"] = [_strict(one, root, where, seen) for one in node.get("anyOf") or node["oneOf"]]
    elif "type" not in strict and not {"enum", "const"} & set(strict):
        raise ConfigError(f"the schema of {where} has no type")
    kinds = _kinds(strict)
    if unknown := [kind for kind in kinds if kind not in _KINDS and kind != "null"]:
        raise ConfigError(f"the schema of {where} has the type {unknown[0]!r}: it is one of {', '.join(_KINDS)}, null")
    if "object" in kinds:
        strict |= _strict_object(node, root, where, seen)
    if "array" in kinds:
        if "items" not in node:
            raise ConfigError(f"the schema of {where} is an array without items: say what it holds")
        strict["items"] = _strict(node["items"], root, f"{where}'s items", seen)
    return strict


def _strict_object(node: Mapping[str, Any], root: Mapping[str, Any], where: str, seen: tuple[str, ...]) -> dict:
    properties = node.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        raise ConfigError(f"the schema of {where} is an object without properties: name them, strict mode wants all")
    required = node.get("required", ())
    found = {}
    for name, child in properties.items():
        strict = _strict(child, root, f"{where}.{name}", seen)
        found[name] = strict if name in required or _nullable(strict) else {"anyOf": [strict, {"type": "null"}]}
    return {"properties": found, "required": list(found), "additionalProperties": False}


def _resolve(reference: str, root: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = found.get(step) if isinstance(found, Mapping) else None
    if not reference.startswith("#/") or not isinstance(found, Mapping):
        raise ConfigError(f"the schema of {where} refers to {reference!r}, which is not in it")
    return found


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _nullable(schema: Mapping[str, Any]) -> bool:
    return "null" in _kinds(schema) or any(_nullable(one) for one in schema.get("anyOf", ()))


_JSON_TYPES = Draft202012Validator.TYPE_CHECKER


def _is_text(_checker: Any, value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(value.encode() or True)
    except UnicodeEncodeError:  # JSON can spell half a surrogate pair, which UTF-8 cannot
        return False


def _is_number(_checker: Any, value: Any) -> bool:
    # false for infinities and NaN, which Python's JSON reader lets through
    return _JSON_TYPES.is_type(value, "number") and abs(value) <= sys.float_info.max


def _is_integer(_checker: Any, value: Any) -> bool:
    return _JSON_TYPES.is_type(value, "integer") and int(value) in _INT64


#: Types are those that can be stored: text that is Unicode, numbers that Arrow has. Patterns, of another dialect than
#: Python's, are left to the server in its strict mode.
_Validator = validators.extend(
    Draft202012Validator,
    {"pattern": None, "format": None, "multipleOf": None},
    type_checker=_JSON_TYPES.redefine_many({"string": _is_text, "number": _is_number, "integer": _is_integer}),
)


def mismatch(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Why a JSON value is not of a schema that `strict_schema` returned; None where it is."""
    error = best_match(_Validator(schema).iter_errors(value))
    if error is None:
        return None
    while error.context:  # of variants, what the first one says
        error = error.context[0]
    where, value, kinds = f"the answer{error.json_path[1:]}", shown(error.instance), _kinds(error.schema)
    if error.validator != "type":
        return f"{where}: {error.message.replace(repr(error.instance), value)}"[:_MESSAGE_CHARS]
    if any(_JSON_TYPES.is_type(error.instance, kind) for kind in kinds):
        return f"{where} is {value}, which is out of range, or not Unicode text"
    return f"{where} is {value}, and not of type {' or '.join(kinds)}"


def stored(value: Any, schema: Mapping[str, Any]) -> Any:
    """A value of the schema with its numbers as Arrow wants them: 3.0 is an integer to JSON, and 3 a number."""
    if isinstance(value, list):
        items = schema.get("items") or _variant(value, schema).get("items", {})
        return [stored(one, items) for one in value]
    if isinstance(value, dict):
        properties = schema.get("properties") or _variant(value, schema).get("properties", {})
        return {name: stored(one, properties[name]) for name, one in value.items()}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        kinds = _kinds(schema) or _kinds(_variant(value, schema))
        return int(value) if "integer" in kinds and "number" not in kinds else value
    return value


def _variant(value: Any, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first of a schema's variants that a value is of."""
    return next((one for one in schema.get("anyOf", ()) if mismatch(value, one) is None), {})


def arrow_type_of(schema: Mapping[str, Any]) -> pa.DataType | None:
    """The Arrow type of values of a strict schema; None where Arrow has none, as for a number or a text."""
    if "anyOf" in schema:
        found = {arrow_type_of(one) for one in schema["anyOf"] if _kinds(one) != ["null"]}
        return found.pop() if len(found) == 1 else None
    kinds = [kind for kind in _kinds(schema) if kind != "null"]
    if not kinds:  # an enum or const alone
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        return pa.string() if all(isinstance(value, str) for value in values) else None
    if len(kinds) != 1:
        return None
    if kinds[0] == "array":
        item = arrow_type_of(schema["items"])
        return item and pa.list_(item)
    if kinds[0] == "object":
        fields = {name: arrow_type_of(child) for name, child in schema["properties"].items()}
        return None if None in fields.values() else pa.struct(fields.items())
    return _ARROW[kinds[0]]

"""The types of answers: what is asked of the model, what is accepted from it, and how it is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pixelbrain.asking.questions import schemas
from pixelbrain.errors import ConfigError
from pixelbrain.shown import shown

#: Spec of an answer, and its JSON schema's type; `choice` and `schema` say more.
_JSON_TYPES = {"text": "string", "bool": "boolean", "int": "integer", "float": "number", "choice": "string"}
_PYTHON_TYPES = {str: "text", bool: "bool", int: "int", float: "float"}

KINDS = (*_JSON_TYPES, "tags", "schema")

#: Values of one enum that strict structured outputs take (OpenAI's guide "Structured outputs", "Supported schemas").
MAX_CHOICES = 1000


class InvalidAnswerError(ValueError):
    """What the model said is not an answer of the asked type.

    `answers` holds the answers of the same request that were valid, by field.
    """

    def __init__(self, message: str, answers: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.answers = dict(answers or {})


@dataclass(frozen=True, kw_only=True)
class AnswerType:
    """The type of an answer. Make one with `answer_type`; it can be pickled, hashed and written as JSON."""

    kind: str  # one of KINDS
    choices: tuple[str, ...] = ()  # of a choice
    schema: str = ""  # of kind schema: the strict JSON schema, as text

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"answer is {self.kind!r}: it is one of {_SPECS}")
        if self.kind == "choice":
            _check_choices(list(self.choices))
        if (self.kind == "schema") != bool(self.schema) or (self.kind != "choice" and self.choices):
            raise ConfigError(f"an answer of kind {self.kind} with other settings than its own: use answer_type()")

    def __str__(self) -> str:
        return f"choice:{','.join(self.choices)}" if self.kind == "choice" else self.kind

    def json_schema(self) -> dict[str, Any]:
        """What the model is told: the JSON schema of the value, as strict structured outputs want it."""
        if self.kind == "schema":
            return json.loads(self.schema)
        if self.kind == "tags":
            return {"type": "array", "items": {"type": "string"}}
        schema: dict[str, Any] = {"type": _JSON_TYPES[self.kind]}
        return {**schema, "enum": list(self.choices)} if self.kind == "choice" else schema

    def arrow_type(self) -> pa.DataType:
        """What `parse` returns, in Parquet; a schema that Arrow has no type for is stored as JSON text."""
        return schemas.arrow_type_of(self.json_schema()) or pa.string()

    def parse(self, value: Any) -> Any:
        """What `json.loads` made of the model's words, as the answer that is stored.

        Returns:
            str, bool, int, float, list of str (tags: stripped, each once, in their order), or the dict of a schema
            (its JSON text where Arrow has no type for it).

        Raises:
            InvalidAnswerError: it is of another type. Nothing is guessed: "yes" is no bool, and true is no int.
        """
        if self.kind == "choice":
            return self._parse_choice(value)
        schema = self.json_schema()
        if reason := schemas.mismatch(value, schema):
            raise InvalidAnswerError(reason)
        if self.kind == "float":
            return float(value)
        if self.kind == "tags":
            return list(dict.fromkeys(tag for tag in map(str.strip, value) if tag))
        if self.kind == "schema" and schemas.arrow_type_of(schema) is None:
            return json.dumps(value, ensure_ascii=False)
        return schemas.stored(value, schema)

    def _parse_choice(self, value: Any) -> str:
        if isinstance(value, str) and value in self.choices:
            return value
        # servers without strict structured outputs are free with capitals
        folded = [c for c in self.choices if isinstance(value, str) and c.casefold() == value.strip().casefold()]
        if len(folded) != 1:
            raise InvalidAnswerError(f"the answer is {shown(value)}, and none of {', '.join(self.choices)}")
        return folded[0]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = {"kind": self.kind}
        if self.kind == "choice":
            found["choices"] = list(self.choices)
        if self.kind == "schema":
            found["schema"] = self.json_schema()
        return found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AnswerType:
        """Back from JSON. Raises `ConfigError` for what `as_dict` did not write."""
        unknown = set(data) - {"kind", "choices", "schema"}
        if unknown or "kind" not in data:
            raise ConfigError(f"an answer's type is written with kind, choices, schema, and not {sorted(data)}")
        schema = data.get("schema")
        return cls(
            kind=data["kind"],
            choices=tuple(data.get("choices", ())),
            schema=json.dumps(schema) if schema is not None else "",
        )


_SPECS = "text, bool, int, float, choice:a,b,c, tags, or a JSON schema"


def answer_type(spec: Any) -> AnswerType:
    """The type of an answer, from how users write it.

    Args:
        spec: "text", "bool", "int", "float", "tags", "choice:a,b,c"; `str`, `bool`, `int`, `float`; a list of
            choices; a JSON schema of an object (a dict, or its text); a pydantic model class; or an `AnswerType`.

    Raises:
        ConfigError: none of these, fewer than two choices, or a schema that strict structured outputs do not take.
    """
    if isinstance(spec, AnswerType):
        return spec
    if isinstance(spec, type):
        return _of_class(spec)
    if isinstance(spec, Mapping):
        return AnswerType(kind="schema", schema=json.dumps(schemas.strict_schema(spec)))
    if isinstance(spec, (list, tuple)):
        return AnswerType(kind="choice", choices=tuple(spec))
    if not isinstance(spec, str):
        raise ConfigError(f"answer is {spec!r}: it is one of {_SPECS}")
    text = spec.strip()
    if text.startswith("{"):
        try:
            return answer_type(json.loads(text))
        except ValueError as error:
            raise ConfigError(f"the answer's schema is not JSON: {error}") from None
    kind, colon, rest = text.partition(":")
    if colon and kind.strip() == "choice":
        return AnswerType(kind="choice", choices=tuple(choice.strip() for choice in rest.split(",")))
    if text == "choice":
        raise ConfigError("answer is 'choice': name the choices, as in choice:day,night")
    if text not in KINDS or text == "schema":
        raise ConfigError(f"answer is {spec!r}: it is one of {_SPECS}")
    return AnswerType(kind=text)


def _of_class(spec: type) -> AnswerType:
    if spec in _PYTHON_TYPES:
        return AnswerType(kind=_PYTHON_TYPES[spec])
    if (to_schema := getattr(spec, "model_json_schema", None)) is None:
        raise ConfigError(f"answer is the class {spec.__qualname__}: it is str, bool, int, float or a pydantic model")
    return answer_type(to_schema())


def _check_choices(found: list[Any]) -> None:
    if not all(isinstance(choice, str) and choice.strip() for choice in found):
        raise ConfigError(f"the choices of an answer are {found}: each is a text, and none is empty")
    if len(set(found)) != len(found):
        raise ConfigError(f"the choices of an answer name one twice: {', '.join(found)}")
    if not 2 <= len(found) <= MAX_CHOICES:
        raise ConfigError(f"an answer has {len(found)} choices: it takes 2 to {MAX_CHOICES:,}")

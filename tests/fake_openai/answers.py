"""Answers computed from an image's pixels, so that a mixed-up or an invented answer is seen."""

from __future__ import annotations

import colorsys
from typing import Any

from tests.fake_openai.images import ImageFacts, image_facts

__all__ = ["NO_IMAGE", "answer", "describe", "expected_answer"]

#: What answers are made of when the request has no image.
NO_IMAGE = ImageFacts("", 0, 0, 0, 0.0, 0.0, 0.0)

_HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")


def expected_answer(image: bytes, schema: dict[str, Any]) -> Any:
    """What the fake answers about `image` in the form of `schema`.

    Args:
        image: the encoded image as it is sent.
        schema: the JSON schema of the response format; or of one property, for that one's value.

    Returns:
        A JSON value: bool: mean red > 127; integer: the width in pixels; number: mean grey; choice: by the mean
        colour's hue; text: the size and the mean colour; a list of strings: words for shape, light and hue.
    """
    return answer(image_facts(image), schema)


def describe(facts: ImageFacts) -> str:
    """The text answer: `640x480 mean (12,34,56)`."""
    red, green, blue = (round(value) for value in facts.colour)
    return f"{facts.width}x{facts.height} mean ({red},{green},{blue})"


def answer(facts: ImageFacts, schema: dict[str, Any], root: dict[str, Any] | None = None) -> Any:
    """As `expected_answer`, from facts; `root` is where `$ref`s point into."""
    root = schema if root is None else root
    if "$ref" in schema:
        return answer(facts, _resolve(schema["$ref"], root), root)
    if "anyOf" in schema:
        not_null = [option for option in schema["anyOf"] if option.get("type") != "null"]
        return answer(facts, (not_null or schema["anyOf"])[0], root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return _choice(facts, [value for value in schema["enum"] if value is not None] or [None])
    kind = schema["type"]
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind == "object":
        return {name: answer(facts, value, root) for name, value in schema["properties"].items()}
    if kind == "array":
        return _array(facts, schema, root)
    return {
        "boolean": lambda: facts.red > 127,
        "integer": lambda: int(_within(facts.width, schema)),
        "number": lambda: _within(round(sum(facts.colour) / 3, 2), schema),
        "string": lambda: describe(facts),
        "null": lambda: None,
    }[kind]()


def _array(facts: ImageFacts, schema: dict[str, Any], root: dict[str, Any]) -> list[Any]:
    items = schema["items"]
    if "$ref" in items:
        items = _resolve(items["$ref"], root)
    if items.get("type") == "string" and "enum" not in items:
        values: list[Any] = _words(facts)
    else:
        values = [answer(facts, items, root)]
    while len(values) < schema.get("minItems", 0):
        values.append(values[0])
    return values[: schema.get("maxItems", len(values))]


def _words(facts: ImageFacts) -> list[str]:
    shape = "wide" if facts.width > facts.height else "tall" if facts.width < facts.height else "square"
    return [shape, "bright" if sum(facts.colour) / 3 > 127 else "dark", _choice(facts, list(_HUES))]


def _choice(facts: ImageFacts, values: list[Any]) -> Any:
    """Spread evenly over the circle of hues, the first at red: the one nearest to the mean colour's hue."""
    hue, _, _ = colorsys.rgb_to_hsv(*(value / 255 for value in facts.colour))
    return values[round(hue * len(values)) % len(values)]


def _within(value: float, schema: dict[str, Any]) -> float:
    return max(schema.get("minimum", value), min(schema.get("maximum", value), value))


def _resolve(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    if reference == "#":
        return root
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found

"""A batch's input file: its lines, and everything that can be wrong with it as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fake_openai.billing import find_model

__all__ = ["ENDPOINT", "BatchLine", "LineError", "read_lines", "validate_lines"]

ENDPOINT = "/v1/chat/completions"  # the only one that the fake does batches of
_KEYS = {"custom_id", "method", "url", "body"}


@dataclass(frozen=True)
class LineError:
    """As in `errors.data` of a failed batch."""

    code: str
    message: str
    line: int | None = None  # from 1
    param: str | None = None

    def body(self) -> dict[str, Any]:
        """Its JSON."""
        return {"code": self.code, "message": self.message, "line": self.line, "param": self.param}


@dataclass(frozen=True)
class BatchLine:
    """A request of a batch."""

    custom_id: str
    body: dict[str, Any]


def read_lines(path: Path) -> Iterator[BatchLine]:
    """The lines of a file that `validate_lines` found nothing wrong with."""
    with path.open("rb") as source:
        for text in source:
            if text.strip():
                line = json.loads(text)
                yield BatchLine(line["custom_id"], line["body"])


def validate_lines(path: Path, *, max_lines: int) -> tuple[int, str, list[LineError]]:
    """Look at each line.

    Returns:
        How many there are, the one model's name, and the first errors: a batch with any fails as a whole.
    """
    errors: list[LineError] = []
    seen: set[str] = set()
    models: set[str] = set()
    count = 0
    with path.open("rb") as source:
        for number, text in enumerate(source, 1):
            if not text.strip():
                continue
            count += 1
            error = _check_line(text, number, seen, models)
            if error is not None:
                errors.append(error)
                if len(errors) == 100:
                    break
    if not count:
        errors = [LineError("empty_file", "The input file is empty.")]
    elif count > max_lines:
        errors = [LineError("too_many_tasks", f"The batch has {count} requests; the maximum is {max_lines}.")]
    elif len(models) > 1 and not errors:
        errors = [LineError("mismatched_model", f"All requests of a batch must have one model: {sorted(models)}.")]
    return count, min(models, default=""), errors


def _check_line(text: bytes, number: int, seen: set[str], models: set[str]) -> LineError | None:
    try:
        line = json.loads(text)
    except ValueError:
        return LineError("invalid_json_line", "This line is not parseable as valid JSON.", number)
    if not isinstance(line, dict):
        return LineError("invalid_json_line", "This line is no JSON object.", number)
    for name in sorted(_KEYS - set(line)):
        return LineError("missing_required_parameter", f"Missing required parameter: '{name}'.", number, name)
    for name in sorted(set(line) - _KEYS):
        return LineError("unknown_parameter", f"Unknown parameter: '{name}'.", number, name)
    custom_id = line["custom_id"]
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= 512:
        return LineError("invalid_custom_id", "custom_id must be a string of 1 to 512 characters.", number, "custom_id")
    if custom_id in seen:
        return LineError("duplicate_custom_id", f"The custom_id {custom_id!r} was used before.", number, "custom_id")
    seen.add(custom_id)
    if line["method"] != "POST":
        return LineError("invalid_method", "The HTTP method must be POST.", number, "method")
    if line["url"] != ENDPOINT:
        return LineError("mismatched_endpoint", f"The url must be the batch's endpoint, {ENDPOINT}.", number, "url")
    body = line["body"]
    if not isinstance(body, dict):
        return LineError("invalid_body", "The body must be a JSON object.", number, "body")
    if body.get("stream"):
        return LineError("invalid_body", "Streaming is not supported in batches.", number, "body.stream")
    model = find_model(body.get("model"))
    if model is None:
        return LineError("model_not_found", f"The model {body.get('model')!r} does not exist.", number, "body.model")
    models.add(body["model"])
    return None

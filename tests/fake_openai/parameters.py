"""The fields of a chat completion's body, and what their values may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["PARAMETERS"]

_Check = Callable[[Any], str]


def _number(low: float, high: float) -> _Check:
    def check(value: Any) -> str:
        good = value is None or (
            isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        )
        return "" if good else f"{value!r} is no number from {low:g} to {high:g}"

    return check


def _integer(low: int, high: int = 2**63 - 1) -> _Check:
    def check(value: Any) -> str:
        good = value is None or (isinstance(value, int) and not isinstance(value, bool) and low <= value <= high)
        return "" if good else f"{value!r} is no integer from {low}" + ("" if high == 2**63 - 1 else f" to {high}")

    return check


def _one_of(*values: Any) -> _Check:
    def check(value: Any) -> str:
        return "" if any(value is one or (value == one and type(value) is type(one)) for one in values) else (
            f"{value!r} is not one of {', '.join(map(repr, values))}"
        )  # fmt: skip

    return check


def _of_type(kind: type) -> _Check:
    return lambda value: "" if value is None or isinstance(value, kind) else f"{value!r} is no {kind.__name__}"


def _not_here(value: Any) -> str:
    return "" if value is None else "known to the real API, but not to the fake"


def _elsewhere(value: Any) -> str:
    return ""


#: The body's fields that the API documents, and what their values must be.
PARAMETERS: dict[str, _Check] = {
    "messages": _elsewhere,
    "model": _elsewhere,
    "response_format": _elsewhere,
    "max_completion_tokens": _integer(1),
    "max_tokens": _integer(1),
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "frequency_penalty": _number(-2, 2),
    "presence_penalty": _number(-2, 2),
    "seed": _integer(-(2**63)),
    "n": _one_of(None, 1),
    "stream": _one_of(None, False),
    "store": _one_of(None, True, False),
    "user": _of_type(str),
    "safety_identifier": _of_type(str),
    "prompt_cache_key": _of_type(str),
    "prompt_cache_retention": _one_of(None, "in_memory", "24h"),
    "service_tier": _one_of(None, "auto", "default"),
    "reasoning_effort": _one_of(None, "none", "minimal", "low", "medium", "high", "xhigh"),
    "verbosity": _one_of(None, "low", "medium", "high"),
    "metadata": _of_type(dict),
    "parallel_tool_calls": _of_type(bool),
    "logit_bias": _of_type(dict),
    **dict.fromkeys(
        (
            "audio", "function_call", "functions", "logprobs", "modalities", "moderation", "prediction",
            "prompt_cache_options", "stop", "stream_options", "tool_choice", "tools", "top_logprobs",
            "web_search_options",
        ),
        _not_here,
    ),
}  # fmt: skip

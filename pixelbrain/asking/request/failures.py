"""What a failed request means: try it again, give up the row, or stop the job; and how long to wait before a retry."""

from __future__ import annotations

import html
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pixelbrain.asking.request.headers import retry_after_s
from pixelbrain.errors import StopJob

#: Longest part of a server's message that is kept.
_MESSAGE_CHARS = 500
#: What looks like a key in a message, or like what servers leave of one: sk-..., Bearer ..., abcd********wxyz.
_KEYS = re.compile(r"\bsk-[\w*.-]{4,}|(?<=bearer )[^\s'\"]{8,}|\S*\*{3,}\S*", re.IGNORECASE)

_NO_MONEY = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_NO_KEY = {"invalid_api_key", "account_deactivated", "invalid_organization", "invalid_authentication"}
_NO_MODEL = {"model_not_found", "deploymentnotfound", "model_not_available"}
_FILTERED = {"content_filter", "content_policy_violation", "moderation_blocked", "responsibleaipolicyviolation"}


#: Where servers put their words, the most telling first.
_WORDS = (
    "message", "msg", "detail", "details", "error", "errors", "error_message", "error_msg", "error_description",
    "description", "reason", "title",
)  # fmt: skip
_DEEPEST = 6  # of words within words
_PAGE_CHARS = 20_000  # of a web page, that are looked at
_NO_TEXT = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.DOTALL | re.IGNORECASE)
#: A 401 without a code of its own is about the key where it speaks of one, by any of its names.
_ABOUT_KEY = re.compile(r"key|token|credential|\bauth|log[ -]?in|sign[ -]?in", re.IGNORECASE)


@dataclass(eq=False, repr=False, kw_only=True)
class _Failure(Exception):
    message: str = field(kw_only=False)
    error_type: str  # for the row
    headers: Mapping[str, str] | None = None  # of the response, if one came


@dataclass(eq=False, repr=False, kw_only=True)
class Retry(_Failure):
    """A try failed in a way that passes."""

    after_s: float | None = None  # that the server asks to wait; None: it does not say
    everyone: bool = False  # a 429, which is about all requests and not about this one
    maybe_billed: bool = False  # the request may have been answered, and the answer lost on its way
    garbled: bool = False  # it was answered, by something that is no answer


@dataclass(eq=False, repr=False, kw_only=True)
class RowFailed(_Failure):
    """The server will not answer this request, however often it is sent."""

    refused: bool = False  # by a content filter: that is an answer, if not one to the question


def backoff_s(tries: int, *, first_s: float = 0.5, most_s: float = 30.0) -> float:
    """Seconds to wait after so many tries, at least one.

    Doubling from `first_s` up to `most_s`, each shortened by up to a half at random, so that requests that failed
    together do not come back together.
    """
    return min(most_s, first_s * 2 ** min(tries - 1, 30)) * random.uniform(0.5, 1)


def classify_response(
    status: int, body: Any, headers: Mapping[str, str], *, model: str, key: str | None = None, variable: str = ""
) -> Retry | RowFailed | StopJob:
    """What a response that is no success means.

    Args:
        status: of the response, 300 to 599.
        body: its error, as `error_of` finds it.
        model: that was asked, for the message.
        key: that was sent; it is masked wherever the server repeats it.
        variable: of the environment, that the key is in.
    """
    error = body if isinstance(body, Mapping) else {}
    codes = {str(error.get(name) or "").lower() for name in ("code", "type")}
    said = mask_keys(words(body), key)
    message = f"HTTP {status}" + (f": {said}" if said else "")
    lower = said.lower()
    if codes & _NO_MONEY or status == 402:
        return StopJob(
            f"the account has no money left ({message}); answers so far are kept, the same command continues"
        )
    if codes & _FILTERED:
        return RowFailed(message, error_type="ContentFilter", refused=True, headers=headers)
    if status == 401 and (codes & _NO_KEY or not codes - {"", "invalid_request_error"} or _ABOUT_KEY.search(said)):
        if variable and key is None:
            return StopJob(f"the server wants a key ({message}): set {variable}, and continue")
        return StopJob(
            f"the server does not take the key in {variable or 'OPENAI_API_KEY'} ({message}); set another, and continue"
        )
    if codes & _NO_MODEL or (status == 404 and ("model" in lower or not error)):
        return StopJob(f"the server has no model {model} at this address ({message}); check --model and --base-url")
    if status == 429 and lower.startswith("request too large"):
        return RowFailed(message, error_type="RequestTooLarge", headers=headers)
    if status in (408, 409, 429) or status >= 500:
        return Retry(
            message,
            error_type=_ERROR_TYPES.get(status, "ServerError"),
            after_s=retry_after_s(headers, said),
            everyone=status == 429,
            headers=headers,
        )
    return RowFailed(message, error_type=_ERROR_TYPES.get(status, "RequestError"), headers=headers)


_ERROR_TYPES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    408: "Timeout",
    409: "Conflict",
    422: "Unprocessable",
    429: "RateLimited",
}


def mask_keys(text: str, key: str | None = None) -> str:
    """The text on one line and of a bounded length, without the key, and without anything that looks like one."""
    text = " ".join(text.split())
    if key:
        text = text.replace(key, "***")
    text = _KEYS.sub("***", text[: 4 * _MESSAGE_CHARS])  # on a long word, the search for stars takes its square
    return text if len(text) <= _MESSAGE_CHARS else text[: _MESSAGE_CHARS - 3] + "..."


def error_of(body: Any) -> Any:
    """The error in a response's JSON or text: what is under "error" (of a list, of its first one), or all of it."""
    first = body[0] if isinstance(body, list) and len(body) == 1 else body
    error = first.get("error") if isinstance(first, Mapping) else None
    return error if error and isinstance(error, Mapping | str | list) else first


def words(error: Any) -> str:
    """What an error says, in whatever form a server puts it; "" where it says nothing.

    Without the request, which validators repeat beside their words, image and all; of a web page, what it shows.
    """
    said = _words(error, _DEEPEST)
    held = error.values() if isinstance(error, Mapping) else error if isinstance(error, list) else ()
    return said or (json.dumps(error) if any(held) else "")


def _words(error: Any, deepest: int) -> str:
    if isinstance(error, str):
        text = error.strip()
        if text[:1] in ("{", "[") and deepest:
            try:
                return _words(json.loads(text), deepest - 1) or text
            except (ValueError, RecursionError):
                return text
        if text[:1] == "<":
            text = text[:_PAGE_CHARS]
            title = _TITLE.search(text)
            text = " ".join(html.unescape(title[1] if title else _NO_TEXT.sub(" ", text)).split())
        return text
    if not deepest:
        return ""
    if isinstance(error, list):
        return "; ".join(dict.fromkeys(filter(None, (_words(one, deepest - 1) for one in error[:20]))))
    if not isinstance(error, Mapping):
        return ""
    fields = {str(name).lower(): value for name, value in error.items()}
    said = next((text for name in _WORDS if (text := _words(fields.get(name), deepest - 1))), "")
    if said and isinstance(where := fields.get("loc"), list | tuple):  # of FastAPI, as Mistral and vLLM have it
        said = f"{'.'.join(map(str, where))}: {said}"
    beneath = fields.get("metadata")  # of OpenRouter, whose own words say no more than that its provider failed
    raw = _words(beneath.get("raw"), deepest - 1) if isinstance(beneath, Mapping) else ""
    return f"{said}: {raw}" if raw else said

"""The connection to an OpenAI-compatible server: one client an event loop, one request at a time through `send`.

The SDK's own retries are off: it cannot know the limits that are shared by a cluster. A failed request is one of
`Retry`, `RowFailed` and `StopJob`; no message of theirs holds a key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pixelbrain.asking.request.failures import Retry, classify_response, mask_keys
from pixelbrain.errors import ConfigError

__all__ = ["KEY_VARIABLE", "AskClient", "Reply", "read_key"]

KEY_VARIABLE = "OPENAI_API_KEY"


def read_key(base_url: str | None) -> str:
    """The key in the environment; "" for another server than OpenAI's, which may need none.

    Raises:
        ConfigError: no key for OpenAI's server, or one that cannot be sent.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key and base_url is None and not os.environ.get("OPENAI_BASE_URL"):
        raise ConfigError(
            f"{KEY_VARIABLE} is not set: `export {KEY_VARIABLE}=...` with a key of "
            "https://platform.openai.com/api-keys, or name another server with --base-url"
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(f"{KEY_VARIABLE} holds characters that no key has: copy it again")
    return key


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a server answered to one request."""

    content: str  # empty when refused
    refusal: str | None  # the model's own words
    finish_reason: str  # stop, length, content_filter, ...
    model: str  # that answered: a dated snapshot, where the server says
    input_tokens: int | None  # billed; None: the server does not say
    output_tokens: int | None
    headers: Mapping[str, str] = field(repr=False)
    request_id: str | None


class AskClient:
    """An `AsyncOpenAI` that sends bodies as they are. Made, used and closed in one event loop.

    Args:
        base_url: of a server that speaks the API; None: OpenAI's.
        connections: the most at once. As many as requests in flight, or they would wait here with a permit in hand.
        timeout_s: of one request, from the first byte sent to the last one received.

    The key is read from the environment here and nowhere else. Another server than OpenAI's may need none.

    Raises:
        ConfigError: no key for OpenAI's server, or one that cannot be sent.
    """

    def __init__(self, *, base_url: str | None = None, connections: int = 32, timeout_s: float = 60.0) -> None:
        import openai

        key = read_key(base_url)
        self._key = key or None
        self._timeout_s = timeout_s
        limits = type(openai.DEFAULT_CONNECTION_LIMITS)  # of httpx or its successor, whichever the SDK brings
        self._openai = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=base_url,
            max_retries=0,
            timeout=timeout_s,
            http_client=openai.DefaultAsyncHttpxClient(
                limits=limits(max_connections=connections, max_keepalive_connections=connections),
                timeout=timeout_s,
            ),
        )

    async def send(self, body: Mapping[str, Any]) -> Reply:
        """POST one body to chat/completions.

        Args:
            body: as `request.build_body` makes it.

        Raises:
            Retry: it may work another time.
            RowFailed: it never will.
            StopJob: nor will any other request.
        """
        import openai

        extra = {name: value for name, value in body.items() if name not in ("model", "messages")}
        try:
            raw = await self._openai.chat.completions.with_raw_response.create(
                model=body["model"], messages=body["messages"], extra_body=extra
            )
        except openai.APIStatusError as error:
            raise classify_response(
                error.status_code,
                error.body if error.body is not None else error.response.text,
                dict(error.response.headers),
                model=body["model"],
                key=self._key,
            ) from None
        except openai.APITimeoutError:
            raise Retry(f"no answer within {self._timeout_s:g} s", error_type="Timeout", maybe_billed=True) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__
            raise Retry(
                mask_keys(f"the connection broke: {type(cause).__name__}: {cause}", self._key),
                error_type="ConnectionBroken",
                maybe_billed=not _never_sent(cause),
            ) from None
        headers = dict(raw.headers)
        try:
            return _read_reply(json.loads(raw.content), headers)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise Retry(
                mask_keys(f"the response is not a chat completion ({type(error).__name__}): {raw.text}", self._key),
                error_type="GarbledResponse",
                maybe_billed=True,
                headers=headers,
            ) from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._openai.close()


def _never_sent(cause: BaseException | None) -> bool:
    """Whether a connection failed before the request was on it."""
    return type(cause).__name__ in ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol")


def _read_reply(found: Any, headers: Mapping[str, str]) -> Reply:
    choice = found["choices"][0]
    message = choice["message"]
    usage = found.get("usage") or {}
    content, refusal = message.get("content"), message.get("refusal")
    if not isinstance(content, (str, type(None))) or not isinstance(refusal, (str, type(None))):
        raise TypeError("content or refusal is no text")
    return Reply(
        content=content or "",
        refusal=refusal,
        finish_reason=str(choice.get("finish_reason") or "stop"),
        model=str(found.get("model") or ""),
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        headers=headers,
        request_id=headers.get("x-request-id"),
    )


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None

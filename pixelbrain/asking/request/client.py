"""The connections to an OpenAI-compatible server: how clients are made, and one request at a time through `send`.

The SDK's own retries are off: it cannot know the limits that are shared by a cluster. A failed request is one of
`Retry`, `RowFailed` and `StopJob`; no message of theirs holds a key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import openai

from pixelbrain.asking.request.failures import Retry, RowFailed, StopJob, classify_response, mask_keys
from pixelbrain.asking.request.key import read_key
from pixelbrain.asking.request.replies import GarbledReplyError, Reply, error_in, read_reply
from pixelbrain.machine import bypass_proxies

_NO_KEY = "none"  # the SDK wants one, where the server does not


def _options(base_url: str | None, timeout_s: float) -> dict[str, Any]:
    """What every client is made with. Raises as `read_key` does.

    Args:
        base_url: of a server that speaks the API, which may need no key; None: OpenAI's, or OPENAI_BASE_URL.
        timeout_s: of one call, from the first byte sent to the last one received.
    """
    bypass_proxies()
    return {"api_key": read_key(base_url) or _NO_KEY, "base_url": base_url, "max_retries": 0, "timeout": timeout_s}


def make_sync_client(*, base_url: str | None = None, timeout_s: float = 60.0) -> openai.OpenAI:
    """A client for the Files and Batches endpoints; see `_options`. Uploads have a time-out of their own."""
    return openai.OpenAI(**_options(base_url, timeout_s))


def sent_key(client: Any) -> str | None:
    """The key that an SDK's client sends, to be masked in messages; None: it has none."""
    return client.api_key if client.api_key != _NO_KEY else None


class AskClient:
    """An `AsyncOpenAI` that sends bodies as they are. Made, used and closed in one event loop.

    See `_options` for what is not here.

    Args:
        connections: the most at once. As many as requests in flight, or they would wait here with a permit in hand.
    """

    def __init__(self, *, base_url: str | None = None, connections: int = 32, timeout_s: float = 60.0) -> None:
        limits = type(openai.DEFAULT_CONNECTION_LIMITS)  # of httpx or its successor, whichever the SDK brings
        http_client = openai.DefaultAsyncHttpxClient(
            limits=limits(max_connections=connections, max_keepalive_connections=connections), timeout=timeout_s
        )
        self._openai = openai.AsyncOpenAI(**_options(base_url, timeout_s), http_client=http_client)
        self._key = sent_key(self._openai)
        self._timeout_s = timeout_s

    async def send(self, body: Mapping[str, Any]) -> Reply:
        """POST one body, as `request.body.build_body` makes it, to chat/completions.

        Raises:
            Retry: it may work another time.
            RowFailed: it never will.
            StopJob: nor will any other request.
        """
        extra = {name: value for name, value in body.items() if name not in ("model", "messages")}
        try:
            raw = await self._openai.chat.completions.with_raw_response.create(
                model=body["model"], messages=body["messages"], extra_body=extra
            )
        except openai.APITimeoutError:
            raise Retry(f"no answer within {self._timeout_s:g} s", error_type="Timeout", maybe_billed=True) from None
        except (openai.APIStatusError, openai.APIConnectionError) as error:
            raise classify_error(error, model=body["model"], key=self._key) from None
        headers = dict(raw.headers)
        try:
            found = json.loads(raw.content)
            if (late := error_in(found)) is not None:
                raise classify_response(*late, headers, model=body["model"], key=self._key)
            return read_reply(found, model=body["model"], headers=headers)
        except (ValueError, RecursionError) as error:
            why = str(error) if isinstance(error, GarbledReplyError) else f"not JSON ({type(error).__name__})"
            raise Retry(
                mask_keys(f"the response is {why}: {raw.text or 'it is empty'}", self._key),
                error_type="GarbledResponse",
                maybe_billed=True,
                garbled=True,
                headers=headers,
            ) from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._openai.close()


def classify_error(error: Exception, *, model: str = "", key: str | None) -> Retry | RowFailed | StopJob:
    """What an error of the SDK means. The message names the model that was asked, and masks the key that was sent."""
    if isinstance(error, openai.APIStatusError):
        body = error.body if error.body is not None else error.response.text
        return classify_response(error.status_code, body, dict(error.response.headers), model=model, key=key)
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__ or error
        return Retry(
            mask_keys(f"the connection broke: {type(cause).__name__}: {cause}", key),
            error_type="ConnectionBroken",
            # else it failed before the request was on it
            maybe_billed=type(cause).__name__
            not in ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"),
        )
    return StopJob(mask_keys(f"{type(error).__name__}: {error}", key))

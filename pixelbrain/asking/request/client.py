"""The connections to an OpenAI-compatible server: how clients are made, and one request at a time through `send`.

The SDK's own retries are off: it cannot know the limits that are shared by a cluster. A failed request is one of
`Retry`, `RowFailed` and `StopJob`; no message of theirs holds a key.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import openai

from pixelbrain.asking.request.dialect import Dialect, Lessons, speak
from pixelbrain.asking.request.failures import Retry, RowFailed, StopJob, classify_response, error_of, mask_keys
from pixelbrain.asking.request.replies import GarbledReplyError, Reply, error_in, read_body, read_reply
from pixelbrain.asking.request.server import Server
from pixelbrain.config import mask_uri
from pixelbrain.machine import bypass_proxies

_NO_KEY = "none"  # the SDK wants one, where the server does not


def _options(server: Server, timeout_s: Any, model: str, *, whole: bool = False) -> dict[str, Any]:
    """What every client is made with; `model` and `whole`: see `Server.url`. Raises as `Server.read_key` does."""
    bypass_proxies()
    key = server.read_key() or _NO_KEY
    url, query = server.url(model, whole=whole)
    headers = dict(server.headers) | ({} if server.takes_bearer(key) else {"api-key": key})
    named = {"base_url": url, "default_query": query or None, "default_headers": headers or None}
    return {"api_key": key, "max_retries": 0, "timeout": timeout_s} | named


def make_sync_client(
    *, server: Server | None = None, timeout_s: float | openai.Timeout = 60.0, model: str | None = None
) -> openai.OpenAI:
    """A client for the Files and Batches endpoints, or for what there is of a `model`; see `AskClient`.

    Uploads have a time-out of their own.
    """
    server = server or Server()
    options = _options(server, timeout_s, model or "", whole=model is None)
    with _proxies_named():
        http_client = openai.DefaultHttpxClient(timeout=timeout_s, auth=_auth(server, options["api_key"]))
        return openai.OpenAI(**options, http_client=http_client)


@contextlib.contextmanager
def _proxies_named() -> Iterator[None]:
    """A proxy of the environment that no client can be made with is a `StopJob`."""
    try:
        yield
    except ImportError:
        raise StopJob(
            "the environment names a SOCKS proxy, which wants a package more: `pip install socksio`; or unset "
            "ALL_PROXY, or name the server in NO_PROXY"
        ) from None
    except Exception as error:
        if not isinstance(error, ValueError) and type(error).__name__ != "InvalidURL":
            raise
        raise StopJob(
            f"HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is no proxy's address ({mask_uri(str(error))}): http://HOST:PORT"
        ) from None


def _auth(server: Server, key: str) -> Any:
    """The SDK sends its key as the bearer's in every request; this takes it out again where that is not wanted."""

    def without_bearer(request: Any) -> Any:
        request.headers.pop("authorization", None)
        return request

    return None if server.takes_bearer(key) else without_bearer


def sent_key(client: Any) -> str | None:
    """The key that an SDK's client sends, to be masked in messages; None: it has none."""
    return client.api_key if client.api_key != _NO_KEY else None


class _Refused(Exception):
    """A response that is an error."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str]) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers


class AskClient:
    """An `AsyncOpenAI` that sends bodies in the server's dialect. Made, used and closed in one event loop.

    What a server refuses to take is left out from then on, and the refused request is sent again: that is no failure
    of it, nor of those that were on their way meanwhile.

    Args:
        server: that is asked, which may need no key; None: OpenAI's, or OPENAI_BASE_URL.
        connections: the most at once. As many as requests in flight, or they would wait here with a permit in hand.
        timeout_s: of one call, from the first byte sent to the last one received.
    """

    def __init__(
        self,
        *,
        server: Server | None = None,
        model: str = "",
        dialect: Dialect = Dialect(),  # noqa: B008 - it is frozen
        connections: int = 32,
        timeout_s: float = 60.0,
    ) -> None:
        limits = type(openai.DEFAULT_CONNECTION_LIMITS)  # of httpx or its successor, whichever the SDK brings
        server = server or Server()
        options = _options(server, timeout_s, model)
        with _proxies_named():
            http_client = openai.DefaultAsyncHttpxClient(
                limits=limits(max_connections=connections, max_keepalive_connections=connections),
                timeout=timeout_s,
                auth=_auth(server, options["api_key"]),
            )
        self._openai = openai.AsyncOpenAI(**options, http_client=http_client)
        self._key, self._variable = sent_key(self._openai), server.key_variable
        self._timeout_s = timeout_s
        self._lessons = Lessons(dialect)
        self.notes = self._lessons.notes  # what was learned of the server, once each, for people

    async def send(self, body: Mapping[str, Any]) -> Reply:
        """POST one body, as `request.body.build_body` makes it, to chat/completions.

        Raises:
            Retry: it may work another time.
            RowFailed: it never will.
            StopJob: nor will any other request.
        """
        while True:
            dialect = self._lessons.dialect
            spoken = speak(body, dialect)
            try:
                return await self._send(spoken)
            except _Refused as refused:
                if not self._lessons.teach(dialect, spoken, refused.status, refused.body):
                    raise classify_response(
                        refused.status,
                        refused.body,
                        refused.headers,
                        model=str(spoken["model"]),
                        key=self._key,
                        variable=self._variable,
                    ) from None

    async def _send(self, body: Mapping[str, Any]) -> Reply:
        extra = {name: value for name, value in body.items() if name not in ("model", "messages")}
        try:
            raw = await self._openai.chat.completions.with_raw_response.create(
                model=body["model"], messages=body["messages"], extra_body=extra
            )
        except openai.APITimeoutError:
            raise Retry(f"no answer within {self._timeout_s:g} s", error_type="Timeout", maybe_billed=True) from None
        except openai.APIStatusError as error:
            raise _Refused(error.status_code, said_by(error), dict(error.response.headers)) from None
        except openai.APIConnectionError as error:
            raise classify_error(error, model=body["model"], key=self._key) from None
        headers = dict(raw.headers)
        try:
            found = read_body(raw.content)
            if (late := error_in(found)) is not None:
                raise _Refused(*late, headers)
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


def said_by(error: openai.APIStatusError) -> Any:
    """The error of a response as `classify_response` takes it; the SDK's own reading loses some forms."""
    try:
        return error_of(error.response.json())
    except (ValueError, RecursionError):
        return error.response.text


def classify_error(error: Exception, *, model: str = "", key: str | None) -> Retry | RowFailed | StopJob:
    """What an error of the SDK means. The message names the model that was asked, and masks the key that was sent."""
    if isinstance(error, openai.APIStatusError):
        headers = dict(error.response.headers)
        return classify_response(error.status_code, said_by(error), headers, model=model, key=key)
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__ or error
        if type(cause).__name__ == "DecodingError":  # it came, packed in another way than it says
            why = mask_keys(f"the response cannot be unpacked: {cause}", key)
            return Retry(why, error_type="GarbledResponse", maybe_billed=True, garbled=True)
        return Retry(
            mask_keys(f"the connection broke: {type(cause).__name__}: {cause}", key),
            error_type="ConnectionBroken",
            # else it failed before the request was on it
            maybe_billed=type(cause).__name__
            not in ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"),
        )
    return StopJob(mask_keys(f"{type(error).__name__}: {error}", key))

"""A look at the server before any work: somebody is at its address, and speaks the API."""

from __future__ import annotations

import socket
import ssl
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import openai

from pixelbrain.asking.request.client import make_sync_client, said_by, sent_key
from pixelbrain.asking.request.failures import StopJob, classify_response, mask_keys
from pixelbrain.asking.request.server import Server
from pixelbrain.config import mask_uri

#: Until connected; and until an answer comes, for which a server has nothing to do.
_CONNECT_S, _ANSWER_S = 5.0, 20.0

_CHECK = "check --base-url, which mostly ends in /v1, and --provider, which knows some paths"


def look_at(server: Server, model: str | None) -> None:
    """Knock at a server's door as requests will: with its headers, and through the environment's proxies.

    Keys, rights, limits and models are the first request's to find out: not every server looks at them here. What
    passes, as a 503, is too. Without a model, only somebody has to be there.

    Raises:
        StopJob: nobody is there, or it is no API, or has none at this path.
    """
    timeout = openai.Timeout(_ANSWER_S, connect=_CONNECT_S)
    with make_sync_client(server=server, timeout_s=timeout, model=model).with_options(max_retries=0) as client:
        where = mask_uri(str(client.base_url).rstrip("/"))
        # Nothing of this is billed. Most answer the first with 405: the path is right, and wants a POST; some have
        # 404 for that, too
        chat = client.chat.completions.with_raw_response
        knocks = (chat.list, client.models.with_raw_response.list, lambda: chat.create(model=model or "", messages=[]))
        try:
            for knock in knocks:
                status, headers, said, moved = _answer(knock)
                if status != 404 or model is None:
                    break
        except openai.APIConnectionError as error:
            raise StopJob(f"{where} {mask_keys(_unreachable(error, where), sent_key(client))}") from None
        if moved is not None:
            raise StopJob(f"{where} sends us on to {moved}: is that the address to be given as --base-url?")
        if status == 404 and model is not None:
            verdict = classify_response(404, said, headers, model=model, key=sent_key(client))
            if isinstance(verdict, StopJob) and isinstance(said, Mapping):  # it knows the path, and not the model
                raise verdict
            raise StopJob(f"{where} has no chat/completions (HTTP 404, as for all that is asked there): {_CHECK}")
        page = "html" in headers.get("content-type", "") or (isinstance(said, str) and said.lstrip()[:1] == "<")
        if page and status < 500 and status not in (405, 429):
            raise StopJob(f"{where} answers with a web page (HTTP {status}), and is no API of this kind: {_CHECK}")
        if status == 400 and isinstance(said, str) and "HTTPS" in said:
            raise StopJob(f"{where} speaks TLS: write https:// in --base-url")


def _answer(knock: Callable[[], Any]) -> tuple[int, Mapping[str, str], Any, str | None]:
    """The status, the headers, the error or text of a response, and where it came from instead of the address.

    Of the ways to send somebody on, 307 and 308 alone send a request on as it is.
    """
    try:
        response = knock().http_response
        said = response.text
    except openai.APIStatusError as error:
        response, said = error.response, said_by(error)
    moved = any(one.status_code in (301, 302, 303) for one in response.history)
    return response.status_code, response.headers, said, str(response.url.copy_with(query=None)) if moved else None


def _proxy_of(url: str) -> str | None:
    """The proxy that the environment names for a URL, as httpx reads it: its host and port, without a login."""
    parts, proxies = urlsplit(url), urllib.request.getproxies()
    named = proxies.get(parts.scheme) or proxies.get("all")
    if named is None or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return named.rpartition("@")[2].rpartition("//")[2].rstrip("/")


def _unreachable(error: openai.APIConnectionError, url: str) -> str:
    """Why there was no answer, from the innermost error on, and what helps."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    said = " ".join(str(causes[-1] if str(causes[-1]) else error).split())
    proxy = _proxy_of(url)
    if proxy is not None and isinstance(causes[-1], socket.gaierror | ConnectionRefusedError | TimeoutError):
        return (
            f"cannot be reached through the proxy {proxy}, which does not answer ({said}); see HTTPS_PROXY, "
            "HTTP_PROXY and ALL_PROXY, and NO_PROXY for what needs none"
        )
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return f"cannot be found: no such host is known here ({said}); check --base-url, and the network"
        if isinstance(cause, ConnectionRefusedError):
            return "does not answer: nothing listens there; start the server, or name its address in --base-url"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"shows a certificate that cannot be trusted ({said}); name its authority's file in SSL_CERT_FILE, "
                "or check --base-url"
            )
        if isinstance(cause, ssl.SSLError):
            return f"does not speak TLS ({said}): write http:// in --base-url if it is plain HTTP"
        if type(cause).__name__ == "ConnectTimeout":
            return f"does not answer within {_CONNECT_S:g} s; check --base-url, the network and its firewalls"
    if isinstance(error, openai.APITimeoutError):
        return f"takes connections, and says nothing for {_ANSWER_S:g} s: it is busy, or another kind of server"
    if any(type(cause).__name__ == "ProxyError" for cause in causes):
        return f"cannot be reached through the proxy ({said}); see HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
    return f"breaks connections off ({said}): another kind of server, or http:// in place of https://"

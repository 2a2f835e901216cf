"""Which ChromaDB server answers, asked without chromadb: its client waits for ever, and takes 2 s to import."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pixelbrain.config import mask_uri
from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.machine import bypass_proxies
from pixelbrain.stores.address import chroma_database

ANSWER_TIMEOUT_S = 5.0
#: Of the environment: what a server, or a proxy before it, wants to see.
TOKEN = "PIXELBRAIN_CHROMA_TOKEN"
#: chromadb's own names; its client makes the database, and not the tenant.
TENANT, DATABASE = "default_tenant", "default_database"
#: What a proxy answers while the server behind it is away.
AWAY = frozenset({502, 503, 504})

# tests/chroma_versions.py tries them with the client that we have; those before do not say how a collection measures
_OLDEST, _MAJOR = (1, 0, 6), 1
_WORKS = "Pixelbrain works with servers from 1.0.6 to the last 1.x"
_UPGRADE = (
    "upgrade it (`pip install -U 'chromadb<2'`, and `chroma run` again, with an empty --path), and `pixelbrain load "
    "OUT` fills it; without --chroma no server is needed"
)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that answered, of a version that works."""

    host: str
    port: int
    ssl: bool
    headers: dict[str, str] = field(repr=False)  # a login

    @property
    def root(self) -> str:
        """Its URL, without a login."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.ssl else ''}://{host}:{self.port}"

    @property
    def databases(self) -> str:
        """The URL of its databases."""
        return f"{self.root}/api/v2/tenants/{TENANT}/databases"


def find_server(url: str) -> Server:
    """The server at `http://HOST:PORT/NAME` (port 8000, or 443 with https, when absent), seen to answer.

    A login is `USER:PASSWORD@` before HOST, or a token in PIXELBRAIN_CHROMA_TOKEN.

    Raises:
        StoreError: it does not answer within 5 s, does not let us in, is no ChromaDB, or of a version that does not
            work; the message says which, and what to do.
        ConfigError: not such an address.
    """
    bypass_proxies()
    where, name, parts = mask_uri(url), chroma_database(url) or DATABASE, urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        raise ConfigError(f"{where} is not an address of ChromaDB: http://HOST:PORT/NAME, or a folder")
    tls = parts.scheme == "https"
    port = port or (443 if tls else 8000)
    server = Server(host=host, port=port, ssl=tls, headers=_login(parts.username, parts.password))
    _require_version(server, where)
    _ask(server, f"{server.databases}/{quote(name)}", where)  # the version is told to anyone, this is not
    return server


def refusal(code: int, *, login: bool) -> str:
    """What an HTTP status means that is no answer of ChromaDB, and the way out; `login`: whether one was sent."""
    if code in (401, 403):
        given = "does not accept the login that was given" if login else "wants a login"
        return f"{given} ({code}): set {TOKEN}, or give http://USER:PASSWORD@HOST:PORT/NAME"
    if code in AWAY:
        return f"a proxy answers {code}, as the server behind it is away: when it runs, the same command goes on"
    return f"HTTP {code} {http.client.responses.get(code, '')}".strip()


def _login(user: str | None, password: str | None) -> dict[str, str]:
    if user:
        login = f"{unquote(user)}:{unquote(password or '')}".encode()
        return {"Authorization": f"Basic {base64.b64encode(login).decode()}"}
    token = os.environ.get(TOKEN, "").strip()
    # servers and proxies look at either
    return {"Authorization": f"Bearer {token}", "X-Chroma-Token": token} if token else {}


def _require_version(server: Server, where: str) -> None:
    said = _ask(server, f"{server.root}/api/v2/version", where)
    if said is None:  # 0.4 and earlier
        said = _ask(server, f"{server.root}/api/v1/version", where)
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", said) if isinstance(said, str) else None
    if found is None:
        raise StoreError(f"what answers at {where} is no ChromaDB server: is the port right?")
    version = tuple(int(number) for number in found.groups())
    if version[0] > _MAJOR:
        way = f"is version {said}, and {_WORKS}: run one of those, or upgrade Pixelbrain"
    elif version == (1, 0, 0) and _says_how_it_measures(server, where):  # all servers of 1.x call themselves 1.0.0
        return
    elif version == (1, 0, 0):
        way = f"is of a version from 1.0.0 to 1.0.5, and {_WORKS}: {_UPGRADE}"
    elif version < _OLDEST:
        way = f"is version {said}, and {_WORKS}: {_UPGRADE}"
    else:
        return
    raise StoreError(f"ChromaDB at {where} {way}")


def _says_how_it_measures(server: Server, where: str) -> bool:
    """Whether its description of itself has what 1.0.6 brought; yes where a proxy keeps that description back."""
    with contextlib.suppress(StoreError, LookupError, TypeError):
        described = _ask(server, f"{server.root}/openapi.json", where)
        return "configuration_json" in described["components"]["schemas"]["Collection"]["properties"]
    return True


def _ask(server: Server, url: str, where: str) -> Any:
    """The JSON that is there; None where nothing is.

    Raises:
        StoreError: it does not answer, or refuses.
    """
    request = urllib.request.Request(url, headers=server.headers)
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=ANSWER_TIMEOUT_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            if error.code in (404, 405, 410):
                return None
            if 300 <= error.code < 400:
                to = urlsplit(error.headers.get("Location", ""))
                reason = f"it sends us to {to.scheme}://{to.hostname}: is that the address to be given?"
            else:
                reason = refusal(error.code, login=bool(server.headers))
        raise StoreError(f"ChromaDB at {where}: {reason}") from None
    except (OSError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", error)
        raise StoreError(f"ChromaDB at {where} does not answer: {_why(cause, server)}") from None
    except ValueError:
        raise StoreError(
            f"what answers at {where} is no ChromaDB server, as it sends no JSON: is the port right?"
        ) from None


def _why(cause: object, server: Server) -> str:
    """Why there is no answer, and the way out."""
    match cause:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted, {cause.verify_message}: name its CA's file in SSL_CERT_FILE"
        case ssl.SSLError():
            return f"{cause.reason or cause}: it speaks no TLS perhaps, http:// instead of https:// then"
        case socket.gaierror():
            return f"there is no host {server.host}: is the name right, and can it be looked up from here?"
        case ConnectionRefusedError():
            return (
                f"connection refused: start it with `chroma run --path DIR --host {server.host} --port {server.port}`"
            )
        case TimeoutError():
            return f"nothing came in {ANSWER_TIMEOUT_S:g} s: is the address right, and does a firewall let us through?"
        case ConnectionResetError() | http.client.HTTPException() if not server.ssl:
            return "it speaks no HTTP: with TLS, https:// instead of http://"
    return str(cause) or repr(cause)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """chromadb's client follows none, and a login belongs to the server that was named."""

    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        return None

"""A ChromaDB client, embedded or remote: opened with a limit on every wait, telemetry off, named errors."""

from __future__ import annotations

import contextlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import chromadb
import httpx
from chromadb.config import Settings
from chromadb.errors import ChromaError, InternalError

from pixelbrain.config import mask_uri
from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.machine import bypass_proxies
from pixelbrain.stores.address import chroma_database

#: What chromadb raises when its server went away.
CONNECTION_LOST: tuple[type[Exception], ...] = (httpx.NetworkError, httpx.RemoteProtocolError)

_ANSWER_TIMEOUT_S = 5.0
#: No single answer takes longer: a batch of 5,461 vectors into a collection of millions takes seconds.
_REQUEST_TIMEOUT_S = 600.0


@contextlib.contextmanager
def chroma_errors(where: str) -> Iterator[None]:
    """Turn chromadb's errors into `StoreError`; `where` is the folder, or the masked address."""
    try:
        yield
    except CONNECTION_LOST as error:
        raise StoreError(
            f"ChromaDB at {where} does not answer: {_reason(error)}; when it runs, the same command goes on"
        ) from None
    except InternalError as error:
        raise StoreError(
            f"ChromaDB at {where}: {_reason(error)}; if it is damaged, `pixelbrain load OUT --rebuild` writes it again"
        ) from None
    except (ChromaError, httpx.HTTPError, ValueError, TypeError) as error:  # it raises all of these on bad input
        raise StoreError(f"ChromaDB at {where}: {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    return (str(error) or repr(error)).splitlines()[0]


def open_folder(folder: Path) -> Any:
    """ChromaDB inside this process. The caller holds the folder's lock: two processes would corrupt it.

    Raises:
        chromadb.errors.ChromaError: it is damaged, or cannot be read.
        OSError: the folder cannot be made.
    """
    return chromadb.PersistentClient(str(folder), settings=_settings())


def connect(url: str) -> Any:
    """A client of the server at `http://HOST:PORT/NAME` (port 8000, or 443 with https, when absent).

    NAME is of a database in it, which is made when it is not there; without one it is ChromaDB's default database.

    Raises:
        StoreError: it does not answer within 5 s, or does not let us make the database.
        ConfigError: not such an address.
    """
    bypass_proxies()
    where = mask_uri(url)
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        raise ConfigError(f"{where} is not an address of ChromaDB: http://HOST:PORT/NAME, or a folder")
    ssl = parts.scheme == "https"
    port = port or (443 if ssl else 8000)
    shown = f"[{host}]" if ":" in host else host
    server, name = f"{parts.scheme}://{shown}:{port}/api/v2", chroma_database(url)
    try:
        # asked first because chromadb's client waits for ever
        with urllib.request.urlopen(f"{server}/heartbeat", timeout=_ANSWER_TIMEOUT_S):
            pass
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise StoreError(f"ChromaDB at {where} does not answer: {getattr(error, 'reason', None) or error}") from None
    with chroma_errors(where):
        if name is not None:  # made by the REST API, as chromadb's client opens none that is not there
            url = f"{server}/tenants/{chromadb.DEFAULT_TENANT}/databases"
            answer = httpx.post(url, json={"name": name}, timeout=_REQUEST_TIMEOUT_S)
            if answer.status_code != httpx.codes.CONFLICT:
                answer.raise_for_status()
        client = chromadb.HttpClient(
            host=host, port=port, ssl=ssl, settings=_settings(), database=name or chromadb.DEFAULT_DATABASE
        )
    for session in _sessions(client):
        session.timeout = httpx.Timeout(_REQUEST_TIMEOUT_S, connect=_ANSWER_TIMEOUT_S)  # chromadb sets none
    return client


def close_client(client: Any) -> None:
    """Close a client, and the connections to its server, which chromadb would leave open."""
    sessions = _sessions(client)
    client.close()
    for session in sessions:
        session.close()


def _sessions(client: Any) -> list[httpx.Client]:
    """The connections of a server's client, and of the second client inside it; chromadb 1.5 does not make them public.

    Where another version keeps them elsewhere, nothing is found, and they stay as chromadb leaves them.
    """
    servers = (getattr(one, "_server", None) for one in (client, getattr(client, "_admin_client", None)))
    found = (getattr(server, "_session", None) for server in servers)
    return [session for session in found if isinstance(session, httpx.Client)]


def _settings() -> Settings:
    return Settings(anonymized_telemetry=False)

"""A ChromaDB client, embedded or remote: opened with a limit on every wait, telemetry off, named errors."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
import httpx
from chromadb.config import Settings
from chromadb.errors import ChromaError, InternalError, error_types

from pixelbrain.config import mask_uri
from pixelbrain.errors import PixelbrainError, StoreError
from pixelbrain.stores.address import chroma_database, is_url
from pixelbrain.stores.chroma.heartbeat import ANSWER_TIMEOUT_S, AWAY, find_server, refusal

#: What chromadb raises when its server went away.
CONNECTION_LOST: tuple[type[Exception], ...] = (httpx.NetworkError, httpx.RemoteProtocolError)

#: No single answer takes longer: a batch of 5,461 vectors into a collection of millions takes seconds.
_REQUEST_TIMEOUT_S = 600.0


@contextlib.contextmanager
def chroma_errors(where: str) -> Iterator[None]:
    """Turn what chromadb raises into `StoreError`; `where` is the folder, or the masked address."""
    try:
        yield
    except CONNECTION_LOST as error:
        raise StoreError(
            f"ChromaDB at {where} does not answer: {_reason(error)}; when it runs, the same command goes on"
        ) from None
    except InternalError as error:
        log = "its log says more, and " if is_url(where) else ""
        raise StoreError(
            f"ChromaDB at {where}: {_reason(error)}; {log}if it is damaged, `pixelbrain load OUT --rebuild` writes it "
            "again"
        ) from None
    except (ChromaError, httpx.HTTPError) as error:
        raise StoreError(f"ChromaDB at {where}: {_reason(error)}") from None
    except (PixelbrainError, OSError, MemoryError):
        raise
    except Exception as error:  # of what it does not understand it raises ValueError, KeyError, Exception, whatever
        raise StoreError(f"ChromaDB at {where}: {_reason(error)}") from error


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
    Raises as `find_server`, and `StoreError` where it does not let us make the database.
    """
    server, name = find_server(url), chroma_database(url) or chromadb.DEFAULT_DATABASE
    with chroma_errors(mask_uri(url)):
        # made by the REST API, as chromadb's client opens none that is not there
        with httpx.Client(headers=server.headers, timeout=_REQUEST_TIMEOUT_S) as session:
            answer = session.post(server.databases, json={"name": name})
        if answer.status_code != httpx.codes.CONFLICT:
            _require_understood(answer)
            answer.raise_for_status()
        client = chromadb.HttpClient(
            host=server.host,
            port=server.port,
            ssl=server.ssl,
            headers=dict(server.headers),
            settings=_settings(),
            database=name,
        )
    for session in _sessions(client):
        session.timeout = httpx.Timeout(_REQUEST_TIMEOUT_S, connect=ANSWER_TIMEOUT_S)  # chromadb sets none
        session.event_hooks = {"response": [_require_understood]}
    return client


def _require_understood(answer: httpx.Response) -> None:
    """Name what comes from a proxy and not from ChromaDB; chromadb would raise a page of HTML as a bare Exception.

    Raises:
        httpx.HTTPError: one of `CONNECTION_LOST` if the server may come back, or a refusal in one line.
    """
    page = "html" in answer.headers.get("content-type", "")
    if answer.status_code in AWAY or (answer.is_success and page):
        raise httpx.RemoteProtocolError(f"HTTP {answer.status_code}, and no answer of ChromaDB")
    if answer.is_success:
        return
    answer.read()
    with contextlib.suppress(ValueError, LookupError, TypeError):
        if answer.json()["error"] in error_types:
            return
    said = "" if page else f": {' '.join(answer.text.split())[:200]}"
    reason = refusal(answer.status_code, login="authorization" in answer.request.headers)
    raise httpx.HTTPStatusError(reason + said, request=answer.request, response=answer)


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
    """A copy, as chromadb writes into them."""
    return read_settings().model_copy()


@functools.cache
def read_settings() -> Settings:
    """What chromadb's environment says, with telemetry off; read once a process, as long as a folder takes to open."""
    return Settings(anonymized_telemetry=False)

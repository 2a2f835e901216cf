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
from chromadb.errors import ChromaError

from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.stores.address import mask_uri

__all__ = ["chroma_errors", "connect", "open_folder"]

_ANSWER_TIMEOUT_S = 5.0


@contextlib.contextmanager
def chroma_errors(where: str) -> Iterator[None]:
    """Turn chromadb's errors into `StoreError`; `where` is the folder, or the masked address."""
    try:
        yield
    except (ChromaError, httpx.HTTPError, ValueError, TypeError) as error:  # it raises all of these on bad input
        reason = (str(error) or repr(error)).splitlines()[0]
        raise StoreError(f"ChromaDB at {where}: {reason}") from error


def open_folder(folder: Path) -> Any:
    """ChromaDB inside this process. The caller holds the folder's lock: two processes would corrupt it."""
    with chroma_errors(str(folder)):
        return chromadb.PersistentClient(str(folder), settings=_settings())


def connect(url: str) -> Any:
    """A client of the server at `http://HOST:PORT` (port 8000, or 443 with https, when absent).

    Raises:
        StoreError: it does not answer within 5 s.
        ConfigError: not such an address.
    """
    where = mask_uri(url)
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        raise ConfigError(f"{where} is not an address of ChromaDB: http://HOST:PORT, or a folder")
    ssl = parts.scheme == "https"
    port = port or (443 if ssl else 8000)
    shown = f"[{host}]" if ":" in host else host
    try:
        # asked first because chromadb's client waits for ever
        with urllib.request.urlopen(f"{parts.scheme}://{shown}:{port}/api/v2/heartbeat", timeout=_ANSWER_TIMEOUT_S):
            pass
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise StoreError(f"ChromaDB at {where} does not answer: {reason}") from None
    with chroma_errors(where):
        return chromadb.HttpClient(host=host, port=port, ssl=ssl, settings=_settings())


def _settings() -> Settings:
    return Settings(anonymized_telemetry=False)

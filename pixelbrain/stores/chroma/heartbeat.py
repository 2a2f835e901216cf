"""Whether a ChromaDB server answers, asked without chromadb: its client waits for ever, and takes 2 s to import."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import NamedTuple
from urllib.parse import urlsplit

from pixelbrain.config import mask_uri
from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.machine import bypass_proxies

ANSWER_TIMEOUT_S = 5.0


class Server(NamedTuple):
    """A server that answered."""

    host: str
    port: int
    ssl: bool
    api: str  # the URL of its REST API


def find_server(url: str) -> Server:
    """The server at `http://HOST:PORT/NAME` (port 8000, or 443 with https, when absent), seen to answer.

    Raises:
        StoreError: it does not answer within 5 s.
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
    api = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}/api/v2"
    try:
        with urllib.request.urlopen(f"{api}/heartbeat", timeout=ANSWER_TIMEOUT_S):
            return Server(host, port, ssl, api)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise StoreError(f"ChromaDB at {where} does not answer: {getattr(error, 'reason', None) or error}") from None

"""Addresses of servers: which kind one is, the name of the database in it, and when there has to be one."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pixelbrain.config import mask_uri
from pixelbrain.errors import ConfigError, StoreError

#: The MongoDB database of a URI that names none.
DEFAULT_DATABASE = "pixelbrain"

_MONGO_SCHEME = re.compile(r"mongodb(\+srv)?://")
# https://www.mongodb.com/docs/manual/reference/limits/: Windows' rules, the stricter ones, hold on every system
_REFUSED = re.compile(r'[/\\. "$*<>:|?\x00-\x1f]')  # control characters: the end of a line that a file's URI kept
_NAME_BYTES = 63
_OF_THE_SERVER = ("admin", "config", "local")
# what ChromaDB 1.5 answers about another one
_CHROMA_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]")


def is_url(location: str | Path) -> bool:
    """Whether it is the address of an HTTP server, and not a folder."""
    return str(location).startswith(("http://", "https://"))


def require_encoded(uri: str) -> None:
    """Refuse a user name or password that is not percent-encoded, of which a piece would be taken for the host.

    Raises:
        ConfigError: an @ that is not the one before the host, a second colon before it, or a % of no code.
    """
    authority, *rest = re.split("[/?#]", uri.partition("://")[2], maxsplit=1)
    login, *more = authority.split("@")[:-1] or [""]
    if more or "@" in "".join(rest) or login.count(":") > 1 or re.search("%(?![0-9A-Fa-f]{2})", login):
        raise ConfigError(
            f"{mask_uri(uri)} has more in its user name or password than letters and digits: percent-encode it, as in "
            "%40 for @, %2F for /, %3A for :, %3F for ?, %23 for # and %25 for %"
        )


def database_name(uri: str) -> str:
    """The database that a MongoDB URI names as its path, or the default.

    Raises:
        ConfigError: not such a URI, or a name that MongoDB does not take, or that is one of its own.
    """
    scheme = _MONGO_SCHEME.match(uri)
    if scheme is None:
        raise ConfigError(f"{mask_uri(uri)} is not a MongoDB URI: mongodb://HOST:27017/NAME")
    if uri[scheme.end() :].rpartition("@")[2].startswith("/"):
        raise ConfigError(
            f"{mask_uri(uri)} names no host; a socket's path is percent-encoded: mongodb://%2Ftmp%2Fmongodb-27017.sock/NAME"
        )
    # what follows the last @, so that a password that is not percent-encoded is never taken for the name
    path = uri[scheme.end() :].rpartition("@")[2].partition("?")[0].partition("/")[2]
    name = unquote(path) or DEFAULT_DATABASE
    if _REFUSED.search(name) or len(name.encode()) > _NAME_BYTES:
        raise ConfigError(
            f"{name!r} cannot name a MongoDB database: letters, digits, - and _, at most {_NAME_BYTES} bytes of UTF-8"
        )
    if name in _OF_THE_SERVER:
        raise ConfigError(f"the database {name} is MongoDB's own: name another one at the end of the URI")
    return name


def chroma_database(url: str) -> str | None:
    """The database that the address of a ChromaDB server names as its path; None is the server's default one.

    Raises:
        ConfigError: not an address, or a name that ChromaDB does not take, or a password that is not percent-encoded.
    """
    require_encoded(url)
    try:
        name = unquote(urlsplit(url).path.strip("/"))
    except ValueError as error:
        raise ConfigError(f"{mask_uri(url)} is not an address of ChromaDB: {error}") from None
    if name and not _CHROMA_NAME.fullmatch(name):
        raise ConfigError(
            f"the path of {mask_uri(url)} cannot name a ChromaDB database: 3 to 512 letters, digits, dots, - and _ of "
            "ASCII, with a letter or digit at both ends"
        )
    return name or None


def require_servers(nodes: int, *, mongo: str | None, chroma: str | Path | None) -> None:
    """Refuse to embed a store in a folder of one node when there are several: a job may start on another next time.

    Args:
        nodes: of the Ray cluster, those that are alive.
        mongo: a server's URI; None: a mongod of our own.
        chroma: a server's address; a folder, or None: ChromaDB inside this process.

    Raises:
        StoreError: a store would be embedded, and there is more than one node.
    """
    if nodes <= 1:
        return
    ways = {}
    if mongo is None:
        ways["MongoDB"] = "give --mongo mongodb://HOST:27017/NAME"
    if chroma is None or not is_url(chroma):
        way = "start `chroma run --path DIR --host 0.0.0.0 --port 8000` and give --chroma http://HOST:8000"
        ways["ChromaDB"] = way
    if ways:
        names = " and ".join(ways)
        raise StoreError(
            f"{names} would be written to a folder, and the cluster has {nodes} nodes: {'; '.join(ways.values())}"
        )

"""Addresses of servers: which kind one is, and the name of the database in it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from pixelbrain.config import mask_uri
from pixelbrain.errors import ConfigError

__all__ = ["DEFAULT_DATABASE", "database_name", "is_url"]

#: The MongoDB database of a URI that names none.
DEFAULT_DATABASE = "pixelbrain"

_MONGO_SCHEME = re.compile(r"mongodb(\+srv)?://")
# https://www.mongodb.com/docs/manual/reference/limits/: Windows' rules, the stricter ones, hold on every system
_REFUSED = re.compile(r'[/\\. "$*<>:|?\0]')
_NAME_BYTES = 63
_OF_THE_SERVER = ("admin", "config", "local")


def is_url(location: str | Path) -> bool:
    """Whether it is the address of an HTTP server, and not a folder."""
    return str(location).startswith(("http://", "https://"))


def database_name(uri: str) -> str:
    """The database that a MongoDB URI names as its path, or the default.

    Raises:
        ConfigError: not such a URI, or a name that MongoDB does not take, or that is one of its own.
    """
    scheme = _MONGO_SCHEME.match(uri)
    if scheme is None:
        raise ConfigError(f"{mask_uri(uri)} is not a MongoDB URI: mongodb://HOST:27017/NAME")
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

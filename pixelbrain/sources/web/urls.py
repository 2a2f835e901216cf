"""One id an image, however its URL is written; and what is no URL of one."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from pixelbrain.errors import SourceError

_WEB = re.compile(r"https?://", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}


def is_web(place: str) -> bool:
    """Whether it is an https:// or http:// URL."""
    return _WEB.match(place) is not None


def normal_url(url: str) -> str:
    """A URL with its scheme and host in small letters, without the usual port and without a fragment.

    Raises `SourceError`: no host in it, or a user or password, which would land as a part of the image's id.
    """
    parts, port = split_url(url)
    if parts.username is not None or parts.password is not None:
        raise SourceError(f"no user or password goes into a URL of {parts.hostname}: it would land in OUT")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    where = f"{host}:{port}" if port and port != _PORTS[parts.scheme] else host
    return f"{parts.scheme}://{where}{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"


def split_url(url: str) -> tuple[SplitResult, int | None]:
    """Its parts, and its port. Raises `SourceError`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if not parts.hostname or parts.scheme not in _PORTS:
        raise SourceError("a URL of an image is https://HOST/PATH: no host is in this one")
    return parts, port

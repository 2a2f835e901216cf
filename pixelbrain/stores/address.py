"""Addresses of servers, and how they may be shown."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["is_url", "mask_uri"]


def mask_uri(uri: str) -> str:
    """The URI without its password and other secrets, for messages."""
    uri = re.sub(r"(//[^:@/]*):.*@", r"\1:***@", uri)
    return re.sub(r"([?&;][^=&;]*(?:password|token|secret|properties)[^=&;]*=)[^&;]*", r"\1***", uri, flags=re.I)


def is_url(location: str | Path) -> bool:
    """Whether it is the address of an HTTP server, and not a folder."""
    return str(location).startswith(("http://", "https://"))

"""What a file:// URI names."""

from __future__ import annotations

import os
import re
import urllib.parse

FILE_SCHEME = "file://"

_LOCAL = re.compile(r"file:(?://(?:localhost)?(?=/)|(?=/[^/]))", re.IGNORECASE)  # file:/path is how Java writes it


def is_file_uri(place: str) -> bool:
    """Whether it is the URI of a file of this machine, in one of the ways in which programs write that."""
    return _LOCAL.match(place) is not None


def path_to_uri(path: str) -> str:
    """The file:// URI of an absolute path; any bytes that a file name can hold survive."""
    return FILE_SCHEME + urllib.parse.quote_from_bytes(os.fsencode(path))


def uri_to_path(uri: str) -> str:
    """The path behind a file:// URI."""
    found = _LOCAL.match(uri)
    return os.fsdecode(urllib.parse.unquote_to_bytes(uri[found.end() :] if found else uri.removeprefix(FILE_SCHEME)))


def absolute(path: str) -> str:
    """An absolute path without `.`, `..`, doubled slashes and `~`; links in it stay."""
    return re.sub(r"^//+", "/", os.path.abspath(os.path.expanduser(path)))


def shown_path(uri: str) -> str:
    """Where a file is, for people and their programs: its path on disk, or its URI where it is elsewhere.

    The URI as well where the path has bytes that are no text.
    """
    path = uri_to_path(uri) if is_file_uri(uri) else uri
    try:
        path.encode()
    except UnicodeEncodeError:
        return uri
    return path

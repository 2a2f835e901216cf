"""What a path or a URI names: one id a file, however it is written."""

from __future__ import annotations

import os
import re

from pixelbrain.storage.file_uri import absolute, is_file_uri, path_to_uri, uri_to_path
from pixelbrain.storage.s3_uri import S3_SCHEME

_S3 = re.compile(r"s3[an]?://", re.IGNORECASE)  # s3a and s3n are what Hadoop calls it
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def normal_source(source: str) -> str:
    """A source as an `s3://` URI, as another scheme's URI as it stands, or as a path."""
    if found := _S3.match(source):
        return S3_SCHEME + source[found.end() :]  # the key is taken as it stands: a%20b is no a b there
    return uri_to_path(source) if is_file_uri(source) else source


def image_uri(name: str, folder: str = "") -> str:
    """The image_id of what a user or a list names.

    Args:
        name: an s3:// or file:// URI, in any of the ways in which programs write them, or a path.
        folder: where a relative path starts; the current folder by default.

    Returns:
        An `s3://` URI, or the `file://` URI of an absolute path without dots and doubled slashes, whose links are not
        resolved; a URI of another scheme as it stands.
    """
    place = normal_source(name)
    if _SCHEME.match(place) and not is_file_uri(name):
        return place
    return path_to_uri(absolute(os.path.join(folder, place if is_file_uri(name) else os.path.expanduser(place))))

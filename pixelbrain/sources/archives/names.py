"""The ids of images in archives: `tar+file:///data/a.tar#/cats/1.jpg`, `parquet+s3://bucket/a.parquet#/image/17`.

The scheme is no file's and no object's, so that no path and no key can be called alike, and a folder with archives in
it does not take their members for files of its own. What stands behind `#/` is the member's name, percent-encoded.
"""

from __future__ import annotations

import os
import posixpath
import re
import urllib.parse

from pixelbrain.storage.file_uri import FILE_SCHEME, uri_to_path

_MEMBER = re.compile(r"(tar|parquet)\+([a-z][a-z0-9]*://[^#]*)#/(.*)", re.DOTALL)

#: As files are called whose members can be read by themselves.
TAR_SUFFIXES = (".tar",)
#: And those that hold images in a column, or are lists of images.
PARQUET_SUFFIXES = (".parquet",)


def is_archive_name(name: str) -> bool:
    """Whether a file of this name is taken for an archive."""
    return name.lower().endswith(TAR_SUFFIXES)


def is_parquet_name(name: str) -> bool:
    """Whether a file of this name is taken for Parquet."""
    return name.lower().endswith(PARQUET_SUFFIXES)


def member_uri(kind: str, archive: str, name: str) -> str:
    """The id of a member.

    Args:
        kind: of the archive: `tar`, or `parquet`, whose members are called `column/row`.
        archive: its URI.
        name: of the member; "" stands for the archive itself, where it is damaged.
    """
    if not archive.startswith(FILE_SCHEME):  # a key is taken as it stands, and may have a # in it
        archive = archive.replace("%", "%25").replace("#", "%23")
    return f"{kind}+{archive}#/{urllib.parse.quote_from_bytes(os.fsencode(name))}"


def split_member(image_id: str) -> tuple[str, str, str] | None:
    """The kind, the archive's URI and the member's name; None: it is the id of no member."""
    found = _MEMBER.fullmatch(image_id)
    if found is None:
        return None
    kind, archive, name = found.groups()
    if not archive.startswith(FILE_SCHEME):
        archive = archive.replace("%23", "#").replace("%25", "%")
    return kind, archive, os.fsdecode(urllib.parse.unquote_to_bytes(name))


def plain_name(name: str) -> str:
    """A member's name without what says nothing: `./a//b.jpg` is a/b.jpg."""
    return posixpath.normpath(name).lstrip("/")


def local_path(image_id: str) -> str | None:
    """The file on this machine's disk that an image is, or is in; None: it is elsewhere."""
    member = split_member(image_id)
    uri = member[1] if member else image_id
    return uri_to_path(uri) if uri.startswith(FILE_SCHEME) else None

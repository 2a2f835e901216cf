"""Which storage OUT names: a folder, or a prefix in S3."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pixelbrain.errors import LandingError
from pixelbrain.storage.base import Storage
from pixelbrain.storage.file_uri import is_file_uri, uri_to_path
from pixelbrain.storage.local import LocalStorage
from pixelbrain.storage.s3_uri import S3_SCHEME

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/", re.IGNORECASE)  # with one slash as a Path writes it


def open_storage(out: str | Path | Storage, *, s3_endpoint: str | None = None) -> Storage:
    """The storage that OUT names. Raises `LandingError`: no such thing can be OUT.

    Args:
        out: a folder, or its file:// URI, which need not be there yet; or `s3://bucket/prefix`.
        s3_endpoint: the S3 server, if it is not Amazon's; by default AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL.
    """
    if isinstance(out, Storage):
        return out
    if str(out).startswith(S3_SCHEME):
        from pixelbrain.storage.s3 import S3Storage

        return S3Storage(str(out), s3_endpoint)
    if str(out).lower().startswith("s3:"):  # as of a Path, which joins the slashes
        raise LandingError(f"OUT is {str(out)!r}: write s3://bucket/prefix")
    scheme = _SCHEME.match(str(out))
    if scheme and not is_file_uri(str(out)) and not os.path.lexists(scheme[0]):
        raise LandingError(
            f"OUT is {str(out)!r}: {scheme[1].lower()}:// it cannot be, name a folder or s3://bucket/prefix"
        )
    return LocalStorage(uri_to_path(str(out)) if is_file_uri(str(out)) else out)

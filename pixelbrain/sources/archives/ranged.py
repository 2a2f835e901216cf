"""An archive as a file that can be sought in, and its version: on this machine's disk, or in S3, by ranged reads."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from pixelbrain.errors import ReadError
from pixelbrain.sources.base import ImageBytes, Part
from pixelbrain.sources.cloud import CLOUD_SCHEMES, CloudGet, read_cloud
from pixelbrain.sources.local import read_local, stat_version
from pixelbrain.sources.s3 import getter, read_s3
from pixelbrain.storage.file_uri import FILE_SCHEME, uri_to_path
from pixelbrain.storage.retry import Retries, with_retries
from pixelbrain.storage.s3_errors import error_status, s3_errors
from pixelbrain.storage.s3_file import fetch, open_object
from pixelbrain.storage.s3_uri import S3_SCHEME, version_of

#: At once, of an object: a header, and the small members and headers behind it.
_BUFFER_BYTES = 16 * 1024
_RETRIES = Retries()


@contextlib.contextmanager
def open_ranged(uri: str, *, s3_endpoint: str | None = None) -> Iterator[tuple[BinaryIO, str]]:
    """A file:// or s3:// URI, or one of `CLOUD_SCHEMES`, as a file, and the version of what is read of it.

    Raises `ReadError`, also where it is replaced while it is read: here, and from reads of it.
    """
    if uri.startswith(FILE_SCHEME):
        try:
            path = uri_to_path(uri)
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise ReadError("not a regular file")
            with open(path, "rb") as file:
                yield file, stat_version(os.fstat(file.fileno()))
        except (OSError, ValueError) as error:
            raise ReadError(f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}") from None
    elif uri.startswith(S3_SCHEME):
        get = _Get(uri, s3_endpoint)
        try:
            found = open_object(uri, get)
        except FileNotFoundError:
            raise ReadError("no such object") from None
        yield cast(BinaryIO, io.BufferedReader(found, _BUFFER_BYTES)), get.version
    elif uri.startswith(CLOUD_SCHEMES):
        fetch = CloudGet(uri)
        yield cast(BinaryIO, io.BufferedReader(open_object(uri, fetch), _BUFFER_BYTES)), fetch.version
    else:
        raise ReadError(f"archives are read from disk and S3, and not from {uri[:100]}")


def read_part(uri: str, part: Part, version: str, *, s3_endpoint: str | None = None) -> ImageBytes:
    """A part of a file of this version. Raises `OtherVersionError`: it has another one now; `ReadError`."""
    if uri.startswith(FILE_SCHEME):
        return read_local(uri, part, version)
    if uri.startswith(CLOUD_SCHEMES):
        return read_cloud(uri, part, version)
    return read_s3(uri, endpoint=s3_endpoint, part=part, version=version)


class _Get:
    """Fetches ranges of an object, as `open_object` asks for them, all of one version."""

    def __init__(self, uri: str, endpoint: str | None) -> None:
        self._get = getter(uri, endpoint)
        self.version = ""

    def __call__(self, **which: str) -> tuple[bytes, dict[str, Any]] | None:
        return with_retries(lambda: self._try(which), _RETRIES, ReadError)

    def _try(self, which: dict[str, str]) -> tuple[bytes, dict[str, Any]] | None:
        try:
            data, answer = fetch(self._get, **which)
        except s3_errors() as error:
            if error_status(error) == 404:
                return None
            if error_status(error) in (412, 416):
                raise ReadError("it changes while it is read: run again when nothing writes it any more") from None
            raise
        size = int(answer.get("ContentRange", f"/{len(data)}").rpartition("/")[2])
        version = version_of(answer.get("ETag"), answer.get("LastModified"), size)
        if self.version and version != self.version:  # of a server that does not know If-Match
            raise ReadError("it changes while it is read: run again when nothing writes it any more")
        self.version = version
        return data, {"ETag": "", **answer}

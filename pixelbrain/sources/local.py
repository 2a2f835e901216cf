"""Images on this machine's disk: a folder, searched with everything below it, or one file."""

from __future__ import annotations

import os
import stat
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources.base import ImageSource, is_image_name, manifest_tables

__all__ = ["FILE_SCHEME", "LocalSource", "path_to_uri", "read_local", "stat_version", "uri_to_path"]

FILE_SCHEME = "file://"


class LocalSource(ImageSource):
    """A folder or a single image file."""

    def __init__(self, path: str | Path) -> None:
        self.path = os.path.abspath(os.path.expanduser(path))

    def list_images(self) -> Iterator[pa.Table]:
        """Images in alphabetical order, folder by folder.

        Links to files count under the link's own path; links to folders are not followed, so that no loop is
        entered. Whatever is not a regular file (a pipe, a socket) is passed over without being opened.
        """
        if os.path.isfile(self.path):
            return manifest_tables([_row(self.path, os.stat(self.path))])
        if not os.path.isdir(self.path):
            raise SourceError(f"no such file or folder: {self.path}")
        if not os.access(self.path, os.R_OK | os.X_OK):
            raise SourceError(f"not permitted to list the folder {self.path}")
        return manifest_tables(self._walk())

    def _walk(self) -> Iterator[tuple[str, str, int | None]]:
        for folder, subfolders, names in os.walk(self.path, onerror=_raise_source_error):
            subfolders.sort()
            for name in sorted(names):
                if not is_image_name(name):
                    continue
                path = os.path.join(folder, name)
                try:
                    found = os.stat(path)
                except OSError:  # a link to nowhere, or gone since it was listed: its row will say so
                    yield path_to_uri(path), "unreadable", None
                    continue
                if stat.S_ISREG(found.st_mode):
                    yield _row(path, found)


def _raise_source_error(error: OSError) -> None:
    raise SourceError(f"cannot list {error.filename}: {error.strerror}") from error


def _row(path: str, found: os.stat_result) -> tuple[str, str, int | None]:
    return path_to_uri(path), stat_version(found), found.st_size


def stat_version(found: os.stat_result) -> str:
    """A file's version: it changes when the file does."""
    return f"{found.st_mtime_ns}-{found.st_size}"


def path_to_uri(path: str) -> str:
    """The file:// URI of an absolute path; any bytes that a file name can hold survive."""
    return FILE_SCHEME + urllib.parse.quote_from_bytes(os.fsencode(path))


def uri_to_path(uri: str) -> str:
    """The path behind a file:// URI."""
    return os.fsdecode(urllib.parse.unquote_to_bytes(uri.removeprefix(FILE_SCHEME)))


def read_local(uri: str) -> bytes:
    """The bytes of a file:// URI.

    Raises:
        ReadError: gone, not permitted, or not a regular file.
    """
    path = uri_to_path(uri)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ReadError("not a regular file")
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ReadError(f"{type(error).__name__}: {error.strerror}") from None

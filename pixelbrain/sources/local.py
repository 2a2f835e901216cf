"""Images on this machine's disk: a folder, searched with everything below it, or one file."""

from __future__ import annotations

import os
import stat
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pixelbrain.errors import ReadError, SourceError, SourceGoneError
from pixelbrain.sources.base import MAX_IMAGE_BYTES, ImageBytes, ImageSource, is_image_name, manifest_tables, one_line

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
            if os.path.lexists(self.path):
                raise SourceError(f"neither a file nor a folder: {one_line(self.path)}")
            raise SourceGoneError(f"no such file or folder: {one_line(self.path)}")
        if not os.access(self.path, os.R_OK | os.X_OK):
            raise SourceError(f"not permitted to list the folder {one_line(self.path)}")
        return manifest_tables(self._walk())

    def covers(self, image_id: str) -> bool:
        """Whether it names the file, or one below the folder that is called like an image."""
        path = uri_to_path(image_id) if image_id.startswith(FILE_SCHEME) else ""
        return path == self.path or (path.startswith(os.path.join(self.path, "")) and is_image_name(path))

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
    if isinstance(error, FileNotFoundError):
        return  # a folder that was removed since its parent was listed has no images
    raise SourceError(f"cannot list {one_line(error.filename)}: {error.strerror}") from error


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


def read_local(uri: str) -> ImageBytes:
    """The bytes of a file:// URI as they were at one moment, and their version.

    A file that changes meanwhile is not taken: what was read may be half old and half new, and the next run finds it
    under its new version anyway. One that is deleted meanwhile is read to its end. Nothing but regular files is
    ever opened: a pipe would make the reader wait for ever, and a device may do what it does.

    Raises:
        ReadError: gone, not permitted, not a regular file, over `MAX_IMAGE_BYTES`, or changed while it was read.
    """
    try:
        path = uri_to_path(uri)
        _check_regular(os.stat(path))
        # it may be something else by now: without O_NONBLOCK a pipe in its place would be waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            before = os.fstat(descriptor)
            _check_regular(before)
            if before.st_size > MAX_IMAGE_BYTES:
                raise ReadError(f"{before.st_size:,} bytes are no image: more than {MAX_IMAGE_BYTES:,} are not read")
            data = _read(descriptor, before.st_size)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ReadError(f"{type(error).__name__}: {error.strerror or error}") from None
    except ValueError:  # a NUL, which a list file can hold and a path cannot
        raise ReadError("a path that no file can have") from None
    if len(data) != before.st_size or stat_version(before) != stat_version(after):
        raise ReadError("changed while it was read: run again when nothing writes it any more")
    return ImageBytes(data, stat_version(before))


def _check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ReadError("not a regular file")


def _read(descriptor: int, size: int) -> bytes:
    """At most `size` bytes: a file that grows as fast as it is read has no end."""
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(size)

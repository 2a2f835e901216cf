"""Images on this machine's disk: a folder, searched with everything below it, or one file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from pixelbrain.errors import ReadError, SourceError, SourceGoneError
from pixelbrain.sources.base import (
    ImageBytes,
    ImageSource,
    OtherVersionError,
    Part,
    check_image_size,
    is_image_name,
    manifest_tables,
    one_line,
)
from pixelbrain.sources.globs import Glob
from pixelbrain.sources.passed_over import (
    AROUND,
    HIDDEN_FILE,
    HIDDEN_FOLDER,
    IN_RESULTS,
    LISTED_ELSEWHERE,
    RESULTS,
    SPECIAL,
    is_hidden,
)
from pixelbrain.sources.results import Outs, inside_out, is_in_gallery, is_results, of_a_run
from pixelbrain.storage.file_uri import FILE_SCHEME, absolute, path_to_uri, uri_to_path


class LocalSource(ImageSource):
    """A folder or a single image file.

    Args:
        path: of the folder, or the file.
        hidden: list what is hidden, or a system's own, too; see `is_hidden`.
        outs: folders of results, which are never listed.
        glob: only what it means, below the folder.
        kind: which files are meant, by their names.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        hidden: bool = False,
        outs: Iterable[str] = (),
        glob: Glob | None = None,
        kind: Callable[[str], bool] = is_image_name,
    ) -> None:
        super().__init__()
        self.path = absolute(os.fspath(path))
        self._hidden, self._outs = hidden, tuple(outs)
        self._glob, self._kind = glob, kind
        named = "a folder" if os.path.isdir(self.path) else "a file"
        self.what = f"{named if glob is None else glob.what} on this disk"

    def list_images(self) -> Iterator[pa.Table]:
        """Images in alphabetical order, folder by folder.

        Links count under their own path. One to a folder is followed if it leads out of SOURCE to what is not around
        it, and each folder once, so that no loop is entered and nothing is listed twice. Whatever is not a regular
        file (a pipe, a socket) is passed over without being opened.
        """
        outs = Outs(self._outs)
        folder = self.path if os.path.isdir(self.path) else os.path.dirname(self.path)
        if outs.hold(folder):
            raise SourceError(inside_out(self.path))
        if is_in_gallery(folder):
            raise SourceError(of_a_run(self.path))
        if os.path.isfile(self.path) and self._glob is None:
            return manifest_tables([_row(self.path, os.stat(self.path))])
        if not os.path.isdir(self.path):
            if os.path.lexists(self.path):
                raise SourceError(f"neither a file nor a folder: {one_line(self.path)}")
            raise SourceGoneError(f"no such file or folder: {one_line(self.path)}")
        if not os.access(self.path, os.R_OK | os.X_OK):
            raise SourceError(f"not permitted to list the folder {one_line(self.path)}")
        return manifest_tables(self._walk(outs))

    def covers(self, image_id: str) -> bool:
        """Whether it names the file, or one below the folder that is called like an image.

        Also of what is hidden or in an OUT: what an earlier run took for photos can be pruned so.
        """
        path = uri_to_path(image_id) if image_id.startswith(FILE_SCHEME) else ""
        if path == self.path and self._glob is None:
            return True
        start = os.path.join(self.path, "")
        below = path.startswith(start) and self._kind(path)
        return below and (self._glob is None or self._glob.matches(path[len(start) :]))

    def _walk(self, outs: Outs) -> Iterator[tuple[str, str, int | None]]:
        links = _Links(self.path, hidden=self._hidden)
        for folder, subfolders, names in os.walk(self.path, onerror=_raise_source_error, followlinks=True):
            if is_results(folder, subfolders, names):
                if folder == self.path:
                    raise SourceError(of_a_run(folder))
                self.passed_over.add(RESULTS)
                subfolders.clear()
                continue
            start = "" if folder == self.path else os.path.relpath(folder, self.path) + "/"
            if self._glob is not None:  # what it does not mean is not passed over
                subfolders[:] = [name for name in subfolders if self._glob.enters(start + name)]
                names = [name for name in names if self._glob.matches(start + name)]
            subfolders[:] = sorted(name for name in subfolders if self._enters(folder, name, outs, links))
            for name in sorted(names):
                if is_hidden(name) and not self._hidden:
                    self.passed_over.add(HIDDEN_FILE)
                elif not self._kind(name):
                    self.passed_over.add_file(name)
                else:
                    yield from self._image(os.path.join(folder, name), outs)

    def _enters(self, folder: str, name: str, outs: Outs, links: _Links) -> bool:
        path = os.path.join(folder, name)
        if is_hidden(name) and not self._hidden:
            why: str | None = HIDDEN_FOLDER
        else:
            link = os.path.islink(path)
            is_out = outs.hold(path) if link else outs.are_at(path)
            why = RESULTS if is_out else links.why_not(folder, path, link=link)
        if why:
            self.passed_over.add(why)
        return why is None

    def _image(self, path: str, outs: Outs) -> Iterator[tuple[str, str, int | None]]:
        try:
            found = os.lstat(path)
            if link := stat.S_ISLNK(found.st_mode):
                found = os.stat(path)
        except OSError:  # a link to nowhere, or gone since it was listed: its row will say so
            yield path_to_uri(path), "unreadable", None
            return
        if link and outs.hold_file(path):
            self.passed_over.add(IN_RESULTS)
        elif stat.S_ISREG(found.st_mode):
            yield _row(path, found)
        else:
            self.passed_over.add(SPECIAL)


class _Links:
    """Which folders are entered that a link leads to."""

    def __init__(self, source: str, *, hidden: bool) -> None:
        self._source = os.path.join(os.path.realpath(source), "")
        self._hidden = hidden
        self._below: set[str] = set()  # folders that were reached by a link, as they are called here
        self._entered: set[tuple[int, int]] = set()  # and as the disk knows them

    def why_not(self, folder: str, path: str, *, link: bool) -> str | None:
        """Why a subfolder of `folder` is not entered."""
        if not link and folder not in self._below:
            return None
        real = os.path.join(os.path.realpath(path), "")
        if self._source.startswith(real):
            return AROUND
        if real.startswith(self._source):
            below = real[len(self._source) :].split(os.sep)
            if self._hidden or not any(map(is_hidden, below)):  # a hidden one is entered by this name alone
                return LISTED_ELSEWHERE
        try:
            found = os.stat(path)
        except OSError:
            return None  # the walk says so
        if (found.st_dev, found.st_ino) in self._entered:
            return LISTED_ELSEWHERE
        self._entered.add((found.st_dev, found.st_ino))
        self._below.add(path)
        return None


def _raise_source_error(error: OSError) -> None:
    if isinstance(error, FileNotFoundError):
        return  # a folder that was removed since its parent was listed has no images
    raise SourceError(f"cannot list {one_line(error.filename)}: {error.strerror}") from error


def _row(path: str, found: os.stat_result) -> tuple[str, str, int | None]:
    return path_to_uri(path), stat_version(found), found.st_size


def stat_version(found: os.stat_result) -> str:
    """A file's version: it changes when the file does."""
    return f"{found.st_mtime_ns}-{found.st_size}"


def read_local(uri: str, part: Part | None = None, version: str = "") -> ImageBytes:
    """The bytes of a file:// URI, or a part of a file of this version, as they were at one moment; and their version.

    A file that changes meanwhile is not taken: what was read may be half old and half new, and the next run finds it
    under its new version anyway. One that is deleted meanwhile is read to its end. Nothing but regular files is ever
    opened: a pipe would make the reader wait for ever, and a device may do what it does. Raises as `read_s3` does.
    """
    try:
        path = uri_to_path(uri)
        if not os.path.isabs(path):
            raise ReadError("a file of another machine: this one has file:///path")
        _check_regular(os.stat(path))
        # it may be something else by now: without O_NONBLOCK a pipe in its place would be waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            before = os.fstat(descriptor)
            _check_regular(before)
            if part is not None and stat_version(before) != version:
                raise OtherVersionError("changed since it was listed")
            offset, size = part or Part(0, before.st_size)
            check_image_size(size)
            if offset + size > before.st_size:
                raise ReadError(
                    f"cut off: the file has {before.st_size:,} bytes, and the image ends at {offset + size:,}"
                )
            os.lseek(descriptor, offset, os.SEEK_SET)
            data = _read(descriptor, size)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ReadError(f"{type(error).__name__}: {error.strerror or error}") from None
    except ValueError:  # a NUL, which a list file can hold and a path cannot
        raise ReadError("a path that no file can have") from None
    if len(data) != size or stat_version(before) != stat_version(after):
        raise ReadError("changed while it was read: run again when nothing writes it any more")
    return ImageBytes(data, stat_version(before))


def _check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ReadError("not a regular file")


def _read(descriptor: int, size: int) -> bytes:
    """At most `size` bytes: a file that grows as fast as it is read has no end."""
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(size)

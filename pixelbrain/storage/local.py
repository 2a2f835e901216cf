"""OUT in a folder of a disk: written under a temporary name, flushed to the disk, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from pixelbrain.errors import LandingError
from pixelbrain.storage.base import STALE_S, FileGoneError, Storage

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_TEMPORARY = re.compile(r"\..+\.tmp")


class LocalStorage(Storage):
    """A folder on a disk of this machine, or one that it has mounted."""

    is_local = True

    def __init__(self, folder: str | Path) -> None:
        self.local = Path(os.path.abspath(Path(folder).expanduser()))  # as sources are: without .. in what is shown
        self.uri = str(self.local)

    def versions(self, folder: str) -> dict[str, str]:
        found = {}
        with self._explained("list", folder):
            for entry in self._entries(folder):
                with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                    if entry.is_file() and not _TEMPORARY.fullmatch(entry.name):
                        # with the inode: what replaces a file within a tick of the clock is another file
                        stat = entry.stat()
                        found[entry.name] = f"{stat.st_mtime_ns}-{stat.st_size}-{stat.st_ino}"
        return dict(sorted(found.items()))

    def folders(self, folder: str) -> list[str]:
        with self._explained("list", folder):
            return sorted(entry.name for entry in self._entries(folder) if entry.is_dir())

    def read(self, name: str) -> bytes | None:
        with self._explained("read", name), contextlib.suppress(FileNotFoundError):
            return (self.local / name).read_bytes()
        return None

    def write_with(self, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        """Fill a temporary file, put it on the disk, give it its name, and put the name on the disk, too."""
        self._write(self.local / name, fill, os.replace)

    def create(self, name: str, data: bytes) -> bool:
        taken = []

        def link(temporary: Path, path: Path) -> None:
            try:
                os.link(temporary, path)  # which replaces nothing
            except FileExistsError:
                taken.append(path)

        self._write(self.local / name, lambda file: file.write(data), link)
        return not taken

    def _write(self, path: Path, fill: Callable[[IO[bytes]], object], name_it: Callable[[Path, Path], None]) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(3).hex()}.tmp")
        try:
            _make_folder(path.parent)
            with open(temporary, "wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            name_it(temporary, path)
            _sync_folder(path.parent)
        except OSError as error:
            raise LandingError(why_not_written(path, error)) from None
        finally:
            with contextlib.suppress(OSError):  # what went wrong is being raised already
                temporary.unlink(missing_ok=True)

    def check_writable(self) -> None:
        if why := why_not_writable(self.local):
            raise LandingError(f"OUT cannot be {self.local}: {why}")

    def delete(self, name: str) -> None:
        with self._explained("remove", name):
            (self.local / name).unlink(missing_ok=True)

    def move(self, name: str, to: str) -> None:
        path = self.local / to
        try:
            _make_folder(path.parent)
            os.replace(self.local / name, path)
            _sync_folder(path.parent)
            _sync_folder((self.local / name).parent)
        except FileNotFoundError:
            raise FileGoneError(f"{self.local / name} is not there any more") from None
        except OSError as error:
            raise LandingError(f"cannot move {self.local / name} to {path}: {error.strerror}") from None

    def sweep(self, folder: str, *, stale_s: float = STALE_S) -> None:
        with self._explained("clean up", folder), contextlib.suppress(FileNotFoundError):
            for entry in self._entries(folder):
                if _TEMPORARY.fullmatch(entry.name) and time.time() - entry.stat().st_mtime >= stale_s:
                    Path(entry.path).unlink(missing_ok=True)

    def parquet_file(self, name: str, version: str | None = None) -> pq.ParquetFile:
        # ParquetFile and not read_table, which imports pandas: 1.6 s. What it buffers it would keep while it is open
        return pq.ParquetFile(self.local / name, pre_buffer=False, page_checksum_verification=True)

    def arrow(self, folder: str) -> tuple[pa.fs.FileSystem, str]:
        return pa.fs.LocalFileSystem(), str(self.local / folder)

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        """What is in a folder; nothing if there is no such folder."""
        try:
            with os.scandir(self.local / folder) as entries:
                return list(entries)
        except FileNotFoundError:
            return []

    @contextlib.contextmanager
    def _explained(self, verb: str, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LandingError(f"cannot {verb} {self.local / name}: {error.strerror}") from None


def why_not_writable(folder: Path) -> str | None:
    """Why no file could be written into a folder, which need not be there yet; it is neither made nor written to."""
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir():
        return f"{there} is no folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{there} may not be written; choose another folder, or get the right to"
    return None


def why_not_written(path: Path, error: OSError) -> str:
    """One line; of a full disk, how full, and what to do."""
    if error.errno not in _NO_ROOM:
        return f"cannot write {path}: {error.strerror or error}"
    try:
        free = f"{shutil.disk_usage(path.parent).free / 1e6:,.1f} MB free"
    except OSError:
        free = "none free"
    return (
        f"no room for {path} ({free}): make room, and run the same command again; "
        "it goes on from what has landed, and nothing of that is lost"
    )


def _make_folder(folder: Path) -> None:
    """Make a folder whose name is on the disk, and its parents'."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk: without it, a power loss may undo a rename."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a mounted folder that cannot be asked to
            raise
    finally:
        os.close(descriptor)

"""OUT in a folder of a disk: written under a temporary name, flushed to the disk, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from pixelbrain.errors import LandingError
from pixelbrain.storage.base import FileGoneError, Storage, is_temporary, write_parquet

__all__ = ["LocalStorage", "why_not_written"]

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_STALE_S = 3600  # a temporary file that was not written to for so long belongs to nobody


class LocalStorage(Storage):
    """A folder on a disk of this machine, or one that it has mounted."""

    is_local = True

    def __init__(self, folder: str | Path) -> None:
        self.local = Path(folder).expanduser().absolute()
        self.uri = str(self.local)

    def __repr__(self) -> str:
        return f"LocalPlace({self.uri!r})"

    def names(self, folder: str) -> list[str]:
        return self._list(folder, lambda entry: entry.is_file() and not is_temporary(entry.name))

    def folders(self, folder: str) -> list[str]:
        return self._list(folder, lambda entry: entry.is_dir())

    def _list(self, folder: str, wanted: Callable[[os.DirEntry[str]], bool]) -> list[str]:
        try:
            with os.scandir(self.local / folder) as entries:
                return sorted(entry.name for entry in entries if wanted(entry))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise LandingError(f"cannot list {self.local / folder}: {error.strerror}") from None

    def read(self, name: str) -> bytes | None:
        try:
            return (self.local / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LandingError(f"cannot read {self.local / name}: {error.strerror}") from None

    def write(self, name: str, data: bytes) -> None:
        self._replace(name, lambda file: file.write(data))

    def write_table(self, name: str, table: pa.Table, metadata: Mapping[bytes, bytes]) -> None:
        self._replace(name, lambda file: write_parquet(file, table, metadata))

    def delete(self, name: str) -> None:
        try:
            (self.local / name).unlink(missing_ok=True)
        except OSError as error:
            raise LandingError(f"cannot remove {self.local / name}: {error.strerror}") from None

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

    def sweep(self, folder: str) -> None:
        try:
            with os.scandir(self.local / folder) as entries:
                for entry in entries:
                    if is_temporary(entry.name) and time.time() - entry.stat().st_mtime > _STALE_S:
                        Path(entry.path).unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise LandingError(f"cannot clean up {self.local / folder}: {error.strerror}") from None

    def _open_parquet(self, name: str) -> pq.ParquetFile:
        # ParquetFile and not read_table, which imports pandas: 1.6 s
        return pq.ParquetFile(self.local / name, page_checksum_verification=True)

    def _replace(self, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        """Fill a temporary file, put it on the disk, give it its name, and put the name on the disk, too."""
        path = self.local / name
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(3).hex()}.tmp")
        try:
            _make_folder(path.parent)
            with open(temporary, "wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
        except OSError as error:
            raise LandingError(why_not_written(path, error)) from None
        finally:
            with contextlib.suppress(OSError):  # what went wrong is being raised already
                temporary.unlink(missing_ok=True)


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

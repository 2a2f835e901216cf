"""Where OUT is: a folder, or a prefix in S3. Files there are complete or absent, whatever is killed, on both."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from pixelbrain.errors import LandingError

#: A temporary file that was not written to for so long belongs to nobody.
STALE_S = 3600.0
_PROBE = "work/writable"


class FileGoneError(LandingError):
    """A file that was listed is not there any more: another process removed it."""


class BrokenFileError(LandingError):
    """A file is there, and is not what it should be: cut short by a power loss, or not ours.

    `name` is relative to its storage.
    """

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message, name)
        self.name = name

    def __str__(self) -> str:
        return self.args[0]


class Storage(abc.ABC):
    """A folder of files, named relative to it with "/": `images/part-000001-00000000-000.parquet`.

    Storages are cheap, pickle, and are safe to share between threads. Every method raises `LandingError`, with one line
    that holds no credentials, if it cannot be reached or refuses.
    """

    #: The absolute path, or s3://bucket/prefix: for messages.
    uri: str
    #: A folder on this machine's disk, for what needs one: OUT itself, or a cache folder that belongs to it.
    local: Path
    #: Whether OUT is that folder.
    is_local: bool

    @property
    def owner(self) -> str:
        """Whose documents and vectors OUT's are, on servers that several could share: one name, without links."""
        return str(self.local.resolve()) if self.is_local else self.uri

    def __str__(self) -> str:
        return self.uri

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    @abc.abstractmethod
    def versions(self, folder: str) -> dict[str, str]:
        """By name, sorted, what tells each file directly in a folder from the one that it is replaced by.

        None if there is no such folder. No temporary ones.
        """

    def names(self, folder: str) -> list[str]:
        """Names of the files directly in a folder, sorted; see `versions`."""
        return list(self.versions(folder))

    @abc.abstractmethod
    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly in a folder, sorted; none if there is no such folder."""

    @abc.abstractmethod
    def read(self, name: str) -> bytes | None:
        """A file's bytes; None if it is absent."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file, or replace it, as `write_with` does."""
        self.write_with(name, lambda file: file.write(data))

    @abc.abstractmethod
    def write_with(self, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        """Have a file filled, or replaced: readers see the old one or the new one, also after a power loss."""

    @abc.abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Write a file of a name that nobody has taken; False, and nothing is changed, if another one is there.

        Of several that create one name at a time, one does. (A server in S3 that knows no `If-None-Match` does not tell
        them apart: there, OUT's lock has to.)
        """

    def check_writable(self) -> None:
        """Raise if nothing could be written here; nothing is there afterwards that was not before."""
        self.names("work")  # a server that is not there is waited for less long than a write is
        self.write(_PROBE, b"")
        self.delete(_PROBE)

    @abc.abstractmethod
    def delete(self, name: str) -> None:
        """Remove a file; it may be absent."""

    @abc.abstractmethod
    def move(self, name: str, to: str) -> None:
        """Give a file another name. Raises `FileGoneError` if it is absent."""

    def sweep(self, folder: str, *, stale_s: float = STALE_S) -> None:  # noqa: B027  (most have nothing to sweep)
        """Remove the temporary files that killed processes left directly in a folder, an hour ago or more."""

    @abc.abstractmethod
    def parquet_file(self, name: str, version: str | None = None) -> pq.ParquetFile:
        """Open for reading, within `reading`; to be closed by the caller. Only what is asked for is fetched.

        Of the version that a listing found, what was fetched before may be used.
        """

    @abc.abstractmethod
    def arrow(self, folder: str) -> tuple[pa.fs.FileSystem, str]:
        """For programs that read by Arrow: a file system, which pickles, and the path of a folder of OUT in it."""

    @contextlib.contextmanager
    def open_parquet(self, name: str, version: str | None = None) -> Iterator[pq.ParquetFile]:
        """A Parquet file, within `reading`, also while its columns are read in the body of the `with`."""
        with self.reading(name), self.parquet_file(name, version) as file:
            yield file

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Tell apart what goes wrong while a Parquet file is opened and read.

        Raises:
            FileGoneError: it is absent.
            BrokenFileError: it is there, and is no whole Parquet file.
            LandingError: it cannot be read: no permission, no connection.
        """
        try:
            yield
        except FileNotFoundError:
            raise FileGoneError(f"{self.uri}/{name} is not there any more: run the same command again") from None
        except (OSError, pa.ArrowException) as error:
            # pyarrow says of a damaged file OSError, too, but one without a number
            if isinstance(error, OSError) and error.errno is not None:
                raise LandingError(f"cannot read {self.uri}/{name}: {error.strerror}") from None
            message = f"{self.uri}/{name} is not a whole Parquet file: {' '.join(str(error).split())}"
            raise BrokenFileError(message, name) from None

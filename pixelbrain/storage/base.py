"""Where OUT is: a folder, or a prefix in S3. Files there are complete or absent, whatever is killed, on both."""

from __future__ import annotations

import abc
import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from pixelbrain.errors import LandingError

__all__ = [
    "BrokenFileError",
    "FileGoneError",
    "Storage",
    "cache_folder",
    "is_temporary",
    "write_parquet",
]

_S3_SCHEME = "s3://"
_TEMPORARY = re.compile(r"\..+\.tmp")


class FileGoneError(LandingError):
    """A file that was listed is not there any more: another process removed it."""


class BrokenFileError(LandingError):
    """A file is there, and is not what it should be: cut short by a power loss, or not ours.

    Args:
        message: one line.
        name: of the file, relative to its storage.
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

    #: The absolute path, or s3://bucket/prefix: for messages, and the name under which OUT owns what it owns.
    uri: str
    #: A folder on this machine's disk, for what needs one: OUT itself, or a cache folder that belongs to it.
    local: Path
    #: Whether OUT is that folder.
    is_local: bool

    def __str__(self) -> str:
        return self.uri

    @abc.abstractmethod
    def names(self, folder: str) -> list[str]:
        """Names of the files directly in a folder, sorted; none if there is no such folder. No temporary ones."""

    @abc.abstractmethod
    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly in a folder, sorted; none if there is no such folder."""

    @abc.abstractmethod
    def read(self, name: str) -> bytes | None:
        """A file's bytes; None if it is absent."""

    @abc.abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write a file, or replace it: readers see the old one or the new one, also after a power loss."""

    @abc.abstractmethod
    def delete(self, name: str) -> None:
        """Remove a file; it may be absent."""

    @abc.abstractmethod
    def move(self, name: str, to: str) -> None:
        """Give a file another name. Raises `FileGoneError` if it is absent."""

    def sweep(self, folder: str) -> None:  # noqa: B027  (most have nothing to sweep)
        """Remove the temporary files that killed processes left directly in a folder an hour ago or more."""

    @abc.abstractmethod
    def write_table(self, name: str, table: pa.Table, metadata: Mapping[bytes, bytes]) -> None:
        """Write a table as a Parquet file with this file metadata, as `write` does."""

    @abc.abstractmethod
    def _open_parquet(self, name: str) -> pq.ParquetFile:
        """Open for reading; may raise what pyarrow and the system raise."""

    @contextlib.contextmanager
    def open_parquet(self, name: str) -> Iterator[pq.ParquetFile]:
        """A Parquet file, of which only those parts are fetched that are asked for.

        Errors in the body of the `with`, while its columns are read, are told apart in the same way.

        Raises:
            FileGoneError: it is absent.
            BrokenFileError: it is there, and is no whole Parquet file.
            LandingError: it cannot be read: no permission, no connection.
        """
        try:
            with self._open_parquet(name) as file:
                yield file
        except FileNotFoundError:
            raise FileGoneError(f"{self.uri}/{name} is not there any more: run the same command again") from None
        except (OSError, pa.ArrowException) as error:
            # pyarrow says of a damaged file OSError, too, but one without a number
            if isinstance(error, OSError) and error.errno is not None:
                raise LandingError(f"cannot read {self.uri}/{name}: {error.strerror}") from None
            message = f"{self.uri}/{name} is not a whole Parquet file: {_one_line(error)}"
            raise BrokenFileError(message, name) from None


def is_temporary(name: str) -> bool:
    """Whether a file of this name is one that a process was writing."""
    return _TEMPORARY.fullmatch(name) is not None


def cache_folder(uri: str, endpoint: str | None) -> Path:
    """The folder on this machine's disk that belongs to an OUT elsewhere; not made yet."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    slug = re.sub(r"[^A-Za-z0-9]+", "-", uri.removeprefix(_S3_SCHEME)).strip("-")[:60]
    digest = hashlib.sha256(f"{endpoint or ''} {uri}".encode()).hexdigest()[:12]
    return root / "pixelbrain" / "out" / f"{slug}-{digest}"


#: A reader that wants a thousand rows of a file that `compact` made large does not read the others.
_ROW_GROUP = 1000


def write_parquet(file: IO[bytes], table: pa.Table, metadata: Mapping[bytes, bytes]) -> None:
    """A table as Parquet; the checksum of each page tells damage from data."""
    pq.write_table(
        table.replace_schema_metadata(metadata),
        file,
        compression="zstd",
        row_group_size=_ROW_GROUP,
        use_dictionary=False,  # ids and vectors gain nothing of it: smaller, and written 4 times as fast
        write_page_checksum=True,
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

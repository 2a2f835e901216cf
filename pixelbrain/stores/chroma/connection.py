"""One ChromaDB, a folder or a server: opened when needed, looked at from outside, set aside when it is damaged."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixelbrain.config import mask_uri
from pixelbrain.errors import StoreError
from pixelbrain.locks.file import FolderLock
from pixelbrain.stores.address import is_url
from pixelbrain.stores.chroma import health_process
from pixelbrain.stores.chroma.client import chroma_errors, close_client, connect, open_folder
from pixelbrain.stores.chroma.health import (
    Finding,
    Sample,
    collection_name,
    damage_of,
    examine_collections,
    vectors_in,
)
from pixelbrain.stores.vectors import COLLECTION_COLUMNS

#: Between the name of a folder and a number: what could not be read any more.
_ASIDE = ".damaged-"
_INDEX_FOLDERS = "????????-????-????-????-????????????"


class ChromaConnection:
    """The client, and who else may have one. A folder is locked at once, and opened when it is first needed.

    Args:
        location: a folder, for ChromaDB inside this process, or the `http://HOST:PORT` of a server, with `/NAME` when
            a database of its own is wanted there.

    Raises:
        StoreLockedError: another process holds the folder (two would corrupt it).
        StoreError: the folder cannot be used, or the server does not answer within 5 s.
        ConfigError: an address that is none.
    """

    def __init__(self, location: str | Path) -> None:
        #: Whether it is a server.
        self.remote = is_url(location)
        self._location = str(location) if self.remote else str(Path(location).expanduser().resolve())
        #: What to call it in messages.
        self.where = mask_uri(self._location) if self.remote else self._location
        self._client: Any = None
        self._lock: FolderLock | None = None
        self._closed = False
        self._looked: dict[str, Finding | None] = {}  # what the last look at each collection found
        if self.remote:
            self._client = connect(self._location)
        else:
            self._lock = FolderLock(Path(self._location), "the embedded ChromaDB")
            self._lock.acquire()

    def client(self) -> Any:
        """The chromadb client.

        Raises:
            StoreError: this store is closed, or the folder cannot be opened.
        """
        if self._closed:
            raise StoreError("this vector store is closed: open the database again")
        if self._client is None:
            try:
                with chroma_errors(self.where):
                    self._client = open_folder(Path(self._location))
            except OSError as error:
                raise StoreError(f"cannot use {self._location} for ChromaDB: {error.strerror or error}") from None
        return self._client

    def close(self) -> None:
        """Close the client and let go of the folder; twice is once."""
        self._closed = True
        try:
            self._close_client()
        finally:
            if self._lock is not None:
                self._lock.release()

    def answers(self) -> bool:
        """Whether the server answers now."""
        with contextlib.suppress(StoreError):
            close_client(connect(self._location))
            return True
        return False

    def names(self) -> list[str]:
        """Pixelbrain's collections that are there; of a folder that is not open by its file, which no index can crash.

        Raises:
            StoreError: the server cannot be asked.
        """
        with chroma_errors(self.where):
            return self.listed()

    def listed(self) -> list[str]:
        """As `names`, with chromadb's own errors, by which those who wait for a server know that it went away."""
        return vectors_in(self._all_names())

    def _all_names(self) -> list[str]:
        if self.remote or self._client is not None:
            return [one.name for one in self.client().list_collections()]
        file = Path(self._location) / "chroma.sqlite3"
        try:
            with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
                return [name for (name,) in connection.execute("SELECT name FROM collections")]
        except sqlite3.Error:  # there is none, or it is damaged, which a look at it will find
            return []

    def examine(self, samples: Mapping[str, Sample] | None = None) -> dict[str, Finding]:
        """What is wrong with collections, seen by a fresh process (of a server: by a fresh client).

        Our own client is closed before, as two processes on one folder corrupt it, and opened again when needed.
        By the collection's name, `samples` says what it should hold, and the result what is wrong, if anything; without
        them, whatever is there is looked at.

        Raises:
            StoreError: it cannot be read for another reason than damage.
        """
        if samples is None:
            samples = {name: Sample() for name in (*COLLECTION_COLUMNS, *self.names())}
        if self.remote:
            client = connect(self._location)
            try:
                with chroma_errors(self.where):
                    return examine_collections(client, samples)
            finally:
                close_client(client)
        folder = Path(self._location)
        if (folder / "chroma.sqlite3").exists():
            self._close_client()
            findings = health_process.examine_folder(folder, samples)
        else:
            gone = Finding(kind="index", reason="it is not there")
            findings = {name: gone for name, sample in samples.items() if sample.count}
        self._looked.update((name, findings.get(name)) for name in samples)
        return findings

    def require_sound(self, name: str) -> None:
        """Have a fresh process look at a collection before this one first reads it, unless a load or a look was before.

        Reading a damaged index may crash a process, or give other vectors than were written. Not looked at: a server,
        and a folder that another Database of this process has open (two processes would corrupt it).

        Raises:
            StoreError: it is damaged, or cannot be read.
        """
        if self._lock is None:
            return
        if name not in self._looked:
            if self._lock.holders() > 1:
                return
            self.examine()
        finding = self._looked.get(name)
        if finding is not None and finding.is_damage:
            raise StoreError(
                f"the index of {name} in {self.where} is damaged ({finding.reason}): `pixelbrain load OUT` writes it "
                "again from Parquet"
            )

    def set_aside(self) -> Path:
        """Give a folder that cannot be opened another name beside it, which is returned; an empty one takes its place.

        Raises:
            StoreError: it is a server, another Database of this process has it open, or it cannot be renamed.
        """
        if self._lock is None or self._lock.holders() > 1:
            raise StoreError(f"ChromaDB at {self.where} is damaged, and in use: close it elsewhere, and load again")
        self._close_client()
        self._looked.clear()
        folder = Path(self._location)
        names = (folder.with_name(f"{folder.name}{_ASIDE}{number}") for number in itertools.count(1))
        aside = next(path for path in names if not path.exists())
        try:
            folder.rename(aside)
        except OSError as error:
            raise StoreError(f"cannot rename the damaged {folder}: {error.strerror or error}") from None
        return aside

    def discard(self) -> None:
        """Remove ChromaDB's files, which keep what was deleted, and all that was set aside; a load writes new ones.

        Raises:
            StoreError: it is a server, another Database of this process has it open, it has collections that are not
                ours, or it cannot be removed.
        """
        if self._lock is None or self._lock.holders() > 1:
            raise StoreError(f"ChromaDB at {self.where} is in use: close it elsewhere, and run the same command again")
        folder = Path(self._location)
        names: set[str] = set()
        if (folder / "chroma.sqlite3").exists() and not damage_of(self.examine()):
            names = set(self._all_names())
        if others := sorted(names - set(map(collection_name, vectors_in(names)))):
            raise StoreError(
                f"{self.where} has collections that are not Pixelbrain's ({', '.join(others)}): move them elsewhere, "
                "as its files keep what was deleted and are written anew"
            )
        self._close_client()
        self._looked.clear()
        try:
            for one in (*folder.glob("chroma.sqlite3*"), *folder.glob(_INDEX_FOLDERS)):
                shutil.rmtree(one) if one.is_dir() else one.unlink()
            for one in folder.parent.glob(f"{folder.name}{_ASIDE}*"):
                shutil.rmtree(one)
        except OSError as error:
            raise StoreError(f"cannot remove {error.filename or folder}: {error.strerror or error}") from None

    def forget(self, name: str) -> None:
        """What was seen of a collection does not count any more: it is going to be another one."""
        self._looked.pop(name, None)

    def _close_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            close_client(client)

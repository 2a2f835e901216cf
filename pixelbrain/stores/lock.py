"""One process at a time for an embedded store; within that process, shared by count."""

from __future__ import annotations

import json
import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pixelbrain.errors import StoreError, StoreLockedError

__all__ = ["FolderLock"]


@dataclass
class _Held:
    lock: FileLock
    holders: int


_guard = threading.Lock()
# The process id is part of the key: a forked child inherits this dict, but not the right to write the store.
_held: dict[tuple[int, Path], _Held] = {}


class FolderLock:
    """The lock of a store's folder: `NAME.lock` beside it, and `NAME.owner` that says who holds it.

    The lock is the operating system's (flock), so it ends with its process, however that ends. Several holders in
    one process share it.

    Args:
        folder: the folder that one process may use at a time.
        what: the store's name in messages.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self.folder = folder
        self.what = what
        self._path = folder.with_name(folder.name + ".lock")
        self._owner_path = folder.with_name(folder.name + ".owner")
        self._key: tuple[int, Path] | None = None

    def acquire(self) -> None:
        """Take the lock, or a share of it; at once or not at all.

        Raises:
            StoreLockedError: another process holds it.
            StoreError: the folder cannot be written.
        """
        with _guard:
            key = (os.getpid(), self._path.resolve())
            held = _held.get(key)
            if held is None:
                held = _held[key] = _Held(self._take(), 0)
            held.holders += 1
            self._key = key

    def release(self) -> None:
        """Give the share back; the last one frees the lock. Nothing happens when it is not held."""
        with _guard:
            key, self._key = self._key, None
            if key is None or key[0] != os.getpid():
                return
            held = _held[key]
            held.holders -= 1
            if held.holders == 0:
                del _held[key]
                self._owner_path.unlink(missing_ok=True)
                held.lock.release()

    def _take(self) -> FileLock:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # not per thread: a database may be opened in one thread and closed in another
            lock = FileLock(self._path, timeout=0, thread_local=False)
            lock.acquire()
            self._owner_path.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        except Timeout:
            raise StoreLockedError(
                f"{self.what} in {self.folder} is in use by {self._owner()}: wait until it is done, or end it"
            ) from None
        except OSError as error:
            raise StoreError(f"cannot lock {self.what} in {self.folder}: {error.strerror or error}") from None
        return lock

    def _owner(self) -> str:
        try:
            owner = json.loads(self._owner_path.read_text())
            return f"process {owner['pid']} on {owner['host']}"
        except (OSError, ValueError, KeyError, TypeError):  # it is just starting or stopping
            return "another process"

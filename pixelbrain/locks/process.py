"""Locks that one process holds at a time, and within it any number of holders; and how to hold a file as one."""

from __future__ import annotations

import abc
import contextlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from filelock import FileLock, Timeout

from pixelbrain.locks.owner import Owner

__all__ = ["FileHold", "Hold", "ProcessLock", "file_owner", "hold_file"]

_OWNER_WAIT_S = 1.0  # for one that has just taken the lock to say who it is


class Hold(abc.ABC):
    """A lock that this process has."""

    #: Whether another process has it by now, and this one must not go on.
    lost = False

    @abc.abstractmethod
    def free(self) -> None:
        """Let others have it."""


@dataclass
class _Shared:
    hold: Hold
    holders: int


_Self = TypeVar("_Self", bound="ProcessLock")
_guard = threading.Lock()
# The process id is part of the key: a forked child inherits this dict, but not the right to what is locked.
_held: dict[tuple[int, str], _Shared] = {}


class ProcessLock(abc.ABC):
    """A lock by name: the first holder in this process takes it, the last one frees it; threads share it.

    Args:
        key: names what is locked, the same for all that lock it.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._shares: list[tuple[tuple[int, str], Hold]] = []

    @abc.abstractmethod
    def _take(self) -> Hold:
        """Take the lock for this process; raises if another one has it."""

    def acquire(self) -> None:
        """Take the lock, or a share of it; at once or not at all. Raises what `_take` does."""
        with _guard:
            key = (os.getpid(), self._key)
            if key not in _held:
                _held[key] = _Shared(self._take(), 0)
            _held[key].holders += 1
            self._shares.append((key, _held[key].hold))

    def release(self) -> None:
        """Give the share back; the last one frees the lock. Nothing happens when it is not held."""
        with _guard:
            if not self._shares or self._shares[-1][0][0] != os.getpid():
                return
            key, hold = self._shares.pop()
            _held[key].holders -= 1
            if _held[key].holders == 0:
                del _held[key]
                hold.free()

    def holders(self) -> int:
        """How many in this process hold it."""
        with _guard:
            held = _held.get((os.getpid(), self._key))
            return held.holders if held else 0

    @property
    def lost(self) -> bool:
        """Whether another process has taken the lock from this one, and it must not go on."""
        return any(hold.lost for _key, hold in self._shares)

    def __enter__(self: _Self) -> _Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class FileHold(Hold):
    """A lock file that this process has, and the file beside it that says so."""

    def __init__(self, lock: FileLock, owner_path: Path) -> None:
        self._lock = lock
        self._owner_path = owner_path

    def free(self) -> None:
        with contextlib.suppress(OSError):  # what it says does not matter without the lock
            self._owner_path.unlink()
        self._lock.release()


def hold_file(path: Path, owner: Owner) -> FileHold | None:
    """Lock a file, and write its owner beside it, as NAME.owner for NAME.lock; None if another process has it.

    The lock is the operating system's (flock), so it ends with its process, however that ends; also over NFS.

    Raises:
        OSError: the file cannot be written, or its file system knows no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # not per thread: it may be taken in one thread and freed in another
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    owner_path = _owner_path(path)
    temporary = owner_path.with_name(f".{owner_path.name}.tmp")
    try:
        temporary.write_text(owner.as_json())
        os.replace(temporary, owner_path)
    except OSError:
        lock.release()
        raise
    return FileHold(lock, owner_path)


def file_owner(path: Path) -> Owner | None:
    """Who holds a file that `hold_file` was refused; None if it does not say."""
    give_up_at = time.monotonic() + _OWNER_WAIT_S
    while True:
        try:
            owner = Owner.from_json(_owner_path(path).read_text())
        except OSError:
            owner = None
        # before a new owner has signed, the name of a killed one stands there
        if (owner is not None and not owner.is_dead()) or time.monotonic() >= give_up_at:
            return owner
        time.sleep(0.05)


def _owner_path(path: Path) -> Path:
    return path.with_suffix(".owner")

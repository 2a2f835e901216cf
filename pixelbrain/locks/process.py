"""Locks that one process holds at a time, and within it any number of holders."""

from __future__ import annotations

import abc
import os
import threading
from typing import TypeVar


class Hold(abc.ABC):
    """A lock that this process has."""

    #: Whether another process has it by now, and this one must not go on.
    lost = False
    #: How many in this process share it.
    holders = 0

    @abc.abstractmethod
    def free(self) -> None:
        """Let others have it."""


_Self = TypeVar("_Self", bound="ProcessLock")
_guard = threading.Lock()
# The process id is part of the key: a forked child inherits this dict, but not the right to what is locked.
_held: dict[tuple[int, str], Hold] = {}


class ProcessLock(abc.ABC):
    """A lock by name: the first holder in this process takes it, the last one frees it; threads share it.

    `key` names what is locked, the same for all that lock it.
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
                _held[key] = self._take()
            _held[key].holders += 1
            self._shares.append((key, _held[key]))

    def release(self) -> None:
        """Give the share back; the last one frees the lock. Nothing happens when it is not held."""
        with _guard:
            if not self._shares or self._shares[-1][0][0] != os.getpid():
                return
            key, hold = self._shares.pop()
            hold.holders -= 1
            if hold.holders == 0:
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

    def __exit__(self, *_error: object) -> None:
        self.release()

"""One run at a time on one OUT, on whatever machines they are."""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Iterator

from pixelbrain.errors import LandingError, OutLockedError
from pixelbrain.locks.file import hold_file
from pixelbrain.locks.object import BEAT_S, STALE_S, hold_object
from pixelbrain.locks.owner import Owner
from pixelbrain.locks.process import Hold, ProcessLock
from pixelbrain.storage.base import Storage
from pixelbrain.storage.local import why_not_written

_NAME = "run.lock"
_PAUSE_S = 0.1

#: OUT's lock is shared by the threads of a process: those that must not work at once take turns here.
_TURNS: collections.defaultdict[str, threading.RLock] = collections.defaultdict(threading.RLock)


class RunLock(ProcessLock):
    """The lock of an OUT: `with RunLock(storage, what="extract"): ...`. Shared by all holders in this process.

    On a disk it is a locked file, in S3 an object that is kept fresh; of an owner that died, both are taken over.

    Args:
        storage: where OUT is.
        what: the command that is run, for the message to others.
        beat_s: how often the object in S3 is written again.
        stale_s: after how long without that its owner counts as dead.
    """

    def __init__(self, storage: Storage, *, what: str, beat_s: float = BEAT_S, stale_s: float = STALE_S) -> None:
        super().__init__(f"run {storage.owner}")
        self._storage = storage
        self._what = what
        self._times = (beat_s, stale_s)

    def acquire(self) -> None:
        """Take OUT for this process, or a share of it; at once or not at all.

        Raises `OutLockedError`, also where another process took it from this one, and `LandingError`: OUT cannot be
        written.
        """
        super().acquire()
        if self.lost:
            self.release()
            raise OutLockedError(
                f"{self._storage.uri} was lost to another run while this one was suspended or offline: run it again"
            )

    def _take(self) -> Hold:
        owner = Owner.this_process(f"pixelbrain {self._what}")
        path = self._storage.local / _NAME
        held: Hold | None
        try:
            if self._storage.is_local:
                held, other = hold_file(path, owner)
            else:
                held, other = hold_object(self._storage, owner, *self._times)
        except OSError as error:
            raise LandingError(f"cannot lock {self._storage.uri}: {why_not_written(path, error)}") from None
        if held is None:
            raise OutLockedError(
                f"{self._storage.uri} is in use by {other or 'another process'}: wait until it is done, or end it"
            )
        return held


@contextlib.contextmanager
def waiting(storage: Storage, *, what: str, wait_s: float) -> Iterator[None]:
    """OUT's lock for an edit of a moment, one of this process at a time, as soon as others are done.

    Raises `OutLockedError` after `wait_s`, and as `RunLock` does.
    """
    lock = RunLock(storage, what=what)
    with _TURNS[storage.uri]:
        give_up_at = time.monotonic() + wait_s
        while True:
            try:
                lock.acquire()
                break
            except OutLockedError:
                if time.monotonic() >= give_up_at:
                    raise
                time.sleep(_PAUSE_S)
        try:
            yield
        finally:
            lock.release()

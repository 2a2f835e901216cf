"""A lock on a disk: a file that one process holds, and beside it who that is; and such a lock of a store's folder."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pixelbrain.errors import StoreError, StoreLockedError
from pixelbrain.locks.owner import Owner
from pixelbrain.locks.process import Hold, ProcessLock

_OWNER_WAIT_S = 1.0  # for one that has just taken the lock to say who it is


@dataclass
class FileHold(Hold):
    """A lock file that this process has, and the file beside it that says so."""

    lock: FileLock
    owner_path: Path

    def free(self) -> None:
        with contextlib.suppress(OSError):  # what it says does not matter without the lock
            self.owner_path.unlink()
        self.lock.release()


def hold_file(path: Path, owner: Owner) -> tuple[FileHold | None, Owner | None]:
    """Lock a file, and write its owner beside it, as NAME.owner for NAME.lock; or None, and who has it, if it says so.

    The lock is the operating system's (flock), so it ends with its process, however that ends; also over NFS. Raises
    `OSError`: the file cannot be written, or its file system knows no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # not per thread: it may be taken in one thread and freed in another
    lock = FileLock(path, timeout=0, thread_local=False)
    owner_path = path.with_suffix(".owner")
    try:
        lock.acquire()
    except Timeout:
        return None, _read_owner(owner_path)
    temporary = owner_path.with_name(f".{owner_path.name}.tmp")
    try:
        temporary.write_text(json.dumps(asdict(owner)))
        os.replace(temporary, owner_path)
    except OSError:
        lock.release()
        raise
    return FileHold(lock, owner_path), None


def _read_owner(path: Path) -> Owner | None:
    give_up_at = time.monotonic() + _OWNER_WAIT_S
    while True:
        owner = None
        with contextlib.suppress(OSError, ValueError, TypeError):  # not there yet, or not an owner's
            owner = Owner(**json.loads(path.read_text()))
        # before a new owner has signed, the name of a killed one stands there
        if (owner is not None and not owner.is_dead()) or time.monotonic() >= give_up_at:
            return owner
        time.sleep(0.05)


class FolderLock(ProcessLock):
    """The lock of a store's folder: `NAME.lock` beside it, and `NAME.owner` that says who holds it.

    `what` is the store's name in messages.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self._folder = folder
        self._what = what
        self._path = folder.with_name(folder.name + ".lock")
        super().__init__(str(self._path.resolve()))

    def _take(self) -> Hold:
        """Raises `StoreLockedError` if another process holds it, `StoreError` if the folder cannot be written."""
        try:
            held, owner = hold_file(self._path, Owner.this_process(self._what))
        except OSError as error:
            raise StoreError(f"cannot lock {self._what} in {self._folder}: {error.strerror or error}") from None
        if held is None:
            raise StoreLockedError(
                f"{self._what} in {self._folder} is in use by {owner or 'another process'}: wait until it is done, or "
                "end it"
            )
        return held

"""One process at a time for an embedded store; within that process, shared by count."""

from __future__ import annotations

from pathlib import Path

from pixelbrain.errors import StoreError, StoreLockedError
from pixelbrain.locks.owner import Owner
from pixelbrain.locks.process import Hold, ProcessLock, file_owner, hold_file

__all__ = ["FolderLock"]


class FolderLock(ProcessLock):
    """The lock of a store's folder: `NAME.lock` beside it, and `NAME.owner` that says who holds it.

    Args:
        folder: the folder that one process may use at a time.
        what: the store's name in messages.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self._folder = folder
        self._what = what
        self._path = folder.with_name(folder.name + ".lock")
        super().__init__(str(self._path.resolve()))

    def _take(self) -> Hold:
        """Take the lock for this process.

        Raises:
            StoreLockedError: another process holds it.
            StoreError: the folder cannot be written.
        """
        try:
            held = hold_file(self._path, Owner.this_process(self._what))
        except OSError as error:
            raise StoreError(f"cannot lock {self._what} in {self._folder}: {error.strerror or error}") from None
        if held is None:
            owner = file_owner(self._path)
            raise StoreLockedError(
                f"{self._what} in {self._folder} is in use by {owner or 'another process'}: wait until it is done, or "
                "end it"
            )
        return held

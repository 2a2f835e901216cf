"""MongoDB without a server to set up: a mongod of our own with its files in OUT, shared within the process."""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from pixelbrain.errors import StoreError
from pixelbrain.stores.mongo.mongod import MongodProcess, find_mongod

__all__ = ["EmbeddedMongo", "find_mongod"]


class EmbeddedMongo:
    """A mongod whose files are in `folder`; several in one process share it, another process is refused.

    It listens on 127.0.0.1 only, without a password, as long as it is open: on a machine with other users give
    Pixelbrain a server with one. An empty folder takes about 300 MB (two journal files of 100 MB).

    It stops with `stop()`, with the last holder, with the process, and (Linux) when the process is killed.

    Args:
        folder: for the data files and `mongod.log`; made when absent.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().resolve()  # one name for it, whatever link leads there
        self._server: MongodProcess | None = None

    @property
    def uri(self) -> str:
        """Where it answers."""
        return f"mongodb://127.0.0.1:{self._started().port}/?directConnection=true"

    @property
    def pid(self) -> int:
        """The mongod's process id."""
        return self._started().pid

    def _started(self) -> MongodProcess:
        if self._server is None:
            raise StoreError("the embedded MongoDB is not started")
        return self._server

    def alive(self) -> bool:
        """Whether it runs."""
        return self._server is not None and self._server.alive()

    def start(self) -> EmbeddedMongo:
        """Start it, or share the one that this process has already; a crashed one is recovered.

        Raises:
            StoreLockedError: another process holds the folder.
            StoreError: no mongod was found, or it did not start.
        """
        with _guard:
            key = (os.getpid(), self.folder)
            shared = _shared.get(key)
            if shared is None:
                shared = _shared[key] = _Shared(MongodProcess(self.folder))
            elif not shared.server.alive():
                crashed, shared.server = shared.server, MongodProcess(self.folder)
                crashed.stop()  # gives back its share of the lock
            shared.holders += 1
            self._server = shared.server
        return self

    def stop(self) -> None:
        """Let go of it; the last holder stops it."""
        with _guard:
            key = (os.getpid(), self.folder)
            mine, self._server = self._server, None
            shared = _shared.get(key)
            if mine is None or shared is None:
                return
            shared.holders -= 1
            if shared.holders == 0:
                del _shared[key]
                shared.server.stop()

    def __enter__(self) -> EmbeddedMongo:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()


@dataclass
class _Shared:
    """What the holders of one folder share; a crashed server is replaced for all of them."""

    server: MongodProcess
    holders: int = 0


_guard = threading.RLock()
# The process id is part of the key: a forked child inherits this dict, and has nothing to stop.
_shared: dict[tuple[int, Path], _Shared] = {}


@atexit.register
def _stop_all() -> None:
    """Stop what this process started and did not stop."""
    with _guard:
        for key in [key for key in _shared if key[0] == os.getpid()]:
            _shared.pop(key).server.stop()

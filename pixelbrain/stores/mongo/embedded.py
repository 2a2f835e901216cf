"""MongoDB without a server to set up: a mongod of our own with its files in OUT, shared within the process."""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path

from pixelbrain.stores.mongo.mongod import MongodProcess


class EmbeddedMongo:
    """A mongod whose files are in `folder`; several in one process share it, another process is refused.

    It listens on 127.0.0.1 only, without a password, as long as it is open: on a machine with other users give
    Pixelbrain a server with one. An empty folder takes about 50 MB (three files of the journal).

    It is started when made, or shared if this process has it already; a crashed one is recovered. It stops with
    `stop()`, with the last holder, with the process, and (Linux) when the process is killed.

    Args:
        folder: for the data files and `mongod.log`; made when absent.

    Raises:
        StoreLockedError: another process holds the folder.
        StoreError: no mongod was found, or it did not start.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().resolve()  # one name for it, whatever link leads there
        with _guard:
            key = (os.getpid(), self.folder)
            server = _servers.get(key)
            if server is None or not server.alive():
                crashed, server = server, MongodProcess(self.folder)
                if crashed is not None:
                    server.holders = crashed.holders
                    crashed.stop()  # gives back its share of the lock
                _servers[key] = server
            server.holders += 1
            self._server: MongodProcess | None = server
        self.pid = server.pid
        #: Where it answers.
        self.uri = f"mongodb://127.0.0.1:{server.port}/?directConnection=true"

    def alive(self) -> bool:
        """Whether it runs."""
        return self._server is not None and self._server.alive()

    @property
    def is_mine_alone(self) -> bool:
        """Whether `stop` would stop it."""
        return self.alive() and self._server is not None and self._server.holders == 1

    def stop(self) -> None:
        """Let go of it; the last holder stops it."""
        with _guard:
            key = (os.getpid(), self.folder)
            mine, self._server = self._server, None
            server = _servers.get(key)
            if mine is None or server is None:
                return
            server.holders -= 1
            if server.holders == 0:
                del _servers[key]
                server.stop()

    def __enter__(self) -> EmbeddedMongo:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


_guard = threading.RLock()
# The process id is part of the key: a forked child inherits this dict, and has nothing to stop.
_servers: dict[tuple[int, Path], MongodProcess] = {}


@atexit.register
def _stop_all() -> None:
    """Stop what this process started and did not stop."""
    with _guard:
        for key in [key for key in _servers if key[0] == os.getpid()]:
            _servers.pop(key).stop()

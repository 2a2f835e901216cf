"""Collections are examined in a process of its own: a damaged index may crash who reads it, which is a finding, too.

`python -m pixelbrain.stores.chroma.health_process` is that process. Through a pipe come requests and go answers; each
is answered by a fork of it, which has imported chromadb (2 s) and opened nothing. It ends with the pipe, or when nobody
asked for a while.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from pixelbrain.errors import StoreError
from pixelbrain.stores.chroma.health import Finding, Sample, examine_collections, examine_file, is_damage

#: Seconds for a look at an empty collection, and what each vector adds: a large index is read from disk first.
_LIMIT_S, _VECTORS_A_SECOND = 120, 2_000
_IDLE_LIMIT_S = 30.0
_NOT_DAMAGE = ("SIGKILL", "SIGTERM", "SIGINT")  # somebody's doing, or the system's when memory runs out
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h

#: The folder, what its collections should hold, and for how many seconds it may be looked at.
_Request = tuple[Path, Mapping[str, Sample], int]
#: What is wrong by collection, why nothing could be read, or how the process ended that looked.
_Answer = dict[str, Finding] | StoreError | str


# --- who asks --------------------------------------------------------------------------------------------------------


def warm_up() -> None:
    """Start the process, which takes 2 s to import chromadb, beside what this one does meanwhile."""
    with _guard:
        _running()


def examine_folder(folder: Path, samples: Mapping[str, Sample]) -> dict[str, Finding]:
    """What a fresh process finds wrong with the collections of a folder, which is there, and which nobody writes.

    By the collection's name, `samples` says what it should hold, and the result what is wrong, if anything.

    Raises:
        StoreError: the process cannot be started, was killed, or cannot read the folder for another reason than damage.
    """
    limit_s = _LIMIT_S + sum(sample.count or 0 for sample in samples.values()) // _VECTORS_A_SECOND
    with _guard:
        for _attempt in range(2):  # it may just have ended, idle
            examiner = _running()
            answer = examiner.ask((folder, samples, limit_s))
            if answer is not None:
                break
        else:
            raise StoreError(f"the process that looks at ChromaDB in {folder} does not answer: {examiner.last_words}")
    if isinstance(answer, StoreError):
        raise answer
    if not isinstance(answer, str):
        return answer
    if answer in _NOT_DAMAGE:
        raise StoreError(
            f"the process that looked at ChromaDB in {folder} was killed ({answer}), by a lack of memory perhaps: the "
            "same command goes on"
        )
    if len(samples) > 1:  # which of them was it?
        each = (examine_folder(folder, {name: sample}) for name, sample in samples.items())
        return {name: finding for found in each for name, finding in found.items()}
    crashed = f"does not end within {limit_s} s" if answer == "SIGALRM" else f"crashes a process ({answer})"
    return {name: Finding(kind="index", reason=f"reading it {crashed}") for name in samples}


class _Examiner:
    """The process, seen from the one that asks."""

    def __init__(self) -> None:
        self.last_words = "nothing"
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (closed in end())
        package = Path(__file__).resolve().parents[3]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH")))),
            "OPENBLAS_NUM_THREADS": "1",  # no threads of numpy's in a process that forks
        }
        self._pipe, theirs = multiprocessing.Pipe()
        with theirs:
            command = [sys.executable, "-m", "pixelbrain.stores.chroma.health_process", str(theirs.fileno())]
            try:
                self.process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=self._said, stderr=self._said, env=environment,
                    pass_fds=[theirs.fileno()], start_new_session=True,  # Ctrl-C is for us
                )  # fmt: skip
            except OSError as error:
                self._pipe.close()
                self._said.close()
                raise StoreError(f"cannot start {sys.executable}: {error.strerror or error}") from None

    def ask(self, request: _Request) -> _Answer | None:
        """Its answer; None when it ended."""
        try:
            self._pipe.send(request)
            return self._pipe.recv()
        except (OSError, EOFError):  # a broken pipe, or an answer cut short
            self.end()
            return None

    def end(self) -> None:
        """Let it end, and forget it."""
        self._pipe.close()
        self.process.wait()
        if not self._said.closed:
            self._said.seek(0)
            self.last_words = " ".join(self._said.read()[-500:].decode(errors="replace").split()) or "nothing"
            self._said.close()


_guard = threading.RLock()
# The process id is part of the key: a forked child inherits this dict, and may not talk to its parent's helper.
_examiners: dict[int, _Examiner] = {}


def _running() -> _Examiner:
    examiner = _examiners.get(os.getpid())
    if examiner is None or examiner.process.poll() is not None:
        _end()
        examiner = _examiners[os.getpid()] = _Examiner()
    return examiner


@atexit.register
def _end() -> None:
    with _guard:
        examiner = _examiners.pop(os.getpid(), None)
        if examiner is not None:
            examiner.end()


# --- who answers -----------------------------------------------------------------------------------------------------


def _serve(pipe: Connection) -> None:
    _end_with_parent()
    import chromadb.api.rust  # noqa: F401  (for the forks: chromadb itself, and what a folder is opened with)

    with contextlib.suppress(EOFError):
        while pipe.poll(_IDLE_LIMIT_S):
            pipe.send_bytes(_in_a_fork(pipe.recv()))


def _in_a_fork(request: _Request) -> bytes:
    """The pickled answer, or how the process that looked for it ended."""
    folder, samples, limit_s = request
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(limit_s)  # ends the process also inside native code
            _end_with_parent()
            os.close(reading)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(pickle.dumps(_examine(folder, samples)))
            os._exit(0)
        finally:  # an exception ends it too, and never gets back into the loop of its parent
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return pickle.dumps(signal.Signals(os.WTERMSIG(status)).name)
    return said or pickle.dumps(f"exit code {os.waitstatus_to_exitcode(status)}")


def _end_with_parent() -> None:
    """A killed parent's successor may write the folder at once: nobody of ours may have it open then (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _examine(folder: Path, samples: Mapping[str, Sample]) -> _Answer:
    from chromadb.errors import ChromaError

    from pixelbrain.stores.chroma.client import open_folder

    problem = None
    try:
        if not any(len(sample.ids) for sample in samples.values()):  # before a load; after it, rows are read back
            problem = examine_file(folder)
        if problem is None:
            try:
                client = open_folder(folder)
            except ChromaError as error:
                if not is_damage(str(error)):
                    return StoreError(f"ChromaDB in {folder} cannot be read: {error}")
                problem = Finding(kind="folder", reason=str(error))
        return dict.fromkeys(samples, problem) if problem is not None else examine_collections(client, samples)
    except StoreError as error:
        return error
    except OSError as error:
        return StoreError(f"cannot use {folder} for ChromaDB: {error.strerror or error}")


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))

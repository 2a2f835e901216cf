"""A worker in a process of its own, as its parent sees it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection

import pyarrow as pa

from pixelbrain.errors import EngineError

#: A process that dies so often over the same blocks is not killed by an image: these are tried alone after two deaths.
_DEATHS = 5

_PROGRAM = "import sys; sys.path[:] = {path!r}; from pixelbrain.engine.local.serve import serve; serve({fd}, {debug})"


class Worker:
    """Has blocks worked off, `fused.CALLS` at a time, and starts again where the process dies of one.

    Not by `multiprocessing`, whose child runs a user's script again, guarded or not. The process has a session of its
    own, so that a terminal's Ctrl-C asks only its parent, which asks it to land what is in hand.

    Args:
        make: a function of `wary`, pickled: what works there, see `work.fused.ImageWorker`.
        environment: of the process, all of it.
        debug: show what it says.
    """

    def __init__(self, make: bytes, *, environment: Mapping[str, str], debug: bool) -> None:
        self._make = make
        self._environment = environment
        self._debug = debug
        self._process: subprocess.Popen | None = None
        self._in_hand: dict[int, bytes] = {}  # by their order: blocks
        self._taken = 0
        self._deaths = 0  # over these, since one was done
        self.pipe: Connection | None = None

    @property
    def in_hand(self) -> int:
        """How many blocks it has."""
        return len(self._in_hand)

    def take(self, block: pa.Table) -> None:
        """Have it worked off; `result` is there when `pipe` can be read."""
        self._taken += 1
        self._in_hand[self._taken] = pickle.dumps((self._taken, block))
        if self._process is None:
            self._start()
        self._send(self._in_hand[self._taken])

    def result(self) -> pa.Table | None:
        """A block's summary; None: the process died, and its blocks are with another one.

        Raises:
            EngineError: the worker cannot do it, or dies again and again.
        """
        try:
            number, summary, why = self.pipe.recv()
        except (EOFError, OSError):
            self._restart()
            return None
        if why is not None:
            raise EngineError(why)
        del self._in_hand[number]
        self._deaths = 0
        return summary

    def end(self) -> None:
        """At once, whatever it has in hand."""
        if self.pipe is not None:
            self.pipe.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):  # with what it has started, such as that for one image alone
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.pipe = self._process = None

    def _restart(self) -> None:
        self._deaths += 1
        self.end()
        if self._deaths == _DEATHS:
            raise EngineError(
                f"a worker died {_DEATHS} times over the same images (--debug shows how): is there memory for the "
                "models? What has landed stays: the same command goes on"
            )
        self._start()
        for block in self._in_hand.values():
            self._send(block)

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(OSError):  # it has just died: whoever reads the pipe sees that
            self.pipe.send_bytes(message)

    def _start(self) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        with theirs:
            self._process = start_process(theirs, self._environment, self._debug)
        self._send(self._make)
        self._send(pickle.dumps(self._deaths > 0))


def start_process(pipe: Connection, environment: Mapping[str, str], debug: bool) -> subprocess.Popen:
    """A process that serves what comes through its end of a pipe, in a session of its own."""
    program = _PROGRAM.format(path=sys.path, fd=pipe.fileno(), debug=debug)
    quiet = {} if debug else {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(
        [sys.executable, "-c", program, "pixelbrain-worker"], pass_fds=[pipe.fileno()],
        env=environment, stdin=subprocess.DEVNULL, start_new_session=True, **quiet,
    )  # fmt: skip

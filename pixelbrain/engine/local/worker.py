"""A worker in a process of its own: as its parent sees it, and that process."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import pyarrow as pa

from pixelbrain.engine.work.fused import CALLS
from pixelbrain.errors import EngineError, PixelbrainError

#: A process that dies so often over the same blocks is not killed by an image: these are tried alone after two deaths.
_DEATHS = 5

_PROGRAM = "import sys; sys.path[:] = {path!r}; from pixelbrain.engine.local.worker import serve; serve({fd}, {debug})"


@dataclass(kw_only=True)
class Worker:
    """Has blocks worked off, `fused.CALLS` at a time, and starts again where the process dies of one.

    Not by `multiprocessing`, whose child runs a user's script again, guarded or not. The process has a session of its
    own, so that a terminal's Ctrl-C asks only its parent, which asks it to land what is in hand.
    """

    make: bytes  # a function of `wary`, pickled: what works there, see `work.fused.ImageWorker`
    environment: Mapping[str, str]  # of the process, all of it
    debug: bool  # show what it says
    pipe: Connection | None = field(default=None, init=False)
    _process: subprocess.Popen | None = field(default=None, init=False)
    _in_hand: dict[int, bytes] = field(default_factory=dict, init=False)  # by their order: blocks
    _taken: int = field(default=0, init=False)
    _deaths: int = field(default=0, init=False)  # over these, since one was done

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
            self._process = start_process(theirs, self.environment, self.debug)
        self._send(self.make)
        self._send(pickle.dumps(self._deaths > 0))


def start_process(pipe: Connection, environment: Mapping[str, str], debug: bool) -> subprocess.Popen:
    """A process that serves what comes through its end of a pipe, in a session of its own."""
    program = _PROGRAM.format(path=sys.path, fd=pipe.fileno(), debug=debug)
    quiet = {} if debug else {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(
        [sys.executable, "-c", program, "pixelbrain-worker"], pass_fds=[pipe.fileno()],
        env=environment, stdin=subprocess.DEVNULL, start_new_session=True, **quiet,
    )  # fmt: skip


def serve(descriptor: int, debug: bool) -> None:
    """Make what the first two messages say, and call it with the block of each of the others, two at a time.

    What goes back is (the block's number, summary, None), or (None, None, why) where an error was raised; the parent
    ends the process then.
    """
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s %(message)s")
    pipe = Connection(descriptor)
    received: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    sending = threading.Lock()
    threading.Thread(target=_receive, args=(pipe, received), name="pixelbrain-pipe", daemon=True).start()

    def answer(number: int | None, summary: Any, why: str | None) -> None:
        with sending:
            pipe.send((number, summary, why))

    def work(worker: Callable[[Any], Any] | None = None) -> None:
        try:
            if worker is None:
                worker = pickle.loads(received.get())(wary=pickle.loads(received.get()))
                for _ in range(CALLS - 1):
                    threading.Thread(target=work, args=(worker,), name="pixelbrain-work", daemon=True).start()
            while True:
                number, block = pickle.loads(received.get())
                answer(number, worker(block), None)
        except BaseException as error:  # whatever it is, somebody waits for the answer
            traceback.print_exc()
            answer(None, None, _reason(error))
            threading.Event().wait()  # for the end, which comes through the pipe

    work()


def _receive(pipe: Connection, received: queue.SimpleQueue[Any]) -> None:
    """All that comes; and where the parent is gone or wants no more, the end of this session, whatever is in hand."""
    try:
        while True:
            received.put(pipe.recv_bytes())
    except (EOFError, OSError):
        os.killpg(0, signal.SIGKILL)


def _reason(error: BaseException) -> str:
    """In a line: ours as it is."""
    if isinstance(error, PixelbrainError):
        return str(error)
    said = " ".join(str(error).split())
    return f"the workers failed: {type(error).__name__}: {said} (--debug shows all of it)"

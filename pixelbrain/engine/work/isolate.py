"""Images that kill their process: each goes through a process of its own, until the one that does it is known.

A decoder's segfault or the kernel's out-of-memory killer takes a whole worker with it. The executor, Ray or our own,
starts the worker again and hands it the same block; after the second death the block's images pass one by one through a
child process. The one that the child dies on becomes a failed row, and a fresh child does the rest.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any

import cloudpickle
import pyarrow as pa

from pixelbrain import schema
from pixelbrain.engine.work.run_notes import RunNotes
from pixelbrain.errors import EngineError

logger = logging.getLogger(__name__)

#: How a child starts: with nothing of this process, whose threads may hold locks.
CONTEXT: BaseContext = multiprocessing.get_context("spawn")
#: Deaths over one piece of work after which each of its images goes through a process of its own.
_DEATHS = 2
_LONGEST_S = 600.0  # on one image, with the models' loading: a child that hangs is ended like one that died
_CRASH = "WorkerCrashError"


class Suspicion:
    """Which work may kill: what workers had in hand when they died, if this `wary` one takes the place of one.

    `make` makes what has a `process`, such as an `ImageWorker`, in a process of its own.
    """

    def __init__(self, notes: RunNotes, make: Callable[[], Any], *, wary: bool) -> None:
        self._notes = notes
        self._make: bytes | None = None
        if wary:
            # before any model is loaded, by value what a script defines, so that a user's own arrive in the child, too
            self._make = cloudpickle.dumps(make)

    def begin(self, work: str, modules: Sequence[str], *, deaths: int = _DEATHS) -> Isolation | None:
        """Note that this work is in hand; where it has killed so many workers, what it is to be done in."""
        self._notes.begin(work)
        if self._make is None or self._notes.deaths_over(work) < deaths:
            return None
        return Isolation(self._make, modules)


class Isolation:
    """Has images worked on one by one in a child process, and survives it; `worker` is the `make` of a `Suspicion`."""

    def __init__(self, worker: bytes, modules: Sequence[str]) -> None:
        self._worker = worker
        self._modules = list(modules)
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def rows(self, entries: Sequence[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], pa.Table | None, str]]:
        """Each entry with its finished row, or with None and why; `EngineError`: the child cannot even be started."""
        try:
            for entry in entries:
                table, why = self._one(entry)
                if table is None:
                    logger.warning("%s killed the process that worked on it: %s", entry["image_id"], why)
                yield entry, table, why
        finally:
            self._end()

    def _one(self, entry: dict[str, Any]) -> tuple[pa.Table | None, str]:
        if self._process is None:
            self._start()
        assert self._pipe is not None and self._process is not None
        try:
            self._pipe.send(entry)
            if not self._pipe.poll(_LONGEST_S):
                self._end()
                return None, f"it was not done after {_LONGEST_S:g} s"
            return self._pipe.recv(), ""
        except (EOFError, OSError):  # the child is gone
            return None, self._died()

    def _start(self) -> None:
        self._pipe, theirs = CONTEXT.Pipe()
        arguments = theirs, self._worker, self._modules, list(sys.path)
        self._process = CONTEXT.Process(target=serve, args=arguments, name="pixelbrain-isolated", daemon=True)
        self._process.start()
        theirs.close()
        try:
            ready = self._pipe.poll(_LONGEST_S) and self._pipe.recv()
        except (EOFError, OSError):
            ready = False
        if not ready:  # no image's fault
            raise EngineError(f"the models cannot be loaded into a process of their own: {self._died()}")

    def _died(self) -> str:
        """How the child ended by itself."""
        assert self._process is not None
        self._process.join(10)
        code = self._process.exitcode
        self._end()
        if code is None or code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
        return f"{name}, out of memory perhaps" if name == "SIGKILL" else name

    def _end(self) -> None:
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if pipe is not None:
            pipe.close()
        if process is not None:
            process.kill()
            process.join(10)


def serve(pipe: Connection, worker: bytes, modules: list[str], path: list[str]) -> None:
    """The child: finished rows of the entries that come through the pipe, until it closes."""
    sys.path[:] = path  # a user's module is found where the worker found it
    made = cloudpickle.loads(worker)()
    made.process([], modules)
    pipe.send(True)  # ready
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(made.process([pipe.recv()], modules))


def failed_rows(entry: dict[str, Any], why: str) -> pa.Table:
    """The row of an image that nothing survives, with its base columns."""
    listed = {name: entry[name] for name in schema.MANIFEST_SCHEMA.names}
    row = {**listed, "status": schema.Status.FAILED.value, **crash(why)}
    return pa.Table.from_pylist([row], pa.schema(schema.BASE_FIELDS))


def crash(why: str) -> dict[str, str]:
    """The error of an image that nothing survives, for its row or a module's column."""
    return {"error_type": _CRASH, "error": f"the process that worked on it died three times: {why}"}

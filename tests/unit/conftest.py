"""Other processes: one that is at work on OUT, and those of a run, forked from one that has imported what they need."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.integration.forked import CONTEXT, ForkedWorker
from tests.unit.landed_out import landed, loads, taken  # noqa: F401  (fixtures)


def _hold(out: str, pipe: Connection) -> None:
    """In the other process: have the lock as long as the pipe is open."""
    from pixelbrain.locks.run import RunLock
    from pixelbrain.storage.open import open_storage

    with RunLock(open_storage(out), what="extract"):
        pipe.send("held")
        with contextlib.suppress(EOFError):
            pipe.recv()


@pytest.fixture
def another_run() -> Callable[[Path], contextlib.AbstractContextManager[BaseProcess]]:
    """Holds the lock of an OUT in a process of its own; at the end, that process gives it back."""

    @contextlib.contextmanager
    def run(out: Path) -> Iterator[BaseProcess]:
        ours, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=_hold, args=(str(out), theirs))
        process.start()
        theirs.close()
        try:
            assert ours.recv() == "held"
            yield process
        finally:
            ours.close()
            process.join(30)

    return run


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of a local run, and processes for one image alone, start at once: what a user has takes a second each.

    That is tried in test_executor.py, in test_isolate.py and by the integration tests.
    """
    monkeypatch.setattr("pixelbrain.engine.local.worker.start_process", ForkedWorker)
    monkeypatch.setattr("pixelbrain.engine.work.isolate.CONTEXT", CONTEXT)

"""A process that loads, to be watched, refused or killed: forked from one that has imported everything."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from pixelbrain.stages.display import Display
from pixelbrain.storage.base import Storage
from tests.integration.forked import CONTEXT

BATCH_ROWS = 200  # more moments to be killed at


@dataclass(frozen=True)
class Loading:
    """`pixelbrain load` in a process of its own."""

    process: BaseProcess
    pipe: Connection

    def go_on(self) -> None:
        """Let one that was held do the rest."""
        self.pipe.send("go on")

    def kill(self) -> None:
        """SIGKILL, wherever it is."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def outcome(self) -> str:
        """The error that it ended with; empty when all was loaded."""
        with self.pipe:
            said = self.pipe.recv()
            while isinstance(said, int):
                said = self.pipe.recv()
        self.process.join()
        return said


def start_loading(
    out: str | Path, mongo: str | None, chroma: str | None = None, *, until: int = BATCH_ROWS, hold: bool = False
) -> Loading:
    """A process that loads OUT; returns once `until` rows are written, or it has ended; 0: at once.

    With `hold` it goes no further until `go_on` is called.
    """
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_load, args=(str(out), mongo, chroma, there, until, hold))
    process.start()
    there.close()
    if until:
        here.poll(None)
    return Loading(process, here)


class _Told(Display):
    """A display that tells by pipe how far the load is."""

    def __init__(self, pipe: Connection, until: int, hold: bool) -> None:
        super().__init__(quiet=True)
        self._pipe, self._until, self._hold = pipe, until, hold

    @contextlib.contextmanager
    def stage(self, name: str, unit: str = "images") -> Iterator[Callable[..., None]]:
        def tell(done: int, _total: int, _failed: int = 0) -> None:
            if done == self._until:
                self._pipe.send(done)
                if self._hold:
                    self._pipe.recv()

        yield tell


def _load(out: str, mongo: str | None, chroma: str | None, pipe: Connection, until: int, hold: bool) -> None:
    from pixelbrain.config import RunConfig
    from pixelbrain.errors import PixelbrainError
    from pixelbrain.stages.stages import Stages
    from pixelbrain.stores import load

    _get_ready()
    load.BATCH_ROWS = BATCH_ROWS
    stages = Stages(RunConfig(out=out, mongo=mongo, chroma=chroma), _Told(pipe, until, hold))
    try:
        with stages.database() as database:
            stages.load(database)
    except PixelbrainError as error:
        pipe.send(str(error))
    else:
        pipe.send("")


def fill_stores(environment: dict[str, str], storage: Storage, *, mongo: str | None, chroma: str | None) -> None:
    """What `stages.load_apart` does in its process."""
    from pixelbrain.stages.load_apart import fill

    os.environ.update(environment)
    _get_ready()
    fill(storage, mongo, chroma)


def _get_ready() -> None:
    from pixelbrain.machine import spare_pandas
    from pixelbrain.stores.chroma import health_process

    spare_pandas()  # as commands do
    # what looks at a folder takes seconds to start in a new process, and is tested elsewhere
    health_process.warm_up = lambda: None
    health_process.examine_folder = lambda _folder, _samples: {}

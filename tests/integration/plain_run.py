"""The engine's work without Ray, in one process that starts at once: a kill meets the same listing, worker and landing
there as in an actor."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pixelbrain.engine.work.fused import ImageWorker
from pixelbrain.engine.work.run_notes import RunNotes
from pixelbrain.engine.work.worklist import Worklist, WorkOrder, blocks
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState, claim_generation
from pixelbrain.locks.run import RunLock
from tests.integration.forked import CONTEXT


class PlainRun:
    """The process that does what is left of a `watched.World`, to be talked to as one of `subprocess`."""

    def __init__(self, folder: Path) -> None:
        self._said = folder / "said"
        self._process = CONTEXT.Process(target=_run, args=(folder, self._said))
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    poll = returncode.fget

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float) -> int | None:
        self._process.join(timeout)
        assert self.returncode is not None, f"it did not end in {timeout} s"
        return self.returncode

    def communicate(self, timeout: float = 60) -> tuple[None, str]:
        """Wait; what it said on stderr."""
        self.wait(timeout)
        return None, self._said.read_text()


def _run(folder: Path, said: Path) -> None:
    with said.open("wb") as file:
        os.dup2(file.fileno(), 2)
    sys.path.insert(0, str(folder))
    from watched import Watched  # the one in the folder

    state = ModuleState(settings={}, model=None)
    landing = Landing(folder / "out")
    with RunLock(landing.storage, what="extract"):
        RunNotes(landing.storage).clear()
        generation = claim_generation(landing.storage)
        order = WorkOrder(storage=landing.storage, generation=generation, states={"watched": state})
        worker = ImageWorker([Watched()], order)
        left = Worklist(
            loader=DataLoader(str(folder / "photos")),
            storage=landing.storage,
            settings_hashes={"watched": state.settings_hash},
            generation=generation,
        )
        for block in blocks(left, 12):
            worker(block)

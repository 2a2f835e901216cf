"""The engine's work without Ray, in one process that starts in a second: python -m tests.integration.plain_run FOLDER.

A kill meets the same listing, worker and landing there as in an actor.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pixelbrain.engine.work.fused import ImageWorker
from pixelbrain.engine.work.run_notes import RunNotes
from pixelbrain.engine.work.worklist import Worklist, WorkOrder, blocks
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState, claim_generation
from pixelbrain.locks.run import RunLock


def main(folder: Path) -> None:
    """Do what is left of a `watched.World`."""
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))

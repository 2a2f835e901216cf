"""The engine's work without Ray, in one process that starts in a second: python -m tests.integration.plain_run FOLDER.

A kill meets the same listing, worker and landing there as in an actor.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pixelbrain.engine.notes import RunNotes
from pixelbrain.engine.rows import WorkOrder
from pixelbrain.engine.worker import ImageWorker
from pixelbrain.engine.worklist import Worklist, blocks
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.generations import claim_generation
from pixelbrain.landing.parquet import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.landing.run_lock import RunLock


def main(folder: Path) -> None:
    """Do what is left of a `watched.World`."""
    sys.path.insert(0, str(folder))
    from watched import Watched  # the one in the folder

    state = ModuleState(settings={}, model=None)
    landing = Landing(folder / "out")
    with RunLock(landing.place, what="extract"):
        RunNotes(landing.place).clear()
        generation = claim_generation(landing.place)
        order = WorkOrder(place=landing.place, generation=generation, states={"watched": state})
        worker = ImageWorker([Watched()], order)
        left = Worklist(
            loader=DataLoader(str(folder / "photos")),
            place=landing.place,
            settings_hashes={"watched": state.settings_hash},
            generation=generation,
        )
        for block in blocks(left, 12):
            worker(block)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

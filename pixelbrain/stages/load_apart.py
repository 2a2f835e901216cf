"""Fill both stores in a process that never held what was erased.

ChromaDB's index writes memory into its files that nobody cleared: in a process that has read vectors, pieces of these.
`python -m pixelbrain.stages.load_apart` is that process; it reads a pickled request, and says what went wrong.
"""

from __future__ import annotations

import pickle
import subprocess
import sys

from pixelbrain.errors import PixelbrainError, StoreError
from pixelbrain.landing.landing import Landing
from pixelbrain.machine import spare_pandas
from pixelbrain.storage.base import Storage


def load_apart(landing: Landing, *, mongo: str | None, chroma: str | None) -> None:
    """Load, as `stores.load.load` does where nothing need have landed. Nobody else has the stores open.

    Args:
        landing: whose lock the caller has, for both.
        mongo, chroma: as of `Database.open`.

    Raises:
        StoreError: it failed, for whatever reason; the same call goes on.
    """
    program = [sys.executable, "-m", "pixelbrain.stages.load_apart"]
    done = subprocess.run(program, input=pickle.dumps((landing.storage, mongo, chroma)), capture_output=True)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise StoreError(said or f"the process that fills the stores ended with {done.returncode}")


def fill(storage: Storage, mongo: str | None, chroma: str | None) -> None:
    """What that process does.

    Raises:
        PixelbrainError: it failed.
    """
    from pixelbrain.stores.database import Database
    from pixelbrain.stores.load import load_unlocked

    landing = Landing(storage)
    with Database(landing, mongo=mongo, chroma=chroma) as database:
        load_unlocked(landing, database)


if __name__ == "__main__":
    spare_pandas()
    try:
        fill(*pickle.load(sys.stdin.buffer))
    except PixelbrainError as error:
        sys.exit(str(error))

"""A process that loads, to be killed: forked from one that has imported everything, so that rounds are quick."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pixelbrain.stores.load", "pixelbrain.stores.load_vectors", __name__])


def start_loading(out: str, mongo: str | None) -> BaseProcess:
    """A process that loads OUT; returns once its first batch is written, or it has ended."""
    reading, writing = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_load, args=(out, mongo, writing))
    process.start()
    writing.close()
    with reading:
        try:
            reading.recv()
        except EOFError:  # it had nothing to load, or failed
            process.join()
    return process


def _load(out: str, mongo: str | None, told: Connection) -> None:
    from pixelbrain.landing.parquet import Landing
    from pixelbrain.stores import fresh, load
    from pixelbrain.stores.database import Database

    # what looks at the folder takes seconds to start in a new process, and is tested elsewhere
    fresh.warm_up = lambda: None
    fresh.look = lambda _folder, _samples: {}
    load.BATCH_ROWS = 200  # more moments to be killed at
    with Database.open(out, mongo=mongo) as database:
        load.load(Landing(out), database, progress=lambda done, _total: told.send(done) if done <= 200 else None)

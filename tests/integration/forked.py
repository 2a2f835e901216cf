"""Processes of their own that start at once: forked from one that has imported what they need."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection

#: One for all tests of a process: Python has one server, which preloads what was said before it started.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "pytest",
        "pixelbrain.engine.local.worker",
        "pixelbrain.stages.stages",
        "pixelbrain.stores.load",
        "pixelbrain.stores.chroma.collections",
        "chromadb.api.rust",
        "tests.integration.stores.loader",
        "tests.integration.plain_run",
        "tests.integration.asking.batch_world",
    ]
)


class ForkedWorker:
    """The process of a local run's worker, as `engine.local.worker.start_process` has it."""

    def __init__(self, pipe: Connection, environment: Mapping[str, str], debug: bool) -> None:
        around = (dict(environment), sys.path, os.getcwd())
        process = CONTEXT.Process(target=_serve, args=(pipe, debug, *around))
        process.start()
        self.pid, self.wait = process.pid, process.join
        with contextlib.suppress(ProcessLookupError):
            while os.getpgid(self.pid) != self.pid:  # whoever ends it, ends its session
                time.sleep(0.001)


def _serve(pipe: Connection, debug: bool, environment: dict[str, str], path: list[str], folder: str) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = path
    os.chdir(folder)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0,) if debug else (0, 1, 2):
        os.dup2(nowhere, standard)
    from pixelbrain.engine.local.worker import serve

    serve(pipe.fileno(), debug)

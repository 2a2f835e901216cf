"""Processes of their own that start at once: forked from one that has imported what they need."""

from __future__ import annotations

import multiprocessing

#: One for all tests of a process: Python has one server, which preloads what was said before it started.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "pixelbrain.stages.stages",
        "pixelbrain.stores.load",
        "pixelbrain.stores.chroma.collections",
        "tests.integration.stores.loader",
        "tests.integration.plain_run",
    ]
)

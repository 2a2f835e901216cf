"""Another process that is at work on OUT."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.landed_out import landed, loads, taken  # noqa: F401  (fixtures)

_PROGRAM = """
import sys
from pixelbrain.storage.open import open_storage
from pixelbrain.locks.run import RunLock

with RunLock(open_storage(sys.argv[1]), what="extract"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def another_run() -> Callable[[Path], contextlib.AbstractContextManager[subprocess.Popen]]:
    """Holds the lock of an OUT in a process of its own; at the end, that process gives it back."""

    @contextlib.contextmanager
    def run(out: Path) -> Iterator[subprocess.Popen]:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None and process.stdout.readline() == "held\n"
            yield process
        finally:
            process.communicate(timeout=30)

    return run

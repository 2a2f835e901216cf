"""Compacting is killed twenty times at random moments: every image is there exactly once, with equal values."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixelbrain.landing import compact
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import claim_generation
from tests.unit.landing.histories import History, read_all

ROOT = Path(__file__).parent.parent.parent
KILLS = 20
SMALL = {"TARGET_ROWS": 12, "_SMALL_ROWS": 6}  # as if there were millions of rows

#: Whoever is killed must start at once, and not import for a second: each line is answered with a fresh process.
PROGRAM = f"""
import os
import signal
import sys

import pyarrow

from pixelbrain.landing import compact
from pixelbrain.landing.landing import Landing

pyarrow.array([1])  # imports pandas
vars(compact).update({SMALL!r})
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for out in sys.stdin:
    pid = os.fork()
    while pid == 0 and os.getppid() != 1:  # not on and on when the tests were killed
        compact.compact(Landing(out.strip()))
    print(pid, flush=True)
"""


@pytest.fixture
def starter() -> Iterator[subprocess.Popen]:
    """Starts processes that compact for ever; one for each line that it reads."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    yield process
    process.communicate(timeout=30)


def start(starter: subprocess.Popen, out: Path) -> int:
    assert starter.stdin is not None and starter.stdout is not None
    starter.stdin.write(f"{out}\n")
    starter.stdin.flush()
    return int(starter.stdout.readline())


def kill(pid: int) -> None:
    """Kill a process that must be alive, and see it end."""
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            time.sleep(0.001)


def wait_for_a_change(landing: Landing, files: set[str]) -> None:
    """Until the first new file is there."""
    give_up_at = time.monotonic() + 60
    while set(landing.storage.names("images")) == files:
        assert time.monotonic() < give_up_at
        time.sleep(0.001)


def test_killed_at_any_moment_it_loses_and_doubles_nothing(tmp_path, monkeypatch, starter):
    for name, value in SMALL.items():
        monkeypatch.setattr(compact, name, value)
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    landing = Landing(tmp_path)
    history = History(landing, rng, images=80, runs=2, back=False)
    for _ in range(KILLS):
        history.add_run(claim_generation(landing.storage), rng)
        expected = history.expected()
        files = set(landing.storage.names("images"))
        pid = start(starter, tmp_path)
        if rng.random() < 0.8:  # most of the others meet it while it reads
            wait_for_a_change(landing, files)
        time.sleep(rng.uniform(0, 0.1))
        kill(pid)
        left = set(landing.storage.names("images"))
        print(f"{len(left - files)} files written, {len(files - left)} of {len(files)} removed")
        assert read_all(landing) == expected
    report = compact.compact(landing)
    assert read_all(landing) == expected and report.rows == len(expected)
    assert sum(part.rows for part in landing.parts) == report.rows

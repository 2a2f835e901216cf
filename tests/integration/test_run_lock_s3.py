"""One run at a time on one OUT in S3; a killed one stands in nobody's way; and compacting works there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pixelbrain.errors import OutLockedError
from pixelbrain.landing.compact import compact
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.remaining import Remaining, prune
from pixelbrain.locks.run import RunLock
from pixelbrain.storage.open import open_storage
from tests.unit.landing.histories import Row, land, manifest, read_all, state

_PROGRAM = """
import sys
import time
from pixelbrain.storage.open import open_storage
from pixelbrain.locks.run import RunLock

with RunLock(open_storage(sys.argv[1], s3_endpoint=sys.argv[2]), what="extract", beat_s=0.3, stale_s=2) as lock:
    print("held", flush=True)
    sys.stdin.readline()
    give_up_at = time.monotonic() + 30
    while not lock.lost and time.monotonic() < give_up_at:
        time.sleep(0.01)
    print(lock.lost, flush=True)
"""


@pytest.fixture
def out(s3: Any) -> tuple[str, str]:
    """An OUT in a bucket of its own, and the server."""
    s3.create_bucket(Bucket="locked")
    return "s3://locked/some/out", s3.meta.endpoint_url


def start(out: tuple[str, str]) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *out], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_one_run_at_a_time(out):
    storage = open_storage(out[0], s3_endpoint=out[1])
    first = start(out)
    with pytest.raises(OutLockedError, match=f"s3://locked/some/out is in use by process {first.pid} on "):
        RunLock(storage, what="load").acquire()
    first.kill()
    first.wait()
    with RunLock(storage, what="load"), RunLock(storage, what="report"):  # at once: its process is known to be dead
        assert len(storage.names("lock")) == 1
    assert storage.names("lock") == []

    # one that is stopped, on a machine that cannot be looked into, is overtaken, and learns it when it goes on
    sleeper = start(out)
    (name,) = storage.names("lock")
    claim = storage.read(f"lock/{name}") or b""
    os.kill(sleeper.pid, signal.SIGSTOP)
    storage.write(f"lock/{name}", claim.replace(b'"machine": "', b'"machine": "another '))
    time.sleep(2.1)
    with RunLock(storage, what="load", beat_s=0.3, stale_s=2) as lock:
        os.kill(sleeper.pid, signal.SIGCONT)
        assert sleeper.communicate("\n", timeout=30)[0] == "True\n"
        assert not lock.lost


def test_prune_resume_and_compact_in_s3(s3):
    s3.create_bucket(Bucket="compacted")
    landing = Landing("s3://compacted/out", s3_endpoint=s3.meta.endpoint_url)
    names = [f"s3://photos/{number:02d}.jpg" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        values = {"size": 1, "colour": 2}
        for block in range(10):
            rows = [Row(image_id=name, values=values) for name in names[block * 4 : block * 4 + 4]]
            pool.submit(land, landing, rows, 1, {"size": 1, "colour": 1}, block=block)
    assert len(landing.parts) == 10
    remaining = Remaining(landing, {"size": state("size").settings_hash})
    assert remaining.split(manifest([(name, "1") for name in names[5:]])) == {}
    gone = remaining.gone(lambda name: name != names[0])
    assert sorted(gone["image_id"].to_pylist()) == names[1:5]
    prune(landing, gone)
    expected = read_all(landing)
    assert sorted(expected) == [names[0], *names[5:]]
    report = compact(landing)
    assert (report.files_before, report.files_after, report.rows) == (11, 1, 36)
    assert read_all(landing) == expected and len(landing.storage.names("images")) == 1

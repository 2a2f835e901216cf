"""One run at a time on one OUT, and none that died stands in the way."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pixelbrain.errors import LandingError, OutLockedError
from pixelbrain.locks.run import RunLock
from pixelbrain.storage.open import open_storage


def test_a_second_run_is_told_of_the_first(tmp_path, another_run):
    with another_run(tmp_path) as first:
        with pytest.raises(OutLockedError) as refused:
            RunLock(open_storage(tmp_path), what="load").acquire()
        assert f"{tmp_path} is in use by process {first.pid} on {os.uname().nodename}" in str(refused.value)
        assert re.search(r"\(pixelbrain extract, since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\)", str(refused.value))
        assert "\n" not in str(refused.value)
    with RunLock(open_storage(tmp_path), what="load") as lock:
        assert not lock.lost


def refused(out: Path) -> str:
    """The message with which a process of its own is refused."""
    program = (
        "import sys; from pixelbrain.storage.open import open_storage; from pixelbrain.locks.run import RunLock; "
        "RunLock(open_storage(sys.argv[1]), what='load').acquire()"
    )
    done = subprocess.run([sys.executable, "-c", program, str(out)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    return done.stderr


def test_a_killed_run_stands_in_nobodys_way(tmp_path, another_run):
    with another_run(tmp_path) as first:
        first.kill()
        first.join()
        with RunLock(open_storage(tmp_path), what="extract"):
            assert f"in use by process {os.getpid()} on" in refused(tmp_path)


def test_holders_in_one_process_share_it(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    outer, inner = RunLock(open_storage(tmp_path), what="run"), RunLock(open_storage(tmp_path), what="extract")
    with outer, ThreadPoolExecutor(1) as pool:
        with inner, RunLock(open_storage(tmp_path / "link"), what="load"):
            pass
        in_thread = RunLock(open_storage(tmp_path), what="report")
        pool.submit(in_thread.acquire).result()
        assert outer.holders() == 2
        outer.release()
        assert "in use by" in refused(tmp_path)
        in_thread.release()
    with inner, inner:
        pass
    inner.release()  # not held any more: nothing happens
    assert not (tmp_path / "run.owner").exists()


def test_out_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LandingError, match="cannot lock .*file/out"):
        RunLock(open_storage(tmp_path / "file" / "out"), what="extract").acquire()

"""A process that may die of an image, and one that cannot even be started."""

from __future__ import annotations

import os
import signal

import pyarrow as pa
import pytest
from ray import cloudpickle

from pixelbrain.engine.work import isolate
from pixelbrain.engine.work.isolate import Isolation, failed_row
from pixelbrain.errors import EngineError

ENTRIES = [{"image_id": name, "version": "1", "size_bytes": 3} for name in ("good", "deadly", "slow", "last")]


def worker(*, starts: bool = True) -> bytes:
    """One that dies of an entry's name; by value, as the child has none of our files."""

    class Worker:
        def process(self, entries, names):
            import time

            if not entries and not starts:
                os._exit(3)
            for entry in entries:
                if entry["image_id"] == "deadly":
                    os.kill(os.getpid(), signal.SIGKILL)
                if entry["image_id"] == "slow":
                    time.sleep(60)
            return pa.table({"image_id": [entry["image_id"] for entry in entries]})

    return cloudpickle.dumps(Worker)


def test_the_rest_is_done_by_another_process(monkeypatch):
    isolation = Isolation(worker(), ["size"])
    rows = isolation.rows(ENTRIES)
    (entry, table, why) = next(rows)
    assert entry is ENTRIES[0] and table["image_id"].to_pylist() == ["good"] and why == ""
    first = isolation._process
    assert next(rows)[1:] == (None, "SIGKILL, out of memory perhaps")
    isolation._start()
    monkeypatch.setattr(isolate, "_LONGEST_S", 0.3)
    assert next(rows)[1:] == (None, "it was not done after 0.3 s")
    monkeypatch.undo()
    assert next(rows)[1]["image_id"].to_pylist() == ["last"]
    assert isolation._process is not first
    assert next(rows, None) is None and isolation._process is None


def test_models_that_cannot_be_loaded_are_no_images_fault():
    with pytest.raises(EngineError, match="cannot be loaded into a process of their own: exit code 3"):
        next(Isolation(worker(starts=False), ["size"]).rows(ENTRIES))


def test_a_row_of_what_nothing_survives():
    row = failed_row({**ENTRIES[1], "more": 1}, "SIGSEGV")
    assert row == {
        **ENTRIES[1],
        "status": "failed",
        "error_type": "WorkerCrashError",
        "error": "the process that worked on it died three times: SIGSEGV",
    }

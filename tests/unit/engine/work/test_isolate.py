"""A process that may die of an image, and one that cannot even be started."""

from __future__ import annotations

import os
import signal

import pyarrow as pa
import pytest
from ray import cloudpickle

from pixelbrain.engine.work import isolate
from pixelbrain.engine.work.isolate import Isolation, Suspicion, failed_rows
from pixelbrain.engine.work.run_notes import RunNotes
from pixelbrain.errors import EngineError
from pixelbrain.storage.open import open_storage

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


@pytest.mark.usefixtures("forked")
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


def test_work_is_isolated_where_it_killed_two_workers_and_this_one_is_wary(tmp_path):
    storage = open_storage(tmp_path / "out")
    RunNotes(storage).begin("3")
    assert Suspicion(RunNotes(storage), dict, wary=True).begin("3", []) is None  # and dies of it, too
    assert Suspicion(RunNotes(storage), dict, wary=False).begin("3", []) is None
    isolation = Suspicion(RunNotes(storage), dict, wary=True).begin("3", ["size"])
    assert isolation is not None and cloudpickle.loads(isolation._worker) is dict
    assert Suspicion(RunNotes(storage), dict, wary=True).begin("9", [], deaths=1) is None


def test_a_row_of_what_nothing_survives():
    (row,) = failed_rows({**ENTRIES[1], "more": 1}, "SIGSEGV").to_pylist()
    assert {name: value for name, value in row.items() if value is not None} == {
        **ENTRIES[1],
        "status": "failed",
        "error_type": "WorkerCrashError",
        "error": "the process that worked on it died three times: SIGSEGV",
    }

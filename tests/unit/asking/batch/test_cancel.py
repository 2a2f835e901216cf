"""Cancelling: what was finished is kept, and another process' journal is left alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pixelbrain.asking.batch import cancel as lane
from pixelbrain.asking.batch.store import BatchStore
from pixelbrain.locks.run import RunLock
from pixelbrain.storage.open import open_storage
from tests.unit.asking.batch.fake_api import FakeApi, FakeMemory
from tests.unit.asking.batch.test_store import ROW, folder, make_batch


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    made = FakeApi()
    monkeypatch.setattr(lane, "BatchApi", lambda _client: made)
    return made


def running_batch(out: Path, api: FakeApi) -> None:
    store = BatchStore(open_storage(out))
    state = make_batch(store, ROW)
    api.files["f"] = [{"custom_id": ROW.custom_id}]
    state.batch_id, state.stage, state.status = api.create("f", state.id).id, "running", "in_progress"
    store.save(state)


def cancel(out: Path, memory: FakeMemory) -> lane.CancelReport:
    @contextlib.contextmanager
    def opened() -> Iterator[Any]:
        memory.events.append("opened")
        yield memory

    return lane.cancel_batches(open_storage(out), None, opened, poll_s=0.001)  # type: ignore[arg-type]


def test_what_was_finished_is_kept(tmp_path: Path, api: FakeApi) -> None:
    running_batch(tmp_path, api)
    memory = FakeMemory()
    report = cancel(tmp_path, memory)
    assert (report.cancelled, report.ended, report.pending, report.handed_over) == (1, 0, 0, False)
    assert report.answers == {"ok": 1} and [record["answer"] for record in memory.records] == ["day"]
    assert BatchStore(open_storage(tmp_path)).active() == []


@pytest.mark.parametrize("in_this_process", [False, True])
def test_beside_a_run_that_waits_it_leaves_a_note_and_opens_no_journal(
    in_this_process: bool, tmp_path: Path, api: FakeApi, another_run: Any
) -> None:
    running_batch(tmp_path, api)
    memory = FakeMemory()
    waits = RunLock(open_storage(tmp_path), what="ask --batch") if in_this_process else another_run(tmp_path)
    with waits:
        report = cancel(tmp_path, memory)
    assert report.handed_over and report.cancelled == len(api.cancelled) == 1
    assert memory.events == [] and BatchStore(open_storage(tmp_path)).cancel_wanted
    assert len(BatchStore(open_storage(tmp_path)).active()) == 1  # for the other to collect


def test_nothing_to_cancel_leaves_no_trace(tmp_path: Path, api: FakeApi) -> None:
    assert cancel(tmp_path, FakeMemory()).cancelled == 0
    assert not folder(tmp_path).exists()

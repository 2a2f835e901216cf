"""What the driver and the workers of a run tell each other."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pixelbrain.engine.work import run_notes
from pixelbrain.engine.work.run_notes import Listing, RunNotes
from pixelbrain.landing.parts import claim_generation
from pixelbrain.storage.open import open_storage


@pytest.fixture
def storage(tmp_path):
    return open_storage(tmp_path / "out")


def test_what_an_earlier_run_left_is_cleared_and_what_others_noted_stays(storage):
    notes = RunNotes(storage)
    generation = claim_generation(storage)
    notes.request_stop()
    notes.begin("3")
    storage.write("work/identified.json", b"{}")  # not a run's: without it, the next identify links all faces again
    notes.clear()
    assert storage.names("work") == ["generation", "identified.json"]
    later = RunNotes(storage)
    assert not later.stop_requested() and later.deaths_over("3") == 0
    assert claim_generation(storage) == generation + 1


def test_a_stop_reaches_all_workers_within_a_second(storage, monkeypatch):
    workers = [RunNotes(storage) for _ in range(2)]
    assert not any(worker.stop_requested() for worker in workers)
    RunNotes(storage).request_stop()
    assert not any(worker.stop_requested() for worker in workers)  # on S3 a look costs a request
    monkeypatch.setattr(run_notes, "_LOOK_EVERY_S", 0.0)
    assert all(worker.stop_requested() for worker in workers)


def test_who_died_with_work_in_hand(storage):
    for _ in range(2):
        RunNotes(storage).begin("3")
    RunNotes(storage).begin("4")
    done = RunNotes(storage)
    done.begin("3")
    done.end()
    now = RunNotes(storage)
    now.begin("3")
    assert (now.deaths_over("3"), now.deaths_over("4"), now.deaths_over("5")) == (2, 1, 0)


def test_how_far_the_listing_is(storage):
    notes = RunNotes(storage)
    assert notes.read_listing() == Listing() and notes.read_gone() is None
    gone = pa.table({"image_id": ["file:///a.jpg"], "version": ["1"]})
    notes.write_listing(Listing(listed=3, pending=2, complete=True), gone)
    other = RunNotes(storage)
    assert other.read_listing() == Listing(listed=3, pending=2, complete=True)
    assert other.read_gone() == gone
    notes.write_listing(Listing(complete=True), gone.slice(0, 0))
    assert other.read_gone() == gone  # none is no file

"""What ends a run early, and what a run does about nodes that were lost; no Ray runs for it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from pixelbrain.config import Placement
from pixelbrain.engine.executor import Job
from pixelbrain.engine.passes import Passes
from pixelbrain.engine.progress import Progress
from pixelbrain.engine.work.fused import ImageWorker
from pixelbrain.engine.work.run_notes import RunNotes
from pixelbrain.engine.work.worklist import Worklist, WorkOrder, blocks
from pixelbrain.errors import EngineError, OutLockedError
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState, claim_generation
from tests.unit.engine.modules_for_tests import Size

STATES = {"size": ModuleState(settings={}, model=None)}


@pytest.fixture
def run(photo_folder, tmp_path) -> Passes:
    """Of all photos."""
    landing, loader = Landing(tmp_path / "out"), DataLoader(str(photo_folder))
    worklist = Worklist(
        loader=loader,
        storage=landing.storage,
        settings_hashes={"size": STATES["size"].settings_hash},
        generation=claim_generation(landing.storage),
        tables=list(loader.list_images()),
    )
    job = Job(
        modules=[Size()], storage=landing.storage, source=str(photo_folder), first_image="", placement=Placement()
    )
    order = WorkOrder(storage=landing.storage, generation=worklist.generation, states=STATES)
    progress = Progress(RunNotes(landing.storage), None)
    lock = SimpleNamespace(lost=False)
    return Passes(job=job, worklist=worklist, order=order, landing=landing, progress=progress, lock=lock)


def test_a_known_listing_is_a_list_and_an_unknown_one_is_listed_by_ray(run):
    ((modules, rows),) = run._left()
    assert modules == ("size",) and len(rows) == 7
    run.worklist.tables = None
    assert run._left() is run.worklist


def test_a_source_that_went_away_ends_the_run(run):
    run.progress.unread_streak = 499
    run._check()
    run.progress.unread_streak = 500
    with pytest.raises(EngineError, match="the last 500 images could not be read: is .*photos still there"):
        run._check()


def test_a_lost_lock_ends_the_run(run):
    run.lock.lost = True
    with pytest.raises(OutLockedError, match="another run took .*out over"):
        run._check()


def test_after_a_loss_what_has_landed_counts_and_the_rest_is_of_a_new_generation(run):
    run.progress.begin_pass()
    worker = ImageWorker([Size()], run.order)
    first, *_ = blocks(run._left(), 3)
    worker(first)  # nobody heard its summary
    run._after_loss()
    assert (run.progress.tally.images, run.progress.tally.failed) == (3, 2)
    assert (run.worklist.generation, run.worklist.first_generation) == (2, 1)
    ((_, rows),) = run._left()
    assert len(rows) == 4
    run._after_loss()
    assert (run.worklist.generation, run.worklist.first_generation) == (3, 1)
    assert run.progress.tally.images == 3


def test_what_there_is_no_room_for_is_known_before_a_ray_starts(run, monkeypatch):
    monkeypatch.setattr("pixelbrain.engine.on_ray.find_ray", lambda: None)
    monkeypatch.setattr("pixelbrain.engine.on_ray.connected", lambda: False)  # as tests before this one may have been
    monkeypatch.setattr("pixelbrain.engine.on_ray.ray_session", lambda **_: pytest.fail("a Ray was started"))
    run.job = replace(run.job, placement=Placement(actors={"images": "1000"}, cpus_per_actor={"images": 1}))
    with pytest.raises(EngineError, match="would wait for ever: the pool images wants 1000 x"):
        run.work()
    run.job = replace(run.job, placement=Placement(device="cuda"))
    monkeypatch.setattr("pixelbrain.engine.plan.nodes.gpus_here", lambda: 0)
    with pytest.raises(EngineError, match="Ray reports no GPU"):
        run.work()

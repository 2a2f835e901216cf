"""How what Ray Data raises is told: lost with a node, or wrong, and then why in a line; and who waits for a node."""

from __future__ import annotations

import pickle
import threading
import time
from types import SimpleNamespace

import pyarrow as pa
import pytest
import ray
from ray.exceptions import ActorDiedError, ObjectLostError, RayError, RaySystemError

from pixelbrain.config import Placement
from pixelbrain.engine import dataset
from pixelbrain.engine.cluster.metrics import RayMeter
from pixelbrain.engine.dataset import (
    Crew,
    Feed,
    LossWatch,
    NodesGone,
    _Actor,
    _is_loss,
    _NotListed,
    _reason,
    _reserved,
    _worker,
)
from pixelbrain.engine.plan.make import make_plan
from pixelbrain.engine.plan.nodes import Node
from pixelbrain.engine.plan.pools import Pool
from pixelbrain.engine.work.environment import DriverEnvironment
from pixelbrain.engine.work.fused import ImageWorker
from pixelbrain.engine.work.staged import Decoder, Lander, ModelRunner
from pixelbrain.engine.work.worklist import WorkOrder
from pixelbrain.errors import WeightsError
from pixelbrain.modules.base import Resources
from pixelbrain.storage.open import open_storage
from tests.unit.engine.modules_for_tests import Size


class Caused(RayError):
    """With what the worker raised."""

    def __init__(self, cause: BaseException | None, text: str = "") -> None:
        super().__init__(text)
        self.cause = cause


@pytest.mark.parametrize(
    ("error", "loss"),
    [
        (RaySystemError("the connection is gone"), True),
        (ActorDiedError(), True),
        (RaySystemError("it died in its creation task"), False),
        (RaySystemError("ModuleNotFoundError: No module named 'mine'"), False),
        (Caused(None, "the function raised"), False),
    ],
)
def test_what_is_lost_with_a_node(error, loss):
    assert _is_loss(error) is loss


def test_a_lost_object_is_a_loss():
    assert _is_loss(ObjectLostError("ff", None, "main"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Caused(WeightsError("no weights")), "no weights"),
        (
            Caused(None, "Traceback\n  ValueError: first\nray.exceptions.RayTaskError: x\nKeyError: 'last'\n"),
            "the workers failed: KeyError: 'last' (--debug shows all of it)",
        ),
        (Caused(None, "...\npixelbrain.errors.ModuleError: it returned 2 rows\n"), "it returned 2 rows"),
        (Caused(None, "nothing named"), "the workers failed: Caused (--debug shows all of it)"),
    ],
)
def test_why_in_a_line(error, said):
    assert _reason(error) == said


def test_an_actor_reserves_what_its_pool_says():
    pool = Pool(name="a", min_actors=1, max_actors=1, cpus=1, memory_bytes=5, labels={"tier": "spot"})
    assert _reserved(pool) == {"memory": 5, "label_selector": {"tier": "spot"}}
    assert _reserved(Pool(name="a", min_actors=1, max_actors=1, cpus=1)) == {}


@pytest.mark.parametrize("layout", ["fused", "staged"])
def test_actors_of_all_pools_can_be_made(layout, tmp_path, monkeypatch):
    restarted = SimpleNamespace(was_current_actor_reconstructed=True)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: restarted)
    order = WorkOrder(storage=open_storage(tmp_path / "out"), generation=1, states={})
    crew = Crew(modules=[Size()], order=order, environment=DriverEnvironment(environ={}), meter=RayMeter("out-1234"))
    plan = make_plan(100, [Node(cpus=8)], {"size": Resources()}, Placement(layout=layout))
    made = {pool.name: _Actor(crew, *_worker(pool, crew, plan))._worker for pool in plan.pools}
    if layout == "fused":
        assert {name: type(worker) for name, worker in made.items()} == {"images": ImageWorker}
        return
    kinds = {"decode": Decoder, "size": ModelRunner, "land": Lander}
    assert {name: type(worker) for name, worker in made.items()} == kinds
    assert made["decode"]._chunk_rows == plan.chunk_rows and made["size"]._later == [] and made["size"]._wary


class Listing:
    """Makes blocks, and knows how many of them; it waits for leave for each from a certain one on."""

    def __init__(self, count: int, free: int, failure: Exception | None = None) -> None:
        self.made, self.closed, self.leave = 0, False, threading.Semaphore(free)
        self._count, self._failure = count, failure

    def blocks(self):
        try:
            for number in range(self._count):
                assert self.leave.acquire(timeout=60)
                self.made += 1
                yield pa.table({"block": [number]})
            if self._failure is not None:
                raise self._failure
        finally:
            self.closed = True


def numbers(blocks: list[pa.Table]) -> list[int]:
    return [block["block"][0].as_py() for block in blocks]


def test_blocks_come_as_they_are_made_in_order_to_the_last():
    listing = Listing(5, free=3)
    feed = Feed(listing.blocks())
    found = numbers(feed(2, 60))
    while len(found) < 3:
        found += numbers(feed(10, 60))
    assert numbers(feed(10, 0)) == [] and not feed.ended  # the fourth is not made yet
    listing.leave.release(2)
    while not feed.ended:
        found += numbers(feed(10, 60))
    assert found == [0, 1, 2, 3, 4]
    feed.close()


def test_a_few_are_made_ahead_and_no_more_when_nobody_takes_them(monkeypatch):
    monkeypatch.setattr(dataset, "_MADE_AHEAD", 3)
    listing = Listing(100, free=100)
    feed = Feed(listing.blocks())
    assert numbers(feed(2, 60)) in ([0], [0, 1])
    feed.close(wait_s=60)
    assert listing.closed and listing.made <= 2 + 3 + 2  # one waits for room, one is made while that is told to end


def test_a_listing_that_fails_is_told_with_what_it_raised():
    gone = WeightsError("gone")
    listing = Listing(2, free=1, failure=gone)
    feed = Feed(listing.blocks())
    assert numbers(feed(1, 60)) == [0]
    listing.leave.release()
    while not listing.closed:
        time.sleep(0.01)
    with pytest.raises(_NotListed):  # at once, also where there is no room for the block before
        while True:
            assert feed(0, 0) == []
    assert feed.failure is gone
    feed.close()


def test_a_worker_gets_no_blocks_with_the_settings():
    feed = Feed(Listing(1, free=0).blocks())
    copy = pickle.loads(pickle.dumps(feed))
    assert copy.ended and copy(1, 0) == []


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(dataset, "time", made)
    return made


def test_an_actor_that_finds_no_room_ends_the_pass(clock):
    watch = LossWatch(lambda: ["a"], patience_s=15)
    watch()
    clock.now += 15
    watch()
    clock.now += 2
    with pytest.raises(NodesGone):
        watch()


def test_one_that_came_back_in_between_has_its_patience_anew(clock):
    restarting = ["a"]
    watch = LossWatch(lambda: restarting, patience_s=15)
    for restarting[:] in (["a"], [], ["a"], ["b"]):
        watch()
        clock.now += 14
    watch()


def test_it_looks_every_two_seconds(clock):
    looks = []
    watch = LossWatch(lambda: looks.append(clock.now) or [], patience_s=15)
    for _ in range(5):
        watch()
        clock.now += 1
    assert looks == [100.0, 102.0, 104.0]

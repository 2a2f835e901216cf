"""How what Ray Data raises is told: lost with a node, or wrong, and then why in a line; and who waits for a node."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import ray
from ray.exceptions import ActorDiedError, ObjectLostError, RayError, RaySystemError

from pixelbrain.config import Placement
from pixelbrain.engine import dataset
from pixelbrain.engine.cluster.metrics import RayMeter
from pixelbrain.engine.dataset import Crew, LossWatch, NodesGone, _Actor, _is_loss, _reason, _reserved, _worker
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
    made = {pool.name: _Actor(crew, *_worker(pool, crew, plan))._worker for pool in plan.pools[1:]}
    if layout == "fused":
        assert {name: type(worker) for name, worker in made.items()} == {"images": ImageWorker}
        return
    kinds = {"decode": Decoder, "size": ModelRunner, "land": Lander}
    assert {name: type(worker) for name, worker in made.items()} == kinds
    assert made["decode"]._chunk_rows == plan.chunk_rows and made["size"]._later == [] and made["size"]._wary


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

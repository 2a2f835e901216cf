"""The plan fits what Ray reports, and says so where it cannot."""

from __future__ import annotations

import pytest

from pixelbrain.engine.plan import make_plan
from pixelbrain.errors import EngineError


@pytest.mark.parametrize("cpus", [0.5, 1, 2, 4, 7, 16, 96])
@pytest.mark.parametrize("images", [1, 20, 300, 1_000_000])
def test_a_cpu_plan_reserves_less_than_there_is(cpus, images):
    plan = make_plan(images, {"CPU": cpus})
    assert plan.device == "cpu" and plan.gpus_per_actor == 0
    assert plan.actors >= 1 and plan.threads_per_actor >= 1
    assert 0 < plan.actors * plan.cpus_per_actor < cpus
    assert 8 <= plan.block_rows <= 256


def test_a_laptop_has_one_actor_and_a_workstation_several():
    assert make_plan(10_000, {"CPU": 2}).actors == 1
    assert make_plan(10_000, {"CPU": 16}).actors == 4
    assert make_plan(5, {"CPU": 16}).actors == 1


def test_gpus_get_an_actor_each():
    plan = make_plan(10_000, {"CPU": 32, "GPU": 4})
    assert (plan.device, plan.actors, plan.gpus_per_actor) == ("cuda", 4, 1.0)
    assert make_plan(10_000, {"CPU": 32, "GPU": 4}, device="cpu").device == "cpu"


def test_what_is_not_there_is_named():
    with pytest.raises(EngineError, match="no GPU"):
        make_plan(10, {"CPU": 2}, device="cuda")
    with pytest.raises(EngineError, match="no CPU"):
        make_plan(10, {})

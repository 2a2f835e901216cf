"""Which runs go without Ray."""

from __future__ import annotations

import pytest

from pixelbrain.config import Placement, RunConfig
from pixelbrain.engine import choose
from pixelbrain.engine.choose import SMALL_LOOKS, takes_local
from pixelbrain.errors import ConfigError


@pytest.fixture(autouse=True)
def nothing_there(monkeypatch):
    """A machine without a GPU, on which no Ray runs."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name, value in {"may_have_gpu": False, "connected": False, "find_fitting": None}.items():
        monkeypatch.setattr(choose, name, lambda value=value: value)


def test_little_work_of_a_known_size_goes_without_ray():
    assert takes_local(Placement(), SMALL_LOOKS) and takes_local(Placement(device="cpu"), 1)
    assert not takes_local(Placement(), SMALL_LOOKS + 1)
    assert not takes_local(Placement(), None)
    assert takes_local(Placement(executor="local"), None)
    assert not takes_local(Placement(executor="ray"), 1)


@pytest.mark.parametrize(
    "wish",
    [
        {"layout": "staged"}, {"layout": "fused"}, {"actors": "2"}, {"gpus_per_actor": 0.5}, {"device": "cuda"},
        {"cpus_per_actor": {"decode": 1}}, {"node_labels": "a=b"}, {"autoscale": True},
    ],
    ids=str,
)  # fmt: skip
def test_a_wish_about_actors_is_one_for_ray(wish):
    assert not takes_local(Placement(**wish), 1)


def test_a_ray_that_is_there_is_taken(monkeypatch):
    for name in ("connected", "find_fitting"):
        with monkeypatch.context() as patch:
            patch.setattr(choose, name, lambda: True)
            assert not takes_local(Placement(), 1) and takes_local(Placement(executor="local"), 1)
    monkeypatch.setenv("RAY_ADDRESS", "local")  # one of its own, and that is asked for
    assert not takes_local(Placement(), 1)


def test_a_gpu_is_not_left_alone_unless_that_is_asked_for(monkeypatch):
    monkeypatch.setattr(choose, "may_have_gpu", lambda: True)
    assert not takes_local(Placement(), 1)
    assert takes_local(Placement(device="cpu"), 1)


def test_what_one_machine_has_not_is_refused_early():
    for wish in ({"layout": "staged"}, {"node_labels": {"": "a=b"}}, {"autoscale": True}, {"actors": {"decode": "2"}}):
        with pytest.raises(ConfigError, match="^executor is 'local', which has equal workers on this machine, and no "):
            RunConfig(executor="local", **wish)
    assert RunConfig(executor="local", actors={"images": "2"}, layout="fused").placement().executor == "local"
    with pytest.raises(ConfigError, match="executor is 'spark': it is one of auto, ray, local"):
        RunConfig(executor="spark")

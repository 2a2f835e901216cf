"""Actors that wait for a node: so long, and no longer."""

from __future__ import annotations

import pytest

from pixelbrain.engine import dataset
from pixelbrain.engine.dataset import LossWatch, NodesGone


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

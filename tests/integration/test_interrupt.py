"""Ctrl-C: the first lands what is in flight, the second ends at once; the same command does the rest."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

import pixelbrain as pb
from tests.integration.watched import World


@pytest.fixture
def world(tmp_path, encode) -> World:
    """A hundred photos, and a module that takes a tenth of a second each."""
    made = World(tmp_path, seconds=0.1)
    for index in range(100):
        (made.photos / f"{index:03d}.png").write_bytes(encode("PNG", size=(8, 8 + index)))
    return made


def test_ctrl_c_lands_what_is_in_flight_and_the_next_run_does_the_rest(world, command, monkeypatch):
    process = world.start("--executor", "ray", start_new_session=True)
    world.wait_for_looks(10, process)
    world.interrupt(process)
    landed = pb.Landing(world.out).count_images()
    assert 0 < landed < 100 and landed == len(world.looks()) == len(world.seen())

    world.hurry()
    monkeypatch.chdir(world.folder)  # where watched.py is
    command(*world.arguments, "--executor", "local")
    assert pb.Landing(world.out).count_images() == len(world.seen()) == 100  # nothing was looked at twice


def test_the_second_ctrl_c_ends_at_once_and_leaves_no_process(world):
    process = world.start("--executor", "ray", start_new_session=True)
    world.wait_for_looks(10, process)
    children = psutil.Process(process.pid).children(recursive=True)
    started = " ".join(word for child in children for word in child.cmdline())
    assert "raylet" in started and "ray::" in started
    for nobodys in ("dashboard.py", "monitor.py"):  # Ray's own for whoever looks, starts nodes, or reads logs
        assert nobodys not in started
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Stopped at once" in said
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []

"""Runs without Ray that are killed, stopped and gone on with, as users' commands; see `test_kills` for those on Ray."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

import pixelbrain as pb
from tests.integration.watched import World

IMAGES = 100
BLOCK = 8  # images, with so few


@pytest.fixture
def world(tmp_path, encode) -> World:
    """A hundred photos, and a module that takes a tenth of a second each."""
    made = World(tmp_path, seconds=0.1)
    for index in range(IMAGES):
        (made.photos / f"{index:03d}.png").write_bytes(encode("PNG", size=(8, 8 + index)))
    return made


def landed(world: World) -> int:
    ids = [row["image_id"] for table in pb.Landing(world.out).iter_images() for row in table.to_pylist()]
    assert len(ids) == len(set(ids))
    return len(ids)


def test_killed_workers_and_commands_lose_nothing(world):
    """SIGKILL of the worker, with an image in hand, and then of the command, whose worker goes with it."""
    process = world.start("--executor", "local")
    world.wait_for_looks(10, process)
    first = world.seen()[-1][0]
    assert first != process.pid
    os.kill(first, signal.SIGKILL)
    world.wait_for_looks(10, process)
    second = psutil.Process(world.seen()[-1][0])
    assert second.pid not in (first, process.pid) and process.poll() is None
    process.kill()
    process.communicate(timeout=60)
    assert psutil.wait_procs([second], timeout=30)[1] == []

    world.hurry()
    last = world.start("--executor", "local")
    _, said = last.communicate(timeout=120)
    assert last.returncode == 0, said
    assert landed(world) == IMAGES
    assert 0 <= len(world.seen()) - IMAGES <= 2 * BLOCK


def test_ctrl_c_lands_what_is_in_flight_and_the_second_ends_at_once(world):
    process = world.start("--executor", "local", start_new_session=True)
    world.wait_for_looks(10, process)
    assert "landing what is in flight" in world.interrupt(process)
    assert 0 < landed(world) < IMAGES and landed(world) == len(world.looks()) == len(world.seen())

    before = landed(world)
    process = world.start("--executor", "local", start_new_session=True)
    world.wait_for_looks(1, process)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 1
    while process.poll() is None:  # a signal is one with the last, while that is not delivered
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    assert process.returncode == 130 and "Stopped at once" in process.communicate()[1]
    assert psutil.wait_procs(children, timeout=30)[1] == []
    assert landed(world) >= before

"""Runs that are killed at random moments: no image is lost, none is there twice, and little is done again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time

import pytest

import pixelbrain as pb
from pixelbrain.storage.file_uri import uri_to_path
from tests.integration.watched import World

IMAGES = 300
CHANGED = 100  # files that get new contents when all is done before the kills are
BLOCK = 12  # images, with so few


@pytest.fixture
def rng() -> random.Random:
    """Seeded by a number that is printed."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    return random.Random(seed)


@pytest.fixture
def world(tmp_path, encode) -> World:
    """300 photos of their own sizes, and a module that takes 2 ms each."""
    made = World(tmp_path, seconds=0.002)
    for index in range(IMAGES):
        (made.photos / f"{index:03d}.png").write_bytes(encode("PNG", size=(8 + index % 64, 8 + index // 64)))
    return made


class Changes:
    """Gives the killers new work when there is none left: files with new contents."""

    def __init__(self, world: World, encode, rng: random.Random) -> None:
        self.world, self.encode, self.rng = world, encode, rng
        self.looks_wanted = IMAGES

    def after(self, process: subprocess.Popen, said: str) -> None:
        """A command was killed, or has done it all."""
        assert process.returncode in (0, -signal.SIGKILL), said
        if process.returncode == 0:
            for number, path in enumerate(self.rng.sample(sorted(self.world.photos.iterdir()), CHANGED)):
                path.write_bytes(self.encode("PNG", size=(100 + self.looks_wanted // CHANGED, 9 + number)))
            self.looks_wanted += CHANGED


def check(world: World, looks_wanted: int, kills: int) -> None:
    """Every image once, as its file is now, and no more done again than the kills explain."""
    rows = [row for table in pb.Landing(world.out).iter_images() for row in table.to_pylist()]
    assert len(rows) == len({row["image_id"] for row in rows}) == IMAGES
    assert {row["status"] for row in rows} == {"ok"}
    by_id = {row["image_id"]: row for row in rows}
    for path in world.photos.iterdir():
        row, found = by_id[path.as_uri()], path.stat()
        assert row["version"] == f"{found.st_mtime_ns}-{found.st_size}"
        assert row["watched"]["pixels"] == row["width"] * row["height"]
    again = len(world.seen()) - looks_wanted
    print(f"{kills} kills, {looks_wanted} images and versions, {again} looked at again")
    assert 0 <= again <= kills * BLOCK


def test_twelve_kills_lose_nothing_and_double_nothing(world, encode, rng):
    """SIGKILL of the process that lists, looks and lands."""
    changes = Changes(world, encode, rng)
    kills = 0
    while kills < 12:
        process = world.start_plain()
        if rng.random() < 0.8:
            world.wait_for_looks(rng.randrange(1, 40), process)
            time.sleep(rng.uniform(0, 0.02))
        else:  # while it starts, or lists
            time.sleep(rng.uniform(0, 1.5))
        process.kill()
        changes.after(process, process.communicate(timeout=60)[1])
        kills += process.returncode != 0
    last = world.start_plain()
    assert last.wait(60) == 0
    check(world, changes.looks_wanted, kills)


def test_a_folder_that_is_renamed_between_kills(world, encode, rng, command, monkeypatch):
    """Each photo has one row, under its last name, and what was looked at once is not looked at again."""
    (world.folder / "0").mkdir()
    for path in sorted(world.photos.iterdir()):
        path.rename(world.folder / "0" / path.name)
    (world.folder / "0").rename(world.photos / "0")
    process = world.start_plain()
    world.wait_for_looks(IMAGES // 2, process)
    for kills in range(1, 6):
        process.kill()
        process.wait(60)
        (world.photos / str(kills - 1)).rename(world.photos / str(kills))
        process = world.start_plain()
        if kills < 5:
            time.sleep(rng.uniform(1.0, 2.5))
    assert process.wait(60) == 0, process.communicate()[1]
    monkeypatch.chdir(world.folder)
    landed = pb.Landing(world.out).count_images()
    said = command(*world.arguments, "--executor", "local").stderr
    rows = [row for table in pb.Landing(world.out).iter_images() for row in table.to_pylist()]
    assert len(rows) == IMAGES and {uri_to_path(row["image_id"]).split("/")[-2] for row in rows} == {"5"}
    assert all(row["watched"]["pixels"] == row["width"] * row["height"] for row in rows)
    again = len(world.seen()) - IMAGES
    print(f"{landed} rows before, {again} looked at again: {said}")
    assert landed > IMAGES and 0 <= again <= kills * BLOCK


def test_killed_workers_and_commands_on_ray(world, encode, rng, command, monkeypatch, ray_running):
    """SIGKILL of the actor that has an image in hand, of the command while its next one works, and of both at once."""
    changes = Changes(world, encode, rng)
    kills = 0
    for looks_between in (1, 0):
        process = world.start(address=ray_running)
        world.wait_for_looks(rng.randrange(1, 60), process)
        with contextlib.suppress(ProcessLookupError):  # it had just ended
            os.kill(world.seen()[-1][0], signal.SIGKILL)
            kills += 1
        world.wait_for_looks(looks_between, process)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        kills += 1
        changes.after(process, process.communicate(timeout=120)[1])
    monkeypatch.chdir(world.folder)
    command(*world.arguments, "--executor", "local")
    # what Ray hands to an actor beside the block in its hands is not looked at: one block a kill is lost here too
    check(world, changes.looks_wanted, kills)

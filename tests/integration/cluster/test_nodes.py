"""A Ray of several nodes: work spreads, nodes die and come, GPUs are shared, and what only one node has is refused."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pixelbrain as pb
from tests.integration.cluster.scraping import Scraper
from tests.integration.ray_nodes import RayNodes, ray_nodes
from tests.integration.watched import World

IMAGES = 240

#: Says where it ran: the GPU that it sees, its process, and the processes that decoded.
PLACED = """
import os
import time

import numpy as np
import pyarrow as pa
import ray

from pixelbrain import PipelineModule, Resources


class First(PipelineModule):
    name = "first"
    resources = Resources(batch_size=4, input_bytes=300_000)

    def fields(self):
        names = ["gpu", "node", "decoded_on"]
        numbers = [pa.field("pid", pa.int64()), pa.field("at", pa.float64())]
        return [*numbers, *(pa.field(name, pa.string()) for name in names)]

    def preprocess(self, image):
        return ray.get_runtime_context().get_node_id(), np.zeros(300_000, np.uint8)

    def process_batch(self, inputs):
        time.sleep(0.4)
        here = {
            "pid": os.getpid(),
            "at": time.time(),
            "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "node": ray.get_runtime_context().get_node_id(),
        }
        return [{**here, "decoded_on": node} for node, _ in inputs]


class Second(First):
    name = "second"
"""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    """A head that runs no tasks, and two nodes with a CPU each; the tests below go on with what earlier ones left."""
    with ray_nodes(tmp_path_factory.mktemp("nodes"), {"cpus": 1}, {"cpus": 1}) as made:
        yield made


@pytest.fixture
def world(tmp_path: Path, encode: Callable[..., bytes]) -> World:
    made = World(tmp_path, seconds=0.2)
    for index in range(IMAGES):
        (made.photos / f"{index:03d}.png").write_bytes(encode("PNG", size=(8 + index % 60, 8 + index // 60)))
    return made


def rows_of(world: World) -> list[dict]:
    return [row for table in pb.Landing(world.out).iter_images() for row in table.to_pylist()]


def pids(world: World) -> set[int]:
    return {pid for pid, _ in world.seen()}


def test_nodes_die_and_come_and_every_image_is_there_once(nodes, world):
    """The job spreads; a node is killed, one is added, another is killed: the job ends by itself."""
    with environment(nodes):
        process = world.start()
        while len(first := pids(world)) < 2 and process.poll() is None:  # the other may be long in starting
            world.wait_for_looks(1, process, 150)
        world.wait_for_looks(10, process, 150)
        assert process.poll() is None and len(first) == 2
        nodes.nodes[1].kill()
        added = nodes.add(cpus=1)
        world.wait_for_looks(30, process, 150)
        added.wait_until_started()
        assert process.poll() is None
        nodes.nodes[2].kill()
        world.hurry()  # what is left is the added one's alone
        _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    rows = rows_of(world)
    assert len(rows) == len({row["image_id"] for row in rows}) == IMAGES
    assert {row["status"] for row in rows} == {"ok"}
    assert len(pids(world) - first) >= 1  # on the node that was added
    again = len(world.seen()) - IMAGES
    print(f"{again} of {IMAGES} were looked at again")
    assert 0 <= again <= IMAGES // 2


def test_modules_share_cards_and_decoding_stays_where_it_is_told(nodes, world):
    nodes.add(cpus=1, gpus=2, labels={"tier": "gpu"}).wait_until_started()
    nodes.add(cpus=1, labels={"tier": "cpu"}).wait_until_started()
    (world.folder / "placed.py").write_text(PLACED)
    (world.photos / "broken.png").write_bytes(b"not an image")
    wishes = ["--device", "cuda", "--gpus-per-actor", "0.5", "--actors", "first=1:3", "--actors", "second=1"]
    with Scraper(nodes.head_metrics) as head:
        done = run(
            nodes, world, "extract", world.photos, "--out", world.out, "--module", "placed:First",
            "--module", "placed:Second", *wishes, "--node-labels", "decode:tier=cpu",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = rows_of(world)
    assert len(rows) == IMAGES + 1 and Counter(row["status"] for row in rows) == {"ok": IMAGES, "failed": 1}
    good = [row for row in rows if row["status"] == "ok"]
    first, second = ([row[name] for row in good] for name in ("first", "second"))
    assert {one["gpu"] for one in [*first, *second]} <= {"0", "1"}
    assert len({one["pid"] for one in first}) >= 2 and len({one["pid"] for one in second}) == 1  # one pool may grow
    assert 2 <= at_once(first) <= 3
    for card in ("0", "1"):
        assert at_once([one for one in [*first, *second] if one["gpu"] == card]) <= 2  # halves of a card
    (decoded_on,) = {row["first"]["decoded_on"] for row in good}
    assert decoded_on not in {row[name]["node"] for row in good for name in ("first", "second")}
    payload = 2 * 300_000 * IMAGES
    assert 0 <= head.highest["ray_object_store_used_memory"] < payload / 100  # nothing piles up there


def at_once(seen: list[dict]) -> int:
    """The most processes that were there at the same time, from the first image of each to its last."""
    times: dict[int, list[float]] = {}
    for one in seen:
        times.setdefault(one["pid"], []).append(one["at"])
    spans = [(min(at), max(at)) for at in times.values()]
    return max((sum(a <= start <= b for a, b in spans) for start, _ in spans), default=0)


def test_a_plan_says_what_it_would_do_and_refuses_what_would_starve(nodes, world):
    ask = ["plan", world.photos, "--out", world.out, "--module", "watched:Watched"]
    fits = run(nodes, world, *ask, "--layout", "staged", "--gpus-per-actor", "1")
    assert fits.returncode == 0 and "It fits." in fits.stdout, fits.stderr
    assert f"the Ray at {nodes.address}" in fits.stdout and "2 GPUs" in fits.stdout
    assert not world.out.exists()
    starves = run(nodes, world, *ask, "--layout", "staged", "--actors", "watched=3")
    assert starves.returncode == 1 and "the pool watched wants 3 x (" in starves.stderr
    refused = run(nodes, world, "extract", *ask[1:], "--layout", "staged", "--actors", "watched=3")
    assert refused.returncode == 1 and "there is room for 2" in refused.stderr and world.seen() == []


def test_embedded_stores_are_refused(nodes, world):
    refused = run(nodes, world, "run", world.photos, "--out", world.out, "--module", "watched:Watched")
    assert refused.returncode == 1 and "--mongo" in refused.stderr and world.seen() == []


def test_what_only_one_node_has_is_refused(nodes, world):
    """A node with another disk where the photos and OUT are: a mount of its own hides them."""
    hidden = world.folder.parent
    lone = nodes.add(cpus=1, hide=hidden)
    lone.wait_until_started()
    refused = run(nodes, world, *world.arguments)
    assert refused.returncode == 1 and "does not see what is written there" in refused.stderr, refused.stderr
    lone.end()


def run(nodes: RayNodes, world: World, *words: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(Path(sys.executable).parent / "pixelbrain"), *map(str, words)],
        cwd=world.folder, env={**os.environ, **nodes.environment}, capture_output=True, text=True, timeout=200,
    )  # fmt: skip


@contextlib.contextmanager
def environment(nodes: RayNodes) -> Iterator[None]:
    """That of the nodes, for processes that are started inside."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in nodes.environment.items():
            patch.setenv(name, value)
        yield

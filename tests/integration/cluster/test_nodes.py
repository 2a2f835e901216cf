"""A Ray of several nodes: work spreads, nodes die and come, GPUs are shared, and what only one node has is refused."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

import pixelbrain as pb
from pixelbrain.asking.pending import spent_usd
from tests.fake_openai.running import FakeOpenAI
from tests.integration.asking.landed import land_plain_images
from tests.integration.cluster.ask_from_afar import CONCURRENCY, LABEL, RPM, WINDOW_S
from tests.integration.cluster.scraping import Scraper
from tests.integration.ray_nodes import RayNode, RayNodes, ray_nodes
from tests.integration.watched import ROOT, World

IMAGES = 240
QUESTIONS = 100

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
            world.wait_for_looks(1, process)
        world.wait_for_looks(10, process)
        assert process.poll() is None and len(first) == 2
        nodes.nodes[1].kill()
        added = nodes.add(cpus=1)
        world.wait_for_looks(30, process)
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
    nodes.add(cpus=1, labels=dict([LABEL])).wait_until_started()
    (world.folder / "placed.py").write_text(PLACED)
    for photo in sorted(world.photos.iterdir())[IMAGES // 2 :]:
        photo.unlink()
    (world.photos / "broken.png").write_bytes(b"not an image")
    wishes = ["--device", "cuda", "--gpus-per-actor", "0.5", "--actors", "first=1:3", "--actors", "second=1"]
    with Scraper(nodes.head_metrics) as head:
        done = run(
            nodes, world, "extract", world.photos, "--out", world.out, "--module", "placed:First",
            "--module", "placed:Second", *wishes, "--node-labels", f"decode:{'='.join(LABEL)}",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = rows_of(world)
    assert len(rows) == IMAGES // 2 + 1 and Counter(row["status"] for row in rows) == {"ok": IMAGES // 2, "failed": 1}
    good = [row for row in rows if row["status"] == "ok"]
    first, second = ([row[name] for row in good] for name in ("first", "second"))
    assert {one["gpu"] for one in [*first, *second]} <= {"0", "1"}
    assert len({one["pid"] for one in first}) >= 2 and len({one["pid"] for one in second}) == 1  # one pool may grow
    assert 2 <= at_once(first) <= 3
    for card in ("0", "1"):
        assert at_once([one for one in [*first, *second] if one["gpu"] == card]) <= 2  # halves of a card
    (decoded_on,) = {row["first"]["decoded_on"] for row in good}
    assert decoded_on not in {row[name]["node"] for row in good for name in ("first", "second")}
    payload = 300_000 * IMAGES
    assert 0 <= head.highest["ray_object_store_used_memory"] < payload / 50  # nothing piles up there


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


def actors_on(node: RayNode) -> list[str]:
    """The names of our actors' processes below a node."""
    below = psutil.Process(node.process.pid).children(recursive=True)
    titles = ["".join(process.cmdline()[:1]) for process in below]
    return sorted(title[5:].partition(".")[0] for title in titles if title.startswith("ray::") and "Actor" in title)


def test_the_limiter_and_an_asker_come_back_on_another_node(nodes, tmp_path):
    """A node with an asking actor and the limiter dies: both come back elsewhere, and nothing else is paid twice."""
    landing = land_plain_images(tmp_path, QUESTIONS)
    other, with_cards, doomed = nodes.nodes[3:6]
    with_cards.end()  # no place for those who only ask, and the others are alike
    with FakeOpenAI(latency_ms=200, rpm=RPM, window_s=WINDOW_S) as fake:
        said = tmp_path / "said"
        with said.open("wb") as output, open(os.devnull, "wb") as nowhere:
            driver = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.cluster.ask_from_afar", str(landing.storage.uri)],
                cwd=ROOT, env={**os.environ, **nodes.environment, **fake.environment}, stdout=output, stderr=nowhere,
            )  # fmt: skip
            try:
                deadline = time.monotonic() + 60
                while len(fake.requests()) < 40 and driver.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.1)
                assert (actors_on(other), actors_on(doomed)) == (["AskingActor"], ["AskingActor", "LimiterActor"])
                doomed.kill()
                assert driver.wait(90) == 0
            finally:
                driver.kill()
                driver.wait()
        report = json.loads(said.read_text().splitlines()[-1])
        stats, answered = fake.stats(), fake.answered()

    assert (report["images"], report["answers"], report["failures"]) == (QUESTIONS, {"ok": QUESTIONS}, {})
    assert len(answered) == QUESTIONS
    assert sum(answered.values()) - QUESTIONS <= CONCURRENCY / 2  # what the dead asker had in flight
    assert stats["max_requests_sent_per_window"] <= RPM / 60 * WINDOW_S
    # the report has what is in the journal, and the budget counts what may have been lost, too
    landing.refresh()
    rows = landing.answer_log.read("is_red").to_pylist()
    assert len(rows) == QUESTIONS and {row["status"] for row in rows} == {"ok"}
    answers = spent_usd(landing.answer_log, ["is_red"]) - landing.answer_log.lost_usd(["is_red"])
    assert Decimal(report["cost_usd"]) == answers
    assert answers <= Decimal(stats["billed_usd"]) <= spent_usd(landing.answer_log, ["is_red"])


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

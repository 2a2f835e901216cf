"""A node with an asking actor and the limiter dies: both come back elsewhere, and nothing else is paid twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import psutil

from pixelbrain.asking.pending import spent_usd
from tests.fake_openai.running import FakeOpenAI
from tests.integration.asking.landed import land_plain_images
from tests.integration.cluster.ask_from_afar import CONCURRENCY, RPM, WINDOW_S
from tests.integration.ray_nodes import RayNode, ray_nodes

ROOT = Path(__file__).parents[3]
IMAGES = 100


def actors_on(node: RayNode) -> list[str]:
    """The names of our actors' processes below a node."""
    below = psutil.Process(node.process.pid).children(recursive=True)
    titles = ["".join(process.cmdline()[:1]) for process in below]
    return sorted(title[5:].partition(".")[0] for title in titles if title.startswith("ray::") and "Actor" in title)


def test_the_limiter_and_an_asker_come_back_on_another_node(tmp_path):
    landing = land_plain_images(tmp_path, IMAGES)
    with (
        FakeOpenAI(latency_ms=200, rpm=RPM, window_s=WINDOW_S) as fake,
        ray_nodes(tmp_path, {"labels": {"doomed": "yes"}}, head_cpus=1) as ray,
    ):
        said = tmp_path / "said"
        with said.open("wb") as output, open(os.devnull, "wb") as nowhere:
            driver = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.cluster.ask_from_afar", str(landing.storage.uri), "doomed"],
                cwd=ROOT, env={**os.environ, **ray.environment, **fake.environment}, stdout=output, stderr=nowhere,
            )  # fmt: skip
            try:
                deadline = time.monotonic() + 60
                while len(fake.requests()) < 40 and driver.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.1)
                head, doomed = ray.nodes
                assert (actors_on(head), actors_on(doomed)) == (["AskingActor"], ["AskingActor", "LimiterActor"])
                doomed.kill()
                assert driver.wait(90) == 0
            finally:
                driver.kill()
                driver.wait()
        report = json.loads(said.read_text().splitlines()[-1])
        stats, answered = fake.stats(), fake.answered()

    assert (report["images"], report["answers"], report["failures"]) == (IMAGES, {"ok": IMAGES}, {})
    assert len(answered) == IMAGES
    assert sum(answered.values()) - IMAGES <= CONCURRENCY / 2  # what the dead asker had in flight
    assert stats["max_requests_sent_per_window"] <= RPM / 60 * WINDOW_S
    # the report has what is in the journal, and the budget counts what may have been lost, too
    landing.refresh()
    rows = landing.answer_log.read("is_red").to_pylist()
    assert len(rows) == IMAGES and {row["status"] for row in rows} == {"ok"}
    answers = spent_usd(landing.answer_log, ["is_red"]) - landing.answer_log.lost_usd(["is_red"])
    assert Decimal(report["cost_usd"]) == answers
    assert answers <= Decimal(stats["billed_usd"]) <= spent_usd(landing.answer_log, ["is_red"])

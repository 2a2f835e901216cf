"""Runs as Prometheus sees them: exact counts in Ray's own endpoint, and a dashboard that asks for what is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pixelbrain as pb
from pixelbrain.engine.ask.run import ask
from pixelbrain.engine.cluster.metrics import METRICS, RayMeter
from pixelbrain.engine.work.meter import run_label
from tests.fake_openai.running import FakeOpenAI
from tests.integration.asking.landed import land_plain_images
from tests.integration.cluster.scraping import Scraper
from tests.unit.engine.modules_for_tests import Size

DASHBOARD = Path(__file__).parents[3] / "cluster" / "grafana-dashboard.json"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOpenAI]:
    with FakeOpenAI(latency_ms=20) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.mark.usefixtures("ray_running")
def test_two_runs_are_told_in_full_and_the_dashboard_asks_only_for_what_is_told(photo_folder, fake, tmp_path):
    landing = land_plain_images(tmp_path / "asked", 20)
    fake.control(faults=[{"kind": "500", "count": 2}])
    module = pb.Gpt4VModule(question="Red?", field="is_red", answer="bool", concurrency=4, actors=2, budget_usd="1")
    run, asked = run_label(str(tmp_path / "out")), run_label(landing.storage.uri)
    with Scraper() as scraper:
        crowd = RayMeter(run_label(str(tmp_path / "crowd")))
        crowd.images(100, 100, {f"{'Long' * 30}Error{number}": 1 for number in range(2)})
        crowd.images(100, 100, {f"Error{number}": 1 for number in range(98)})
        report = pb.Pipeline(pb.DataLoader(str(photo_folder)), [Size()]).extract(tmp_path / "out")
        answers = ask(landing, module.settings, module.price, module.limits)
        scraper.wait(
            lambda: (
                scraper.total("ray_pixelbrain_images_total", run=run) >= 7
                and scraper.total("ray_pixelbrain_module_images_total", run=run) >= 5
                and scraper.total("ray_pixelbrain_images_total", run=asked) >= 20
                and scraper.total("ray_pixelbrain_requests_total", run=asked) >= 22
                and "ray_node_cpu_count" in scraper.names
            )
        )

    total, by = scraper.total, scraper.by
    assert (report.done, report.failed) == (7, 4)
    assert by("status", "ray_pixelbrain_images_total", run=run) == {"ok": 3, "failed": 4}
    assert by("kind", "ray_pixelbrain_failures_total", run=run, lane="extract") == dict(report.failures)
    assert (total("ray_pixelbrain_images_pending", run=run), total("ray_pixelbrain_queue", run=run)) == (7, 0)
    images = [path for path in photo_folder.rglob("*.*") if path.suffix != ".txt"]
    assert len(images) == 7
    assert total("ray_pixelbrain_read_bytes_total", run=run) == sum(path.stat().st_size for path in images)
    # two of the seven are no images, and no module sees them
    assert total("ray_pixelbrain_module_images_total", run=run, module="size", device="cpu") == 5
    assert total("ray_pixelbrain_module_seconds_total", run=run, module="size") == pytest.approx(
        report.seconds_by_activity["size"], rel=1e-6
    )
    assert total("ray_pixelbrain_module_workers", run=run, module="size") == 1  # so few images get one actor

    assert (answers.images, answers.statuses) == (20, {"ok": 20})
    assert by("status", "ray_pixelbrain_images_total", run=asked) == {"ok": 20}
    assert by("outcome", "ray_pixelbrain_requests_total", run=asked) == {"answered": 20, "ServerError": 2}
    tokens = {"input": answers.input_tokens, "output": answers.output_tokens}
    assert by("kind", "ray_pixelbrain_tokens_total", run=asked) == tokens
    dollars = float(answers.cost_usd)
    assert total("ray_pixelbrain_usd_total", run=asked) == pytest.approx(dollars)
    assert total("ray_pixelbrain_spent_usd", run=asked) == pytest.approx(dollars)
    assert total("ray_pixelbrain_budget_left_usd", run=asked) == pytest.approx(1 - dollars)
    assert total("ray_pixelbrain_requests_in_flight", run=asked) == 0
    assert total("ray_pixelbrain_request_seconds_total", run=asked, outcome="answered") >= 20 * 0.02
    assert total("ray_pixelbrain_limiter_wait_seconds_total", run=asked) > 0

    kinds = by("kind", "ray_pixelbrain_failures_total", run=run_label(str(tmp_path / "crowd")))
    assert len(kinds) == 41 and sum(kinds.values()) == 100 and max(map(len, kinds)) == 60

    assert {name for name in scraper.names if "pixelbrain" in name} == {
        f"ray_{name}_total" if kind.__name__ == "Counter" else f"ray_{name}" for name, (kind, _, _) in METRICS.items()
    }
    panels = json.loads(DASHBOARD.read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    assert len(expressions) > 20
    asked_for = set(re.findall(r"\bray_\w+", " ".join(expressions)))
    assert asked_for - scraper.names <= rare_names()


def rare_names() -> set[str]:
    """Of Ray's metrics, those that show only where there is a GPU, or while Ray Data works for some seconds."""
    from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES
    from ray.data._internal.execution.interfaces.op_runtime_metrics import OpRuntimeMetrics

    of_cards = {f"ray_{name}" for name in METRICS_GAUGES if name.startswith(("node_gpu", "node_gram"))}
    return of_cards | {f"ray_data_{metric.name}" for metric in OpRuntimeMetrics.get_metrics()}

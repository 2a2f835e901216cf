"""What reaches Ray's metrics, and under which few labels; a metric that is made needs no Ray to run."""

from __future__ import annotations

import math
import pickle

import pytest

from pixelbrain.engine.cluster.metrics import METRICS, RayMeter
from tests.unit.asking.online.asker_bench import Bench, Server, reply, run


@pytest.fixture
def told(monkeypatch) -> list[tuple[str, float, dict[str, str]]]:
    """What Ray's metrics are told."""
    heard: list[tuple[str, float, dict[str, str]]] = []
    for kind, call in {(kind, "inc" if kind.__name__ == "Counter" else "set") for kind, _, _ in METRICS.values()}:
        monkeypatch.setattr(
            kind, call, lambda self, value, tags: heard.append((self.info["name"], value, self._default_tags | tags))
        )
    return heard


def test_each_metric_has_its_labels_and_the_lane_where_it_says_so(told):
    meter = pickle.loads(pickle.dumps(RayMeter("out-1234", "ask")))
    meter.images(3, 1, {})
    meter.read(10)
    assert told == [
        ("pixelbrain_images", 2, {"run": "out-1234", "lane": "ask", "status": "ok"}),
        ("pixelbrain_images", 1, {"run": "out-1234", "lane": "ask", "status": "failed"}),
        ("pixelbrain_read_bytes", 10, {"run": "out-1234"}),
    ]


def test_everything_a_meter_can_say_is_a_metric(told):
    meter = RayMeter("out-1234")
    meter.images(2, 1, {"DecodeError": 1})
    meter.queue(5, 1)
    meter.read(1)
    meter.module("size", 1, 0.5, "cpu")
    meter.activity("landing", 0.5)
    meter.limiter(1, 0.1, 0.9)
    bench = Bench(Server(lambda _n: reply()))
    bench.asker.requester.count = meter.count
    run(bench, "1")
    assert {name for name, _, _ in told} == set(METRICS)
    for name, _, tags in told:
        assert set(tags) == {"run", *METRICS[name][2]}


def test_what_ray_would_refuse_is_not_told(told):
    meter = RayMeter("out-1234")
    meter.count("usd", 0)
    meter.count("limiter_wait_seconds", -1)
    meter.activity("landing", math.nan)
    assert not told


def test_kinds_of_failures_are_few_and_short(told):
    meter = RayMeter("out-1234")
    meter.images(100, 100, {f"{number:03d} {'x' * 100}": 1 for number in range(100)})
    kinds = [tags["kind"] for name, _, tags in told if name == "pixelbrain_failures"]
    assert len(kinds) == 100 and len(set(kinds)) == 41 and max(map(len, kinds)) == 60

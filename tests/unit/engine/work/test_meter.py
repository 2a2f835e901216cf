"""What a meter is told and makes of it, and the name under which a run is found."""

from __future__ import annotations

import re

from pixelbrain.engine.work.meter import Meter, run_label


class Heard(Meter):
    """Keeps what it counts."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float, dict[str, str]]] = []

    def count(self, name: str, amount: float, **labels: str) -> None:
        self.told.append((name, amount, labels))

    gauge = count


def test_images_are_told_by_status_and_failures_by_kind():
    meter = Heard()
    meter.images(7, 2, {"DecodeError": 1, "size: RuntimeError": 1})
    assert meter.told == [
        ("images", 5, {"status": "ok"}),
        ("images", 2, {"status": "failed"}),
        ("failures", 1, {"kind": "DecodeError"}),
        ("failures", 1, {"kind": "size: RuntimeError"}),
    ]


def test_a_queue_is_never_less_than_empty_and_no_budget_is_no_gauge():
    meter = Heard()
    meter.queue(3, 5)
    meter.limiter(1, 0.5, None)
    assert [(name, value) for name, value, _ in meter.told] == [
        ("images_pending", 3), ("queue", 0), ("requests_in_flight", 1), ("spent_usd", 0.5),
    ]  # fmt: skip


def test_the_silent_meter_takes_everything():
    meter = Meter()
    meter.module("size", 4, 0.1, "cpu")
    meter.count("requests", 1, outcome="answered")
    assert not vars(meter)


def test_runs_on_one_out_share_a_label_and_namesakes_do_not():
    assert run_label("s3://bucket/holiday 2026/") == run_label("s3://bucket/holiday 2026")
    ours, theirs = run_label("/home/ann/out"), run_label("/home/bob/out")
    assert ours != theirs and ours.startswith("out-") and theirs.startswith("out-")
    for out in ("s3://bucket", "/", "s3://b/ü\n{}\"=,'", "/" + "x" * 300):
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,40}-[0-9a-f]{4}", run_label(out))

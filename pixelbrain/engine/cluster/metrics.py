"""The meter that Ray's Prometheus endpoint carries: every node's metrics agent shows it, as `ray_pixelbrain_...`.

Counters end in `_total` there. A process reports every 10 s (RAY_metrics_report_interval_ms) and when it ends in
order; the agent of its node keeps the counters of processes that have ended, and drops their gauges 20 s later. Ray
adds the labels WorkerId, NodeAddress and SessionName.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ray.util.metrics import Counter, Gauge

from pixelbrain.engine.work.meter import Meter

#: Name -> (kind, what it says, labels besides `run`). Names and labels are what dashboards depend on.
METRICS: Mapping[str, tuple[type[Counter] | type[Gauge], str, tuple[str, ...]]] = {
    "pixelbrain_images": (Counter, "Images done, by status: ok or failed", ("lane", "status")),
    "pixelbrain_failures": (Counter, "Failures by kind; an image may have several", ("lane", "kind")),
    "pixelbrain_images_pending": (Gauge, "Images that the run has to do, as far as its source is listed", ("lane",)),
    "pixelbrain_queue": (Gauge, "Of them, those that are left", ("lane",)),
    "pixelbrain_read_bytes": (Counter, "Bytes of images read", ()),
    "pixelbrain_module_images": (Counter, "Images that a module was given", ("module", "device")),
    "pixelbrain_module_seconds": (Counter, "Seconds that workers ran a module", ("module", "device")),
    "pixelbrain_module_workers": (Gauge, "1 for each worker that runs the module", ("module", "device")),
    "pixelbrain_activity_seconds": (Counter, "Seconds that workers did something else", ("activity",)),
    "pixelbrain_requests": (Counter, "Requests sent, by outcome; each try is one", ("outcome",)),
    "pixelbrain_request_seconds": (Counter, "Seconds that requests were on their way", ("outcome",)),
    "pixelbrain_tokens": (Counter, "Tokens billed, by kind: input or output", ("kind",)),
    "pixelbrain_usd": (Counter, "Dollars billed", ()),
    "pixelbrain_limiter_wait_seconds": (Counter, "Seconds that requests waited for the limiter's permit", ()),
    "pixelbrain_requests_in_flight": (Gauge, "Requests permitted, and not settled", ()),
    "pixelbrain_spent_usd": (Gauge, "Dollars spent on these fields of OUT, earlier runs included", ()),
    "pixelbrain_budget_left_usd": (Gauge, "Dollars left of the budget, where there is one", ()),
}

#: Labels are kept few: a server of metrics holds a series for each combination of them.
_MOST_KINDS = 40
_LABEL_LENGTH = 60


class RayMeter(Meter):
    """A `Meter` that is heard, under a run's label and a lane's (extract or ask); each process makes its own series."""

    def __init__(self, run: str, lane: str = "extract") -> None:
        self._tags = {"run": run, "lane": lane}
        self._made: dict[str, Counter | Gauge] = {}
        self._kinds: set[str] = set()

    def __reduce__(self) -> tuple[type[RayMeter], tuple[str, ...]]:
        return RayMeter, tuple(self._tags.values())

    def count(self, name: str, amount: float, **labels: str) -> None:
        """Add to a counter."""
        if name == "failures":
            labels["kind"] = self._bounded(labels["kind"])
        if amount > 0 and math.isfinite(amount):  # Ray raises for less, and a sum never recovers from NaN
            self._metric(name).inc(amount, _short(labels))

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._metric(name).set(value, _short(labels))

    def _metric(self, name: str) -> Counter | Gauge:
        if name not in self._made:
            kind, says, labels = METRICS[f"pixelbrain_{name}"]
            keys = ("run", *labels)
            tags = {key: value for key, value in self._tags.items() if key in keys}
            self._made[name] = kind(f"pixelbrain_{name}", says, keys).set_default_tags(tags)
        return self._made[name]

    def _bounded(self, kind: str) -> str:
        """The kind of a failure as a label; error classes of a user's modules could be any number."""
        kind = kind[:_LABEL_LENGTH]
        if kind not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            return "other"
        self._kinds.add(kind)
        return kind


def _short(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value[:_LABEL_LENGTH] for name, value in labels.items()}

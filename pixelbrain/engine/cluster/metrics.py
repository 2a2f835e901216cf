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

__all__ = ["METRICS", "RayMeter"]

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
_OTHER = "other"
_LABEL_LENGTH = 60


class RayMeter(Meter):
    """A `Meter` that is heard. It can be pickled; each process makes its own series.

    Args:
        run: the label of everything that it tells, see `meter.run_label`.
        lane: extract or ask.
    """

    def __init__(self, run: str, lane: str = "extract") -> None:
        self._run = run
        self._lane = lane
        self._made: dict[str, Counter | Gauge] = {}
        self._kinds: set[str] = set()
        self._modules: set[tuple[str, str]] = set()

    def __reduce__(self) -> tuple[type[RayMeter], tuple[str, str]]:
        return RayMeter, (self._run, self._lane)

    def images(self, done: int, failed: int, failures: Mapping[str, int]) -> None:
        """See `Meter.images`."""
        self._add("pixelbrain_images", done - failed, lane=self._lane, status="ok")
        self._add("pixelbrain_images", failed, lane=self._lane, status="failed")
        for kind, count in failures.items():
            self._add("pixelbrain_failures", count, lane=self._lane, kind=self._bounded(kind))

    def queue(self, pending: int, done: int) -> None:
        """See `Meter.queue`."""
        self._set("pixelbrain_images_pending", pending, lane=self._lane)
        self._set("pixelbrain_queue", max(0, pending - done), lane=self._lane)

    def read(self, bytes_: int) -> None:
        """See `Meter.read`."""
        self._add("pixelbrain_read_bytes", bytes_)

    def module(self, name: str, images: int, seconds: float, device: str) -> None:
        """See `Meter.module`."""
        labels = {"module": name[:_LABEL_LENGTH], "device": device}
        if (name, device) not in self._modules:
            self._modules.add((name, device))
            self._set("pixelbrain_module_workers", 1, **labels)
        self._add("pixelbrain_module_images", images, **labels)
        self._add("pixelbrain_module_seconds", seconds, **labels)

    def activity(self, name: str, seconds: float) -> None:
        """See `Meter.activity`."""
        self._add("pixelbrain_activity_seconds", seconds, activity=name)

    def request(self, outcome: str, seconds: float, input_tokens: int = 0, output_tokens: int = 0) -> None:
        """See `Meter.request`."""
        self._add("pixelbrain_requests", 1, outcome=outcome)
        self._add("pixelbrain_request_seconds", seconds, outcome=outcome)
        self._add("pixelbrain_tokens", input_tokens, kind="input")
        self._add("pixelbrain_tokens", output_tokens, kind="output")

    def spent(self, usd: float) -> None:
        """See `Meter.spent`."""
        self._add("pixelbrain_usd", usd)

    def waited(self, seconds: float) -> None:
        """See `Meter.waited`."""
        self._add("pixelbrain_limiter_wait_seconds", seconds)

    def limiter(self, in_flight: int, spent_usd: float, left_usd: float | None) -> None:
        """See `Meter.limiter`."""
        self._set("pixelbrain_requests_in_flight", in_flight)
        self._set("pixelbrain_spent_usd", spent_usd)
        if left_usd is not None:
            self._set("pixelbrain_budget_left_usd", left_usd)

    # --- inside --------------------------------------------------------------------------------------------------

    def _add(self, name: str, amount: float, **labels: str) -> None:
        if amount > 0 and math.isfinite(amount):  # Ray raises for less, and a sum never recovers from NaN
            self._metric(name).inc(amount, labels)

    def _set(self, name: str, value: float, **labels: str) -> None:
        self._metric(name).set(value, labels)

    def _metric(self, name: str) -> Counter | Gauge:
        if name not in self._made:
            kind, says, labels = METRICS[name]
            self._made[name] = kind(name, says, ("run", *labels)).set_default_tags({"run": self._run})
        return self._made[name]

    def _bounded(self, kind: str) -> str:
        """The kind of a failure as a label; error classes of a user's modules could be any number."""
        kind = kind[:_LABEL_LENGTH]
        if kind not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            return _OTHER
        self._kinds.add(kind)
        return kind

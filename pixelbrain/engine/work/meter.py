"""What a run tells about itself while it goes on: how much, how fast, what failed. This meter tells nobody.

Whoever works is handed a meter and calls it a few times a batch; `engine.cluster.metrics.RayMeter` is the one that is
heard. No call raises, and none waits.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

_LABEL_LENGTH = 40


class Meter:
    """Takes what happens, and keeps nothing of it.

    The driver says what is done, from what the workers report back, so that a block done twice counts once. The workers
    say what they are busy with, at once: these are rates, and work that is done again is work.
    """

    def count(self, name: str, amount: float, **labels: str) -> None:
        """Add to the counter `name` of `engine.cluster.metrics.METRICS`."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set the gauge `name` of `engine.cluster.metrics.METRICS`."""

    # --- said by the driver --------------------------------------------------------------------------------------

    def images(self, done: int, failed: int, failures: Mapping[str, int]) -> None:
        """Further images are done, so many of them with something that failed; an image may have several failures."""
        self.count("images", done - failed, status="ok")
        self.count("images", failed, status="failed")
        for kind, count in failures.items():
            self.count("failures", count, kind=kind)

    def queue(self, pending: int, done: int) -> None:
        """Where the run is: `pending` images are to do as far as the source is listed, `done` of them by this run."""
        self.gauge("images_pending", pending)
        self.gauge("queue", max(0, pending - done))

    # --- said by the workers -------------------------------------------------------------------------------------

    def read(self, bytes_: int) -> None:
        """So many bytes of images were read."""
        self.count("read_bytes", bytes_)

    def module(self, name: str, images: int, seconds: float, device: str) -> None:
        """A module has looked at a batch, for so many seconds in which its worker could do nothing else."""
        self.gauge("module_workers", 1, module=name, device=device)
        self.count("module_images", images, module=name, device=device)
        self.count("module_seconds", seconds, module=name, device=device)

    def activity(self, name: str, seconds: float) -> None:
        """A worker did something else than running a module, such as waiting for images, or landing."""
        self.count("activity_seconds", seconds, activity=name)

    # --- said by the asking lane, beside what `asking.online.requester` counts by name ----------------------------

    def limiter(self, in_flight: int, spent_usd: float, left_usd: float | None) -> None:
        """Where the limiter is: what is spent includes earlier runs, and what lost requests may have cost.

        Nothing was heard yet of the requests in flight; `left_usd` is None where there is no budget.
        """
        self.gauge("requests_in_flight", in_flight)
        self.gauge("spent_usd", spent_usd)
        if left_usd is not None:
            self.gauge("budget_left_usd", left_usd)


def run_label(out: str) -> str:
    """A short name for the runs on an OUT: the last part of its URI and four digits that tell it from its namesakes."""
    out = out.rstrip("/")
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", out.rpartition("/")[2])[:_LABEL_LENGTH] or "out"
    return f"{name}-{hashlib.sha256(out.encode()).hexdigest()[:4]}"

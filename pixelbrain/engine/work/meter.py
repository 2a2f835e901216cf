"""What a run tells about itself while it goes on: how much, how fast, what failed. This meter tells nobody.

Whoever works is handed a meter and calls it a few times a batch; `engine.cluster.metrics.RayMeter` is the one that is
heard. No call raises, and none waits.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

__all__ = ["Meter", "run_label"]

_LABEL_LENGTH = 40


class Meter:
    """Takes what happens, and keeps nothing of it.

    The driver says what is done, from what the workers report back, so that a block done twice counts once. The workers
    say what they are busy with, at once: these are rates, and work that is done again is work.
    """

    # --- said by the driver --------------------------------------------------------------------------------------

    def images(self, done: int, failed: int, failures: Mapping[str, int]) -> None:
        """Further images are done.

        Args:
            done: how many.
            failed: of them, those on which something failed.
            failures: by kind; an image may have several.
        """

    def queue(self, pending: int, done: int) -> None:
        """Where the run is.

        Args:
            pending: images that this run has to do, as far as the source is listed.
            done: of them, by this run.
        """

    # --- said by the workers -------------------------------------------------------------------------------------

    def read(self, bytes_: int) -> None:
        """So many bytes of images were read."""

    def module(self, name: str, images: int, seconds: float, device: str) -> None:
        """A module has looked at a batch.

        Args:
            name: of the module.
            images: that it was given.
            seconds: that its worker could do nothing else.
            device: that it ran on, such as cpu or cuda.
        """

    def activity(self, name: str, seconds: float) -> None:
        """A worker did something else than running a module, such as waiting for images, or landing."""

    # --- said by the asking lane ---------------------------------------------------------------------------------

    def request(self, outcome: str, seconds: float, input_tokens: int = 0, output_tokens: int = 0) -> None:
        """A request came to an end; each try is one.

        Args:
            outcome: answered, or why not, in a word.
            seconds: on its way.
            input_tokens: billed.
            output_tokens: billed.
        """

    def spent(self, usd: float) -> None:
        """So many dollars were billed."""

    def waited(self, seconds: float) -> None:
        """A request waited so long for the limiter's permit."""

    def limiter(self, in_flight: int, spent_usd: float, left_usd: float | None) -> None:
        """Where the limiter is.

        Args:
            in_flight: requests that were permitted, and of which nothing was heard yet.
            spent_usd: earlier runs, and what lost requests may have cost, included.
            left_usd: of the budget; None: there is none.
        """


def run_label(out: str) -> str:
    """A short name for the runs on an OUT: the last part of its URI and four digits that tell it from its namesakes."""
    out = out.rstrip("/")
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", out.rpartition("/")[2])[:_LABEL_LENGTH] or "out"
    return f"{name}-{hashlib.sha256(out.encode()).hexdigest()[:4]}"

"""How far a run is: what the workers report, added up, for the display, the metrics and the report."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Mapping

import pyarrow as pa

from pixelbrain.engine.work.meter import Meter
from pixelbrain.engine.work.run_notes import Listing, RunNotes
from pixelbrain.engine.work.tally import Tally
from pixelbrain.errors import ReadError

#: Called with (done, total, failed) images; the total grows while the source is listed.
ExtractProgress = Callable[[int, int, int], None]

_LISTING_EVERY_S = 1.0


class Progress:
    """Adds up over the passes of a run."""

    def __init__(self, notes: RunNotes, progress: ExtractProgress | None) -> None:
        self.notes = notes
        self.meter = Meter()  # until there is a Ray
        self.tally = Tally()
        self.unread_streak = 0  # images in a row that could not be read
        self.working_seconds = 0.0
        self._progress = progress
        self._before = Tally()  # when the current pass began
        self._began: float | None = None
        self._listing = Listing()
        self._listing_at = -_LISTING_EVERY_S

    def begin_pass(self) -> None:
        """What is done from now on counts to a new listing of what is left."""
        self._began = None
        self._before = copy.deepcopy(self.tally)
        self._listing, self._listing_at = Listing(), -_LISTING_EVERY_S
        self.tell()

    @property
    def done_in_pass(self) -> int:
        """Images of the current pass."""
        return self.tally.images - self._before.images

    def recount(self, landed: Tally) -> None:
        """Take what a pass has landed for what it reported: reports are lost with nodes, rows are not."""
        new = landed.failures - (self.tally.failures - self._before.failures)
        failed = landed.failed - (self.tally.failed - self._before.failed)
        self._count(max(0, landed.images - self.done_in_pass), max(0, failed), new)

    def add(self, summary: pa.Table) -> None:
        """Take rows of `tally.SUMMARY_SCHEMA`."""
        now = time.monotonic()
        for row in summary.to_pylist():
            failures, seconds = json.loads(row["failures"]), json.loads(row["seconds"])
            if self._began is None:  # when the first one's work began
                self._began = now - sum(seconds.values())
            self._count(row["images"], row["failed"], failures)
            self.tally.turned += row["turned"]
            unread = row["images"] and failures.get(ReadError.__name__) == row["images"]
            self.unread_streak = self.unread_streak + row["images"] if unread else 0
            for activity, spent in seconds.items():
                self.tally.seconds[activity] += spent
        if self._began is not None:
            self.working_seconds += now - self._began
            self._began = now
        self.tell()

    def _count(self, images: int, failed: int, failures: Mapping[str, int]) -> None:
        self.tally.images += images
        self.tally.failed += failed
        self.tally.failures.update(failures)
        self.meter.images(images, failed, failures)

    def tell(self) -> None:
        """Show where the run is."""
        if not self._listing.complete and time.monotonic() - self._listing_at >= _LISTING_EVERY_S:
            self._listing, self._listing_at = self.notes.read_listing(), time.monotonic()
        total = max(self.tally.images, self._before.images + self._listing.pending)
        self.meter.queue(total, self.tally.images)
        if self._progress:
            self._progress(self.tally.images, total, self.tally.failed)

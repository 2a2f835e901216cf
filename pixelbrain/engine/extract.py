"""Extract: stream the images that are left to do through the modules, and land a row for each."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pixelbrain.engine.interrupt import Interrupt
from pixelbrain.engine.notes import Listing, RunNotes
from pixelbrain.engine.plan import Plan, make_plan
from pixelbrain.engine.session import ray_session
from pixelbrain.engine.worker import WorkOrder
from pixelbrain.engine.worklist import Worklist, peek
from pixelbrain.errors import ConfigError, EngineError, OutLockedError, ReadError, SourceError
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.generations import claim_generation
from pixelbrain.landing.parquet import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.landing.place import Place
from pixelbrain.landing.prune import prune as prune_images
from pixelbrain.landing.run_lock import RunLock
from pixelbrain.modules.base import PipelineModule
from pixelbrain.sources.base import IMAGE_SUFFIXES

__all__ = ["ExtractProgress", "ExtractReport", "extract"]

logger = logging.getLogger(__name__)

#: Called with (done, total, failed) images; the total grows while the source is listed.
ExtractProgress = Callable[[int, int, int], None]

_LISTING_EVERY_S = 1.0

#: So many in a row that cannot be read are a server that went away: not the images' fault, and each of them waits.
_UNREAD_STREAK = 500


@dataclass(frozen=True, kw_only=True)
class ExtractReport:
    """What a run of `extract` did."""

    listed: int
    done: int  # of them, in this run; the others had landed before
    failed: int  # of those done: images that could not be read, or on which a module failed
    failures: Mapping[str, int]  # by kind
    gone: int  # landed earlier, and in the source no longer; pruned if that was asked for
    stopped: bool  # by Ctrl-C, before all was done
    seconds: float  # all of it, Ray's start and the models' included
    seconds_by_activity: Mapping[str, float]  # of the actors at work, summed over them
    plan: Plan | None  # None: nothing was left to do

    @property
    def images_per_s(self) -> float:
        """The actors' rate while they work; 0 where nothing was left to do."""
        busy = sum(self.seconds_by_activity.values())
        return self.done * self.plan.actors / busy if self.plan and busy else 0.0


def extract(
    loader: DataLoader,
    modules: Sequence[PipelineModule],
    out: str | Path | Place,
    *,
    device: str = "auto",
    retry_failed: bool = False,
    force: bool = False,
    prune: bool = False,
    progress: ExtractProgress | None = None,
    debug: bool = False,
) -> ExtractReport:
    """Run the modules over a source's images and land one row an image in OUT.

    Images that have landed with the same settings are not read again. A broken image is a `failed` row. Ctrl-C lands
    what is in flight, and ends the run within half a minute; the next run does the rest.

    Args:
        loader: which images.
        modules: what to find out about each.
        out: a folder, or s3://bucket/prefix.
        device: auto takes GPUs if Ray reports any.
        retry_failed: do images again that failed, or on which a module failed.
        force: do all images again, whatever has landed.
        prune: remove images from OUT that are gone from the source.
        progress: see `ExtractProgress`.
        debug: show Ray's own log.

    Raises:
        SourceError: the source cannot be listed, or holds no image.
        WeightsError: a model's weights cannot be had.
        OutLockedError: another run works on OUT.
        EngineError: Ray cannot be started, lacks what the plan reserves, or lost the actors for good.
    """
    started = time.monotonic()
    names = [module.name for module in modules]
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"modules are {names}: at least one, and no name twice")
    landing = Landing(out, s3_endpoint=loader.s3_endpoint)
    tables, complete = peek(loader.list_images())
    if not any(map(len, tables)):
        raise SourceError(f"no image in {loader.source}: looked for {' '.join(IMAGE_SUFFIXES)}")
    for module in modules:
        module.prepare()
    states = {m.name: ModuleState(settings=m.settings(), model=m.model_info()) for m in modules}
    with RunLock(landing.place, what="extract") as lock:
        for name in landing.set_aside_broken():
            logger.warning("%s could not be read, and was set aside: its images are done again", name)
        notes = RunNotes(landing.place)
        notes.clear()
        worklist = Worklist(
            loader=loader,
            place=landing.place,
            settings_hashes={name: state.settings_hash for name, state in states.items()},
            generation=claim_generation(landing.place),
            retry_failed=retry_failed,
            force=force,
            tables=tables if complete else None,
        )
        tally = _Tally(notes, progress)
        plan, stopped = _work(worklist, modules, states, device, tally, lock, debug)
        gone = None if stopped else notes.read_gone()
        if prune and gone is not None:
            prune_images(landing, gone)
        listing = notes.read_listing()
        notes.clear()
        landing.refresh()
    if not stopped and tally.done < listing.pending:
        raise EngineError(
            f"{listing.pending - tally.done:,} images did not come back from the workers: the same command does them"
        )
    return ExtractReport(
        listed=listing.listed,
        done=tally.done,
        failed=tally.failed,
        failures=dict(tally.failures.most_common()),
        gone=len(gone) if gone is not None else 0,
        stopped=stopped,
        seconds=time.monotonic() - started,
        seconds_by_activity=dict(tally.seconds),
        plan=plan,
    )


def _work(
    worklist: Worklist,
    modules: Sequence[PipelineModule],
    states: Mapping[str, ModuleState],
    device: str,
    tally: _Tally,
    lock: RunLock,
    debug: bool,
) -> tuple[Plan | None, bool]:
    """Work the list off. Returns the plan, None where nothing was left to do, and whether the run was stopped."""
    pending = None
    if worklist.tables is not None:  # known already, so that nothing is started for nothing
        pending = worklist.count_pending()
        if not pending:
            return None, False
    with ray_session(debug=debug):
        import ray

        from pixelbrain.engine.dataset import work_off  # imports Ray, which nothing to do needs not

        plan = make_plan(pending, ray.cluster_resources(), batch_size=max(m.batch_size for m in modules), device=device)
        order = WorkOrder(
            place=worklist.place,
            generation=worklist.generation,
            states=states,
            s3_endpoint=worklist.loader.s3_endpoint,
            versions_as_read=worklist.loader.open().lists_read_versions,
            device=plan.device,
            threads=plan.threads_per_actor,
        )
        tally.tell()
        worklist = dataclasses.replace(worklist, block_rows=plan.block_rows)
        # inside the session: importing Ray sets a handler of its own
        with (
            Interrupt(tally.notes.request_stop) as interrupt,
            contextlib.closing(work_off(worklist, modules, order, plan, debug=debug)) as summaries,
        ):
            try:
                for summary in summaries:
                    tally.add(summary)
                    if lock.lost:
                        raise OutLockedError(f"another run took {worklist.place} over while this one was asleep")
                    if tally.unread_streak >= _UNREAD_STREAK:
                        raise EngineError(
                            f"the last {tally.unread_streak:,} images could not be read: is {worklist.loader.source} "
                            "still there? The same command with --retry-failed goes on"
                        )
            except KeyboardInterrupt:
                if not interrupt.requested:
                    raise
        return plan, interrupt.requested


class _Tally:
    """Adds up what the workers report, and passes it on."""

    def __init__(self, notes: RunNotes, progress: ExtractProgress | None) -> None:
        self.notes = notes
        self.done = 0
        self.failed = 0
        self.failures: collections.Counter[str] = collections.Counter()
        self.seconds: dict[str, float] = collections.defaultdict(float)
        self.unread_streak = 0
        self._progress = progress
        self._listing = Listing()
        self._listing_at = -_LISTING_EVERY_S

    def add(self, summary: pa.Table) -> None:
        """Take rows of `SUMMARY_SCHEMA`."""
        for row in summary.to_pylist():
            self.done += row["images"]
            self.failed += row["failed"]
            failures = json.loads(row["failures"])
            self.failures.update(failures)
            unread = row["images"] and failures.get(ReadError.__name__) == row["images"]
            self.unread_streak = self.unread_streak + row["images"] if unread else 0
            for activity, seconds in json.loads(row["seconds"]).items():
                self.seconds[activity] += seconds
        self.tell()

    def tell(self) -> None:
        """Show where the run is."""
        if not self._progress:
            return
        if not self._listing.complete and time.monotonic() - self._listing_at >= _LISTING_EVERY_S:
            self._listing, self._listing_at = self.notes.read_listing(), time.monotonic()
        self._progress(self.done, max(self.done, self._listing.pending), self.failed)

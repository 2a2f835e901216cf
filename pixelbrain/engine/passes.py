"""A run on a cluster whose nodes come and go: a pass over what is left, and another one where nodes were lost."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence

from pixelbrain.config import Placement
from pixelbrain.engine.cluster.session import ray_session
from pixelbrain.engine.interrupt import Interrupt
from pixelbrain.engine.plan.make import check_fit, make_plan
from pixelbrain.engine.plan.nodes import cluster_nodes
from pixelbrain.engine.plan.pools import Need, Plan
from pixelbrain.engine.preflight import check_shared
from pixelbrain.engine.progress import Progress
from pixelbrain.engine.work.environment import DriverEnvironment
from pixelbrain.engine.work.meter import run_label
from pixelbrain.engine.work.open import Tally, WorkOrder
from pixelbrain.engine.work.worklist import Left, Worklist
from pixelbrain.errors import EngineError, OutLockedError
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState, claim_generation
from pixelbrain.landing.reader import read_columns
from pixelbrain.locks.run import RunLock
from pixelbrain.modules.base import PipelineModule

__all__ = ["Passes"]

logger = logging.getLogger(__name__)

#: So many in a row that cannot be read are a server that went away: not the images' fault, and each of them waits.
_UNREAD_STREAK = 500

#: Passes that were broken off before anything had landed.
_MOST_IN_VAIN = 3

#: An actor whose node died waits so long for room on another, before a new pass does without it; where nodes start
#: when they are asked for, a lost one is replaced within minutes.
_PATIENCE_S = 15.0
_PATIENCE_AUTOSCALE_S = 900.0

#: Where all nodes are lost, so long for some to come back.
_NODES_BACK_S = 900.0
_LOOK_EVERY_S = 2.0


class Passes:
    """Works a list off, in one pass where no node is lost.

    Args:
        worklist: what is to do.
        modules: what to run.
        states: what computes their columns.
        placement: the user's wishes.
        progress: hears what is done.
        lock: of OUT.
        debug: show Ray's own log.
    """

    def __init__(
        self,
        worklist: Worklist,
        modules: Sequence[PipelineModule],
        states: Mapping[str, ModuleState],
        placement: Placement,
        progress: Progress,
        lock: RunLock,
        *,
        debug: bool = False,
    ) -> None:
        self.plan: Plan | None = None  # the last one; None: nothing was left to do
        self.stopped = False  # by Ctrl-C, before all was done
        self._worklist = worklist
        self._modules = modules
        self._states = states
        self._placement = placement
        self._progress = progress
        self._lock = lock
        self._debug = debug

    def work(self) -> None:
        """Do it all, or until a stop is asked for.

        Raises:
            OutLockedError, LandingError, SourceError, EngineError: see `extract`.
        """
        left = self._left()
        if isinstance(left, list) and not left:
            return  # nothing is started for nothing
        with ray_session(debug=self._debug):
            from pixelbrain.engine.cluster.metrics import RayMeter

            self._progress.meter = RayMeter(run_label(self._worklist.storage.uri))
            check_shared(cluster_nodes(), self._worklist.storage, self._worklist.loader)
            # inside the session: importing Ray sets a handler of its own
            with Interrupt(self._progress.notes.request_stop) as interrupt:
                in_vain = 0
                while self._one_pass(left, interrupt):
                    self._after_loss()
                    in_vain = 0 if self._progress.done_in_pass else in_vain + 1
                    if in_vain == _MOST_IN_VAIN:
                        raise EngineError(
                            "Ray loses its workers, or the nodes that they are on, before any image is done (--debug "
                            "shows how); what has landed stays: the same command goes on"
                        )
                    left = self._left()
                self.stopped = interrupt.requested

    def _left(self) -> Worklist | list[Left]:
        """What is left to do: a list where the listing is known."""
        return list(self._worklist) if self._worklist.tables is not None else self._worklist

    def _one_pass(self, left: Worklist | list[Left], interrupt: Interrupt) -> bool:
        """Work off what is left. Returns whether nodes were lost, so that there may be more to do."""
        from pixelbrain.engine.dataset import Crew, work_off  # imports Ray, which nothing to do needs not
        from pixelbrain.engine.node_loss import NodesGone

        known = sum(len(rows) for _, rows in left) if isinstance(left, list) else None
        self.plan = plan = self._make_plan(known, interrupt)
        if plan is None:
            return False
        worklist, progress = self._worklist, self._progress
        progress.begin_pass()
        crew = Crew(
            modules=self._modules,
            order=WorkOrder(
                storage=worklist.storage,
                generation=worklist.generation,
                states=self._states,
                s3_endpoint=worklist.loader.s3_endpoint,
                versions_as_read=worklist.loader.open().lists_read_versions,
            ),
            environment=DriverEnvironment(),
            meter=progress.meter,
        )
        patience = _PATIENCE_AUTOSCALE_S if self._placement.autoscale else _PATIENCE_S
        summaries = work_off(left, crew, plan, patience_s=patience, debug=self._debug)
        with contextlib.closing(summaries):
            try:
                for summary in summaries:
                    progress.add(summary)
                    self._check()
            except NodesGone:
                return not interrupt.requested
            except KeyboardInterrupt:
                if not interrupt.requested:
                    raise
        pending = progress.notes.read_listing().pending
        if not interrupt.requested and progress.done_in_pass < pending:
            raise EngineError(
                f"{pending - progress.done_in_pass:,} images did not come back from the workers: the same command "
                "does them"
            )
        return False

    def _make_plan(self, images: int | None, interrupt: Interrupt) -> Plan | None:
        """The plan for the nodes that there are; after a loss, some are waited for. None: a stop was asked for."""
        needs = [Need.of(module) for module in self._modules]
        first, deadline = self.plan is None, time.monotonic() + _NODES_BACK_S
        while not interrupt.requested:
            try:
                nodes = cluster_nodes()
                plan = make_plan(images, nodes, needs, self._placement)
                if not self._placement.autoscale:
                    check_fit(plan, nodes)
                return plan
            except EngineError as error:
                if first or time.monotonic() > deadline:
                    raise
                logger.info("waiting for nodes: %s", error)
                time.sleep(_LOOK_EVERY_S)
        return None

    def _check(self) -> None:
        if self._lock.lost:
            raise OutLockedError(f"another run took {self._worklist.storage} over while this one was asleep")
        if self._progress.unread_streak >= _UNREAD_STREAK:
            raise EngineError(
                f"the last {self._progress.unread_streak:,} images could not be read: is "
                f"{self._worklist.loader.source} still there? The same command with --retry-failed goes on"
            )

    def _after_loss(self) -> None:
        """Count what the lost nodes had landed and not reported, and begin a new generation for the rest."""
        landing = Landing(self._worklist.storage)
        logger.warning("nodes were lost: going on with those that are left, and with what has not landed")
        tally = Tally()
        for part in landing.parts:
            if part.generation == self._worklist.generation:
                names = list(part.modules)
                tally.add(read_columns(part, ["status", "error_type", *(f"{n}.error_type" for n in names)]), names)
        self._progress.recount(tally)
        self._progress.notes.clear()
        self._worklist = dataclasses.replace(
            self._worklist,
            generation=claim_generation(landing.storage),
            first_generation=self._worklist.first_generation or self._worklist.generation,
        )

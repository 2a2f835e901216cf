"""A run: a pass over what is left, and, where nodes come and go, another one when some were lost."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pixelbrain.engine.choose import choose_executor
from pixelbrain.engine.executor import Executor, Job, NodesGone
from pixelbrain.engine.interrupt import Interrupt
from pixelbrain.engine.plan.make import check_fit, make_plan
from pixelbrain.engine.plan.nodes import Node
from pixelbrain.engine.plan.pools import Plan
from pixelbrain.engine.progress import Progress
from pixelbrain.engine.work.tally import Tally
from pixelbrain.engine.work.worklist import Left, Worklist, WorkOrder
from pixelbrain.errors import EngineError, OutLockedError
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import claim_generation
from pixelbrain.landing.reader import read_columns
from pixelbrain.locks.run import RunLock
from pixelbrain.modules.base import PipelineModule, needs_of, with_actors

logger = logging.getLogger(__name__)

#: So many in a row that cannot be read are a server that went away: not the images' fault, and each of them waits.
_UNREAD_STREAK = 500

#: Passes that were broken off before anything had landed.
_MOST_IN_VAIN = 3

#: Where all nodes are lost, so long for some to come back.
_NODES_BACK_S = 900.0
_LOOK_EVERY_S = 2.0


@dataclass(kw_only=True)
class Passes:
    """Works a list off, in one pass where no node is lost."""

    job: Job
    worklist: Worklist
    order: WorkOrder  # of the worklist's generation, as of the first pass
    landing: Landing  # where it lands
    progress: Progress
    lock: RunLock  # of OUT
    plan: Plan | None = field(default=None, init=False)  # the last one; None: nothing was left to do
    stopped: bool = field(default=False, init=False)  # by Ctrl-C, before all was done

    def work(self) -> None:
        """Do it all, or until a stop is asked for; raises as `extract` does."""
        left = self._left()
        if not left if isinstance(left, list) else left.is_done(self.landing):
            return  # nothing is started for nothing
        executor = choose_executor(self.job, _looks(left, self.job.modules))
        if nodes := executor.nodes_to_be():  # what has no room is said before anything is started for it
            check_fit(self._plan_for(left, nodes), nodes)
        # the session first: importing Ray sets a handler of its own
        with executor.session() as self.progress.meter, Interrupt(self.progress.notes.request_stop) as interrupt:
            in_vain = 0
            while self._one_pass(left, executor, interrupt):
                self._after_loss()
                in_vain = 0 if self.progress.done_in_pass else in_vain + 1
                if in_vain == _MOST_IN_VAIN:
                    raise EngineError(
                        "Ray loses its workers, or the nodes that they are on, before any image is done (--debug "
                        "shows how); what has landed stays: the same command goes on"
                    )
                left = self._left()
            self.stopped = interrupt.requested

    def _plan_for(self, left: Worklist | list[Left], nodes: Sequence[Node]) -> Plan:
        images = sum(len(rows) for _, rows in left) if isinstance(left, list) else None  # else nobody knows yet
        return make_plan(images, nodes, needs_of(self.job.modules), self.job.placement)

    def _left(self) -> Worklist | list[Left]:
        """What is left to do: a list where the listing is known."""
        return list(self.worklist.left(self.landing)) if self.worklist.tables is not None else self.worklist

    def _one_pass(self, left: Worklist | list[Left], executor: Executor, interrupt: Interrupt) -> bool:
        """Work off what is left. Returns whether nodes were lost, so that there may be more to do."""
        self.plan = plan = self._make_plan(left, executor, interrupt)
        if plan is None:
            return False
        progress = self.progress
        progress.begin_pass()
        as_read = self.worklist.loader.open().lists_read_versions
        order = dataclasses.replace(self.order, generation=self.worklist.generation, versions_as_read=as_read)
        with contextlib.closing(executor.work_off(left, order, plan)) as summaries:
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
            lost = pending - progress.done_in_pass
            raise EngineError(f"{lost:,} images did not come back from the workers: the same command does them")
        return False

    def _make_plan(self, left: Worklist | list[Left], executor: Executor, interrupt: Interrupt) -> Plan | None:
        """The plan for the nodes that there are; after a loss, some are waited for. None: a stop was asked for."""
        first, deadline = self.plan is None, time.monotonic() + _NODES_BACK_S
        while not interrupt.requested:
            try:
                nodes = executor.nodes()
                plan = self._plan_for(left, nodes)
                if not self.job.placement.autoscale:
                    check_fit(plan, nodes)
                return plan
            except EngineError as error:
                if first or time.monotonic() > deadline:
                    raise
                logger.info("waiting for nodes: %s", error)
                time.sleep(_LOOK_EVERY_S)
        return None

    def _check(self) -> None:
        if self.lock.lost:
            raise OutLockedError(f"another run took {self.landing.storage} over while this one was asleep")
        if self.progress.unread_streak >= _UNREAD_STREAK:
            raise EngineError(
                f"the last {self.progress.unread_streak:,} images could not be read: is "
                f"{self.job.source} still there? The same command with --retry-failed goes on"
            )

    def _after_loss(self) -> None:
        """Count what the lost nodes had landed and not reported, and begin a new generation for the rest."""
        landing = self.landing
        landing.refresh()
        logger.warning("nodes were lost: going on with those that are left, and with what has not landed")
        tally = Tally()
        for part in landing.parts:
            if part.generation == self.worklist.generation:
                names = list(part.modules)
                tally.add(read_columns(part, ["status", "error_type", *(f"{n}.error_type" for n in names)]), names)
        self.progress.recount(tally)
        self.progress.notes.clear()
        self.worklist = dataclasses.replace(
            self.worklist,
            generation=claim_generation(landing.storage),
            first_generation=self.worklist.first_generation or self.worklist.generation,
        )


def _looks(left: Worklist | list[Left], modules: Sequence[PipelineModule]) -> int | None:
    """How often a model has to look at an image, where the listing is known."""
    models = with_actors(needs_of(modules)).keys()
    return sum(len(models & {*names}) * len(rows) for names, rows in left) if isinstance(left, list) else None

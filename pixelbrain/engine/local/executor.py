"""A run on this machine alone: its workers are processes of our own, which start in the time of their imports."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait

import cloudpickle
import pyarrow as pa

from pixelbrain.engine.cluster.session import RAY_ENVIRONMENT
from pixelbrain.engine.executor import Job
from pixelbrain.engine.local.worker import Worker
from pixelbrain.engine.plan.nodes import Node, this_machine
from pixelbrain.engine.plan.pools import Plan, Pool
from pixelbrain.engine.work.fused import CALLS, ImageWorker
from pixelbrain.engine.work.meter import Meter
from pixelbrain.engine.work.worklist import Left, Worklist, WorkOrder, blocks
from pixelbrain.machine import spare_pandas
from pixelbrain.modules.base import PipelineModule

_LOOK_EVERY_S = 1.0  # what ends a wait from another thread, as the second step of Ctrl-C does, wakes nobody


@dataclass(frozen=True, kw_only=True)
class LocalExecutor:
    """The workers of the fused layout, without Ray: there is no object store to fill, and no node to lose."""

    job: Job

    def nodes_to_be(self) -> list[Node]:
        """Nothing takes long to start: `nodes` says it."""
        return []

    @contextlib.contextmanager
    def session(self) -> Iterator[Meter]:
        """Nobody hears the meter: metrics are Ray's."""
        yield Meter()

    def nodes(self) -> list[Node]:
        """This machine."""
        return this_machine()

    def work_off(self, left: Worklist | Sequence[Left], order: WorkOrder, plan: Plan) -> Iterator[pa.Table]:
        """As `Executor` says; what is listed is listed here, as it is needed."""
        (pool,) = plan.pools
        order = dataclasses.replace(order, device=pool.device, threads=pool.threads)
        # by value what a script or a notebook defines, as Ray sends it, too
        make = cloudpickle.dumps(functools.partial(_make, list(self.job.modules), order))
        workers = [
            Worker(make=make, environment=_environment(pool, number), debug=self.job.debug)
            for number in range(pool.min_actors)
        ]
        todo = blocks(left, plan.block_rows)
        try:
            while True:
                # a second block is for who has one when all have
                while (least := min(workers, key=lambda worker: worker.in_hand)).in_hand < CALLS:
                    if (block := next(todo, None)) is None:
                        break
                    least.take(block)
                busy = {worker.pipe: worker for worker in workers if worker.in_hand}
                if not busy:
                    return
                for pipe in wait(list(busy), _LOOK_EVERY_S):
                    if (summary := busy[pipe].result()) is not None:
                        yield summary
        finally:
            for worker in workers:
                worker.end()


def _make(modules: Sequence[PipelineModule], order: WorkOrder, *, wary: bool) -> ImageWorker:
    """In its process, before anything is read there."""
    if all(type(module).__module__.startswith("pixelbrain.") for module in modules):  # others may give pyarrow a Series
        spare_pandas()
    return ImageWorker(modules, order, wary=wary)


def _environment(pool: Pool, number: int) -> dict[str, str]:
    """As Ray has it for its workers."""
    return {**RAY_ENVIRONMENT, "OMP_NUM_THREADS": str(pool.threads), **os.environ, **_card(pool, number)}


def _card(pool: Pool, number: int) -> dict[str, str]:
    """Which GPUs the worker of this number sees, where the plan has given it some."""
    if not pool.gpus:
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    cards = visible.split(",") if visible else [str(card) for card in range(math.ceil((number + 1) * pool.gpus))]
    first = int(number * pool.gpus + 1e-6)
    return {"CUDA_VISIBLE_DEVICES": ",".join(cards[first : first + max(1, int(pool.gpus))])}

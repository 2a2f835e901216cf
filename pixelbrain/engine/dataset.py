"""The streaming pass of Ray Data: blocks of the worklist in, through a pool of actors, their summaries out."""

from __future__ import annotations

import gc
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata
from ray.exceptions import ActorDiedError, ActorUnavailableError, NodeDiedError, RayError, RaySystemError

from pixelbrain.engine.plan import Plan
from pixelbrain.engine.worker import ImageWorker, WorkOrder
from pixelbrain.engine.worklist import Worklist
from pixelbrain.errors import EngineError, PixelbrainError
from pixelbrain.modules.base import PipelineModule

__all__ = ["work_off"]

logger = logging.getLogger(__name__)

_RESTARTS = 30  # of an actor: each image that kills it costs two
_RETRIES = 5  # of a block: two deaths, the isolation of what caused them, and nodes that go away
_LISTER_CPUS = 0.05  # it waits most of the time; a whole CPU would be missing to the actors
_ROW_BYTES = 1  # a row is more, and so a block of its own: it goes at once, and to the next free actor


class _Lister(Datasource):
    """One task that lists, and streams the blocks of the worklist while it does."""

    def __init__(self, worklist: Worklist) -> None:
        self._worklist = worklist

    def estimate_inmemory_data_size(self) -> int | None:
        """Nobody knows before the listing ends."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """A listing is one stream."""
        worklist = self._worklist
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(lambda: iter(worklist), unknown)]


class _Actor(ImageWorker):
    """The worker as an actor of Ray, which knows whether it takes a dead one's place."""

    def __init__(self, modules: Sequence[PipelineModule], order: WorkOrder) -> None:
        restarted = ray.get_runtime_context().was_current_actor_reconstructed
        super().__init__(modules, order, wary=restarted)


def work_off(
    worklist: Worklist, modules: Sequence[PipelineModule], order: WorkOrder, plan: Plan, *, debug: bool = False
) -> Iterator[pa.Table]:
    """Work the blocks off as `plan` says; yields tables of `worker.SUMMARY_SCHEMA` as they come.

    Raises:
        EngineError: a worker failed on more than an image, or the actors died too often.
    """
    if not debug:  # importing ray.data sets it
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    reason = None
    try:
        yield from _summaries(worklist, modules, order, plan).iter_batches(batch_size=None, batch_format="pyarrow")
    except RayError as error:
        logger.debug("what Ray says", exc_info=True)
        reason = _reason(error)
    if reason is not None:
        # not `from` Ray's error, whose frames hold the actors, and they their CPUs: whoever keeps the last error, as a
        # notebook does, would wait for these in the next run for ever
        gc.collect()
        raise EngineError(reason)


def _summaries(worklist: Worklist, modules: Sequence[PipelineModule], order: WorkOrder, plan: Plan) -> ray.data.Dataset:
    """The pass as a dataset that nobody has begun to read."""
    context = ray.data.DataContext.get_current()
    ours = {
        "target_max_block_size": _ROW_BYTES,
        "enable_progress_bars": False,  # Ray Data's own; ours says what goes on
        "print_on_execution_start": False,
    }
    theirs = {name: getattr(context, name) for name in ours}  # what a notebook's own datasets go by; ours keeps a copy
    for name, value in ours.items():
        setattr(context, name, value)
    try:
        with warnings.catch_warnings():
            # Ray 2.64 drops the way in that these limits have; pyproject admits no such Ray, and there is no other yet
            warnings.simplefilter("ignore")
            if worklist.tables is not None:
                blocks = ray.data.from_arrow(list(worklist))
            else:
                blocks = ray.data.read_datasource(
                    _Lister(worklist), override_num_blocks=1, ray_remote_args={"num_cpus": _LISTER_CPUS}
                )
            return blocks.map_batches(
                _Actor,
                fn_constructor_args=(list(modules), order),
                batch_size=1,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(size=plan.actors),
                num_cpus=plan.cpus_per_actor,
                num_gpus=plan.gpus_per_actor or None,
                max_restarts=_RESTARTS,
                max_task_retries=_RETRIES,
            )
    finally:
        for name, value in theirs.items():
            setattr(context, name, value)


def _reason(error: BaseException) -> str:
    """What went wrong in the worker, in a line: ours as it is, and the last `SomeError: ...` that is not Ray's."""
    if isinstance(error, (ActorDiedError, ActorUnavailableError, NodeDiedError, RaySystemError)):
        return "Ray lost its workers, or the node that they were on; what has landed stays: the same command goes on"
    cause = getattr(error, "cause", None)
    if isinstance(cause, PixelbrainError):
        return str(cause)
    named = re.findall(r"^\s*(?!ray\.)((?:\w+\.)*\w*(?:Error|Exception): .*)$", str(error), re.MULTILINE)
    last = named[-1] if named else type(error).__name__
    if last.startswith("pixelbrain.errors."):  # of what a user's code raises, Ray Data keeps the text alone
        return last.partition(": ")[2]
    return f"the workers failed: {last} (--debug shows all of it)"

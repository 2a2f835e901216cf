"""The streaming pass of Ray Data: blocks of what is left in, through pools of actors, their summaries out."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
import queue
import re
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray import exceptions

from pixelbrain.engine.cluster.metrics import RayMeter
from pixelbrain.engine.executor import NodesGone
from pixelbrain.engine.plan.fused import FUSED
from pixelbrain.engine.plan.pools import Plan, Pool
from pixelbrain.engine.plan.staged import DECODE, LAND, QUEUED_PER_ACTOR
from pixelbrain.engine.ray_private import actors_restarting, between_steps
from pixelbrain.engine.work.environment import DriverEnvironment
from pixelbrain.engine.work.fused import CALLS, ImageWorker
from pixelbrain.engine.work.staged import Decoder, Lander, ModelRunner
from pixelbrain.engine.work.worklist import Left, Worklist, WorkOrder, blocks
from pixelbrain.errors import EngineError, PixelbrainError
from pixelbrain.modules.base import PipelineModule, needs_of, with_actors

logger = logging.getLogger(__name__)

_RESTARTS = 30  # of an actor: each image that kills it costs two
_RETRIES = -1  # of a block, while its actor comes back: before Ray knows of a node's death, it tries several times
#: What was lost with a node, and Ray does not bring back.
_LOST = (
    exceptions.ActorDiedError, exceptions.ActorUnavailableError, exceptions.NodeDiedError, exceptions.ObjectLostError,
    exceptions.RaySystemError,
)  # fmt: skip
_MADE_AHEAD = 64  # blocks of the listing; each has some 20 kB
_CLOSE_S = 10.0  # a page of S3's is long in coming
_ROW_BYTES = 1  # a row is more, and so a block of its own: it goes at once, and to the next free actor
_LOOK_EVERY_S = 2.0  # which actors wait for a node or a process


@dataclass
class LossWatch:
    """Called between two steps of a pass, it notices actors that wait for a node that will not come back.

    Ray starts an actor again whose node died, where there is room. Where there is none for `patience_s` it would wait
    for ever, and with it the blocks that it had in hand: the run goes on in a new pass, on the nodes that are left.
    """

    restarting: Callable[[], Iterable[str]]
    patience_s: float
    _looked_at: float = -_LOOK_EVERY_S
    _since: dict[str, float] = field(default_factory=dict)

    def __call__(self) -> None:
        """Raises `NodesGone` out of the pass."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        self._since = {actor: self._since.get(actor, now) for actor in self.restarting()}
        if any(now - since > self.patience_s for since in self._since.values()):
            raise NodesGone


@dataclass(frozen=True, kw_only=True)
class Crew:
    """What every actor of a pass is given."""

    modules: Sequence[PipelineModule]
    order: WorkOrder
    environment: DriverEnvironment
    meter: RayMeter


class Feed:
    """Blocks of what is left, made in a thread of this process, a few ahead of those that are worked off.

    A process of its own for them would be 0.14 GiB. Pickled, as Ray Data's settings are for its workers, it has none.
    """

    def __init__(self, made: Generator[pa.Table] | None) -> None:
        self._made: queue.Queue[pa.Table | None] = queue.Queue(_MADE_AHEAD)
        self._thread = threading.Thread(target=self._make, args=[made], name="pixelbrain-list", daemon=True)
        self._closed = False
        self.ended = made is None
        self.failure: BaseException | None = None  # of the listing
        if made is not None:
            self._thread.start()

    def __reduce__(self) -> tuple[Any, ...]:
        return Feed, (None,)

    def __call__(self, most: int, wait_s: float) -> list[pa.Table]:
        """The next blocks, at most so many; the first is waited for so long.

        Raises:
            _NotListed: as soon as the listing has failed, see `failure`.
        """
        taken: list[pa.Table] = []
        with contextlib.suppress(queue.Empty):
            while len(taken) < most and not self.ended:
                one = self._made.get(timeout=wait_s) if wait_s and not taken else self._made.get_nowait()
                if one is None:
                    self.ended = True
                else:
                    taken.append(one)
        if self.failure is not None:
            raise _NotListed
        return taken

    def close(self, wait_s: float | None = _CLOSE_S) -> None:
        """Have no more of them made; what lists, ends with the next one, and is waited for so long."""
        self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:  # whoever waits for room there is told
                self._made.get_nowait()
        self._thread.join(wait_s)

    def _make(self, made: Generator[pa.Table]) -> None:
        try:
            for block in made:
                self._made.put(block)
                if self._closed:
                    made.close()
                    return
        except BaseException as error:  # whatever it is, it is for whoever takes the blocks
            self.failure = error
        self._made.put(None)


class _NotListed(Exception):
    """The listing failed."""


class _Actor:
    """A worker as an actor of Ray, which knows whether it takes a dead one's place."""

    def __init__(self, crew: Crew, worker: Callable[..., Any], *own: Any) -> None:
        crew.environment.apply()
        restarted = ray.get_runtime_context().was_current_actor_reconstructed
        self._worker = worker(*own[:1], crew.order, *own[1:], wary=restarted, meter=crew.meter)

    def __call__(self, table: pa.Table) -> Any:
        return self._worker(table)


def work_off(
    left: Worklist | Sequence[Left], crew: Crew, plan: Plan, *, patience_s: float, debug: bool = False
) -> Iterator[pa.Table]:
    """Work off what is left as `plan` says; yields tables of `tally.SUMMARY_SCHEMA` as they come.

    A worklist is listed while the pass goes on. An actor whose node died may wait `patience_s` for room on another.

    Raises:
        NodesGone: Ray lost actors for good, or there is no room any more for all of them; what has landed stays.
        EngineError: a worker failed on more than an image.
    """
    if not debug:  # importing ray.data sets it
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    feed = Feed(blocks(left, plan.block_rows))
    try:
        yield from _summaries(feed, crew, plan, patience_s).iter_batches(batch_size=None, batch_format="pyarrow")
        return
    except NodesGone:
        failure: BaseException = NodesGone()
    except _NotListed:
        failure = feed.failure or EngineError("the listing failed")
    except exceptions.RayError as error:
        logger.debug("what Ray says", exc_info=True)
        failure = NodesGone() if _is_loss(error) else EngineError(_reason(error))
    finally:
        feed.close()
    feed.close(wait_s=None)  # the next pass lists anew, and of two that say how far they are, each would be wrong
    # not `from` Ray's error, whose frames hold the actors, and they their CPUs: whoever keeps the last error, as a
    # notebook does, would wait for these in the next run for ever
    gc.collect()
    raise failure


def _summaries(feed: Feed, crew: Crew, plan: Plan, patience_s: float) -> ray.data.Dataset:
    """The pass as a dataset that nobody has begun to read."""
    context = ray.data.DataContext.get_current()
    ours = {
        "target_max_block_size": _ROW_BYTES,
        "enable_progress_bars": False,  # Ray Data's own; ours says what goes on
        "print_on_execution_start": False,
        "custom_execution_callback_classes": between_steps(lambda: LossWatch(actors_restarting, patience_s), feed),
    }
    theirs = {name: getattr(context, name) for name in ours}  # what a notebook's own datasets go by; ours keeps a copy
    for name, value in ours.items():
        setattr(context, name, value)
    try:
        with warnings.catch_warnings():
            # Ray 2.64 drops the way in that these limits have; pyproject admits no such Ray, and there is no other yet
            warnings.simplefilter("ignore")
            return _pools(ray.data.from_blocks([]), crew, plan)
    finally:
        for name, value in theirs.items():
            setattr(context, name, value)


def _pools(dataset: ray.data.Dataset, crew: Crew, plan: Plan) -> ray.data.Dataset:
    """The dataset through the plan's pools."""
    for pool in plan.pools:
        its = dataclasses.replace(
            crew, order=dataclasses.replace(crew.order, device=pool.device, threads=pool.threads)
        )  # fmt: skip
        worker = _worker(pool, crew, plan)
        # a pool grows where all its actors have more than they can do at once: one that may is not given two at once
        calls = CALLS if worker[0] is ImageWorker and pool.max_actors == pool.min_actors else 1
        rows = -(-pool.batch_size // plan.chunk_rows) if worker[0] is ModelRunner else 1
        dataset = dataset.map_batches(
            type(f"_{worker[0].__name__}", (_Actor,), {}),  # by this name it is in Ray's log and dashboard
            fn_constructor_args=(its, *worker),
            batch_size=rows,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(
                min_size=pool.min_actors,
                max_size=pool.max_actors,
                max_tasks_in_flight_per_actor=QUEUED_PER_ACTOR,
                enable_true_multi_threading=calls > 1,
            ),
            max_concurrency=calls,
            num_cpus=pool.cpus,
            num_gpus=pool.gpus or None,
            max_restarts=_RESTARTS,
            max_task_retries=_RETRIES,
            **_reserved(pool),
        )
    return dataset


def _worker(pool: Pool, crew: Crew, plan: Plan) -> tuple[Any, ...]:
    """What a pool's actors do, and what it is told beside the order."""
    if pool.name == FUSED and plan.layout == "fused":
        return ImageWorker, crew.modules
    if pool.name == DECODE:
        return Decoder, crew.modules, plan.chunk_rows
    if pool.name == LAND:
        return (Lander,)
    models = list(with_actors(needs_of(crew.modules)))
    (module,) = (module for module in crew.modules if module.name == pool.name)
    return ModelRunner, module, models[models.index(pool.name) + 1 :]


def _reserved(pool: Pool) -> dict[str, Any]:
    wanted = {"memory": pool.memory_bytes, "label_selector": dict(pool.labels)}
    return {name: amount for name, amount in wanted.items() if amount}


def _is_loss(error: exceptions.RayError) -> bool:
    """Whether a node or a process went away, and not an actor that cannot even be made, as without a user's module."""
    said = str(error)
    return isinstance(error, _LOST) and "creation task" not in said and "ModuleNotFoundError" not in said


def _reason(error: BaseException) -> str:
    """What went wrong in the worker, in a line: ours as it is, and the last `SomeError: ...` that is not Ray's."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, PixelbrainError):
        return str(cause)
    named = re.findall(r"^\s*(?!ray\.)((?:\w+\.)*\w*(?:Error|Exception): .*)$", str(error), re.MULTILINE)
    last = named[-1] if named else type(error).__name__
    if last.startswith("pixelbrain.errors."):  # of what a user's code raises, Ray Data keeps the text alone
        return last.partition(": ")[2]
    return f"the workers failed: {last} (--debug shows all of it)"

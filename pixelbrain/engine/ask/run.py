"""Ask: async actors send questions about landed images, and one limiter actor says when each request may go.

The lane starts from landed rows and holds no GPU while it waits. Each answer is journalled by the actor that got it,
the moment it is there; what was answered before is not asked again.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.asking.answer_records import AskReport
from pixelbrain.asking.pending import pending_images, spent_usd
from pixelbrain.asking.request.estimate import estimate
from pixelbrain.asking.settings import AskLimits, AskSettings
from pixelbrain.engine.ask.actors import AskingActor, LimiterActor
from pixelbrain.engine.cluster.session import ray_session
from pixelbrain.engine.interrupt import answer, heeded
from pixelbrain.engine.work.environment import DriverEnvironment
from pixelbrain.engine.work.meter import run_label
from pixelbrain.errors import EngineError, PixelbrainError
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.where.language import Condition
from pixelbrain.locks.run import RunLock

if TYPE_CHECKING:
    from pixelbrain.asking.cost.prices import ModelPrice


logger = logging.getLogger(__name__)

_BLOCK_ROWS = 16
_RESTARTS = 10  # of an actor: more than an image that kills it should have, and enough for spot nodes that go away
_GRACE_S = 60.0  # for requests on their way, when a job stops: they are paid for
_LOOK_S = 1.0  # without an answer, and what is waited for is looked up
_SETTLE_S = 10.0  # for the actors to say at the end what the last requests came to


def ask(
    landing: Landing,
    settings: AskSettings,
    price: ModelPrice,
    limits: AskLimits,
    *,
    where: Condition | None = None,
    limit: int | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    waits: Callable[[float, str], None] | None = None,
    debug: bool = False,
) -> AskReport:
    """Ask the questions about all landed images that they are open for, and land the answers.

    Args:
        where: only these images; and with `limit` only the first so many of them.
        progress: called with (done, total, failed) images.
        waits: called with seconds, and for what, while nothing can be sent.

    Raises:
        StopJob: no request can succeed: a wrong key, no money on the account, an unknown model, or one reason for
            which all fail. What was answered before stays.
        EngineError: Ray cannot be started, or lost the actors for good.
        OutLockedError: another process works on this OUT.
    """
    started = time.monotonic()
    log = landing.answer_log
    with RunLock(landing.storage, what="ask"):
        log.fold()  # what a killed run left
        landing.refresh()
        tables = list(pending_images(landing, settings, where))
        rows = pa.concat_tables(tables).slice(0, limit) if tables else None
        report = AskReport(images=0 if rows is None else len(rows))
        if rows is not None:
            try:
                with ray_session(debug=debug), heeded() as heed:
                    _run(rows, landing, settings, price, limits, report, progress or _nobody, waits or _nobody, heed)
            finally:
                log.fold()
                landing.refresh()
    if (stop := report.only_reason()) is not None:
        raise stop
    report.seconds = time.monotonic() - started
    return report


def _nobody(*_told: Any) -> None:
    """Whom nothing is told."""


def _run(
    rows: pa.Table,
    landing: Landing,
    settings: AskSettings,
    price: ModelPrice,
    limits: AskLimits,
    report: AskReport,
    progress: Callable[[int, int, int], None],
    waits: Callable[[float, str], None],
    heed: Callable[[], None],
) -> None:
    """Hand out blocks of images until all are answered, or no request can succeed."""
    import ray
    from ray.exceptions import GetTimeoutError, RayActorError, RayError

    from pixelbrain.engine.cluster.metrics import RayMeter  # imports Ray, which nothing to ask needs not

    actors = min(limits.actors, limits.concurrency, len(rows))
    concurrency = limits.concurrency // actors
    ahead = 2 * concurrency // _BLOCK_ROWS + 2  # blocks: twice what is in flight, so that nobody runs dry
    out, fields = landing.storage, tuple(question.field for question in settings.questions)
    spent = spent_usd(landing.answer_log, fields)
    # should the limiter be lost with requests in flight: the most that they can have cost
    widest, highest = (int(pc.max(rows[side]).as_py() or 1) for side in ("width", "height"))
    at_risk = limits.concurrency * estimate(settings, price, widest, highest).cost_usd_max
    meter, environment = RayMeter(run_label(out.uri), "ask"), DriverEnvironment(asking=True)
    # its process, and its node: until Ray knows that a node is gone, some 10 s, each try to reach it counts as one; the
    # restarts are the limit
    survives = {"max_restarts": _RESTARTS, "max_task_retries": -1}
    limiting = ray.remote(**limiter_placement(), **survives)(LimiterActor)
    limiter = limiting.remote(limits, spent, at_risk, out, fields, environment, meter)
    asking = ray.remote(max_concurrency=ahead + 2, **survives)(AskingActor)
    run_id = uuid.uuid4().hex[:8]
    landing.answer_log.set_lost(run_id, fields, at_risk)  # true from now on, should everything be killed
    askers = [
        asking.options(**asker_placement(n)).remote(
            settings, price, out, limiter, concurrency, f"{run_id}-{n}", environment, meter
        )
        for n in range(actors)
    ]
    queues = _blocks_by_actor(rows, actors)
    in_flight: dict[Any, int] = {
        askers[number].ask.remote(block): number
        for number in range(actors)
        for block in itertools.islice(queues[number], ahead)
    }
    done = failed = 0
    meter.queue(len(rows), done)
    try:
        while in_flight:
            heed()
            ready, _ = ray.wait(list(in_flight), num_returns=1, timeout=_LOOK_S)
            if not ready:
                with contextlib.suppress(RayActorError, GetTimeoutError):  # whoever does not say is asked again
                    said = ray.get([actor.waiting.remote() for actor in (limiter, *askers)], timeout=_LOOK_S)
                    if waiting := max(filter(None, said), default=None):
                        waits(*waiting)
                continue
            (finished,) = ready
            number = in_flight.pop(finished)
            block_report: AskReport = ray.get(finished)
            report.merge(block_report)
            done += block_report.images
            failed += block_report.failed_images
            meter.images(block_report.images, block_report.failed_images, block_report.failures)
            meter.queue(len(rows), done)
            progress(done, len(rows), failed)
            for block in itertools.islice(queues[number], 1):
                in_flight[askers[number].ask.remote(block)] = number
    except KeyboardInterrupt:
        answer("taking the answers that are on their way, which are paid for")
        raise
    except RayError as error:
        if isinstance(cause := getattr(error, "cause", None), PixelbrainError):
            raise cause from None
        raise EngineError(f"the asking actors failed: {str(error).strip().splitlines()[-1]}") from error
    finally:
        if in_flight:  # the job stops early: nothing new is sent, and what is on its way is waited for
            for asker in askers:
                asker.stop.remote()
            ray.wait(list(in_flight), num_returns=len(in_flight), timeout=_GRACE_S)
        with contextlib.suppress(RayError):  # else the risk stays as it was written
            ray.wait([asker.settle.remote() for asker in askers], num_returns=actors, timeout=_SETTLE_S)
            committed = ray.get(limiter.spent_usd.remote(), timeout=_SETTLE_S) - spent
            # answers of blocks that did not come back, as of a lost actor, are in the journal, too
            if committed != report.cost_usd:
                report.cost_usd = spent_usd(landing.answer_log, fields) - at_risk - spent
            landing.answer_log.set_lost(run_id, fields, committed - report.cost_usd)
        for actor in (*askers, limiter):
            ray.kill(actor)


def _blocks_by_actor(rows: pa.Table, actors: int) -> list[Iterator[list[dict[str, Any]]]]:
    """Each actor's blocks. Copies of one photo go to the same actor, which asks about it once."""
    owner = np.array([int(sha[:8], 16) % actors if sha else 0 for sha in rows["sha256"].to_pylist()])
    shares = [rows.filter(pa.array(owner == number)).combine_chunks() for number in range(actors)]
    return [map(pa.RecordBatch.to_pylist, share.to_batches(max_chunksize=_BLOCK_ROWS)) for share in shares]


def limiter_placement() -> dict[str, Any]:
    """Options of the limiter: no CPU, and the driver's node.

    It is the node whose loss ends the run in any case, so that a spot instance that is taken away does not take the
    limiter, which would then wait for a whole window. Softly: if the driver's node takes no actor, it runs elsewhere.
    """
    import ray

    # Ray puts an actor that needs nothing at all anywhere; a byte every node has, a head without CPUs, too
    return {"num_cpus": 0, "memory": 1, "scheduling_strategy": _on(ray.get_runtime_context().get_node_id())}


def asker_placement(number: int) -> dict[str, Any]:
    """Options of the asker of this number, counted from 0: a tenth of a CPU, and a node without a GPU.

    They take turns on these nodes, softly: asking needs no GPU, and an asker would keep an expensive node from being
    given back when it is idle. Where all nodes are alike, Ray spreads them.
    """
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    plain = sorted(node["NodeID"] for node in nodes if not node["Resources"].get("GPU"))
    strategy = _on(plain[number % len(plain)]) if 0 < len(plain) < len(nodes) else "SPREAD"
    return {"num_cpus": 0.1, "scheduling_strategy": strategy}


def _on(node_id: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # a node that is full takes none either, and an actor that waits for room there would wait for a whole run
    return NodeAffinitySchedulingStrategy(node_id, soft=True, _spill_on_unavailable=True)

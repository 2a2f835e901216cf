"""Extract: stream the images that are left to do through the modules, and land a row for each."""

from __future__ import annotations

import collections
import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.engine.plan import Plan, make_plan
from pixelbrain.engine.session import ray_session
from pixelbrain.engine.worker import ImageWorker, WorkOrder
from pixelbrain.errors import ConfigError, EngineError, SourceError
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.parquet import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.landing.resume import pending
from pixelbrain.modules.base import PipelineModule

__all__ = ["ExtractProgress", "ExtractReport", "extract"]

logger = logging.getLogger(__name__)

#: Called with (done, total, failed) images.
ExtractProgress = Callable[[int, int, int], None]

_RESTARTS = 3  # of an actor, and tries of a block: a machine that keeps failing is not tried for ever


@dataclass(frozen=True, kw_only=True)
class ExtractReport:
    """What a run of `extract` did."""

    listed: int
    done: int  # of them, in this run; the others had landed before
    failed: int  # of those done: images that could not be read, or on which a module failed
    failures: Mapping[str, int]  # by kind
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
    out: str | Path,
    *,
    device: str = "auto",
    progress: ExtractProgress | None = None,
    debug: bool = False,
) -> ExtractReport:
    """Run the modules over a source's images and land one row an image in OUT.

    Images that have landed with the same settings are not read again. A broken image is a `failed` row.

    Raises:
        SourceError: the source cannot be listed, or holds no image.
        WeightsError: a model's weights cannot be had.
        EngineError: Ray cannot be started, lacks what the plan reserves, or lost the actors for good.
    """
    started = time.monotonic()
    names = [module.name for module in modules]
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"modules are {names}: at least one, and no name twice")
    tables = list(loader.list_images())
    manifest = pa.concat_tables(tables) if tables else schema.MANIFEST_SCHEMA.empty_table()
    if not len(manifest):
        raise SourceError(f"no image in {loader.source}: looked for jpg, jpeg, png, webp, gif, bmp, tif, tiff, mpo")
    for module in modules:
        module.prepare()
    states = {m.name: ModuleState(settings=m.settings(), model=m.model_info()) for m in modules}
    landing = Landing(out)
    work = pending(manifest, landing, {name: state.settings_hash for name, state in states.items()})
    tally = _Tally(total=sum(len(table) for table in work.values()), progress=progress)
    plan = None
    if work:
        with ray_session(debug=debug):
            for wanted, rows in work.items():
                chosen = [module for module in modules if module.name in wanted]
                plan = _run_pass(rows, chosen, states, landing, loader.s3_endpoint, device, tally)
    return ExtractReport(
        listed=len(manifest),
        done=tally.done,
        failed=tally.failed,
        failures=dict(tally.failures.most_common()),
        seconds=time.monotonic() - started,
        seconds_by_activity=dict(tally.seconds),
        plan=plan,
    )


class _Tally:
    """Adds up what the workers report, and passes it on."""

    def __init__(self, *, total: int, progress: ExtractProgress | None) -> None:
        self.total = total
        self.done = 0
        self.failed = 0
        self.failures: collections.Counter[str] = collections.Counter()
        self.seconds: dict[str, float] = collections.defaultdict(float)
        self._progress = progress
        self._tell()

    def add(self, summary: pa.Table) -> None:
        """Take rows of `SUMMARY_SCHEMA`."""
        for row in summary.to_pylist():
            self.done += row["images"]
            self.failed += row["failed"]
            self.failures.update(json.loads(row["failures"]))
            for activity, seconds in json.loads(row["seconds"]).items():
                self.seconds[activity] += seconds
        self._tell()

    def _tell(self) -> None:
        if self._progress and self.total:
            self._progress(self.done, self.total, self.failed)


def _run_pass(
    rows: pa.Table,
    modules: list[PipelineModule],
    states: Mapping[str, ModuleState],
    landing: Landing,
    s3_endpoint: str | None,
    device: str,
    tally: _Tally,
) -> Plan:
    """One streaming pass of Ray Data over rows of the manifest."""
    import ray
    import ray.data
    from ray.exceptions import RayError

    batch_size = max(module.batch_size for module in modules)
    plan = make_plan(len(rows), ray.cluster_resources(), batch_size=batch_size, device=device)
    landing.refresh()
    order = WorkOrder(
        out=str(landing.out),
        generation=landing.next_generation(),
        states={module.name: states[module.name] for module in modules},
        s3_endpoint=s3_endpoint,
        device=plan.device,
        threads=plan.threads_per_actor,
    )
    try:
        with warnings.catch_warnings():
            # Ray 2.64 drops the two limits' way in; pyproject admits no such Ray, and there is no other way yet
            warnings.simplefilter("ignore")
            summaries = ray.data.from_arrow(_blocks(rows, plan.block_rows)).map_batches(
                ImageWorker,
                fn_constructor_args=(modules, order),
                batch_size=plan.block_rows,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(size=plan.actors),
                num_cpus=plan.cpus_per_actor,
                num_gpus=plan.gpus_per_actor or None,
                max_restarts=_RESTARTS,
                max_task_retries=_RESTARTS,
            )
        for summary in summaries.iter_batches(batch_size=None, batch_format="pyarrow"):
            tally.add(summary)
    except RayError as error:
        raise EngineError(_last_line(error)) from error
    finally:
        landing.refresh()
    return plan


def _blocks(rows: pa.Table, size: int) -> list[pa.Table]:
    """Tables of `size` rows, each with its number in the column `block`."""
    blocks = []
    for number, start in enumerate(range(0, len(rows), size)):
        part = rows.slice(start, size).combine_chunks()
        blocks.append(part.append_column("block", pa.array([number] * len(part), pa.int64())))
    return blocks


def _last_line(error: BaseException) -> str:
    """What went wrong in the worker: the last line of the traceback that Ray hands over."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"the workers failed: {lines[-1] if lines else type(error).__name__} (--debug shows all of it)"

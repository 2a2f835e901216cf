"""What a run would do, without running it: images left, pools of actors, what they reserve, and whether that fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pixelbrain.errors import EngineError
from pixelbrain.sources import name_sources
from pixelbrain.sources.passed_over import describe_passed_over

if TYPE_CHECKING:
    from pixelbrain.engine.plan.nodes import Node
    from pixelbrain.engine.plan.pools import Plan, Pool
    from pixelbrain.stages.stages import Stages


_HEADINGS = ("pool", "actors", "each", "together", "batch", "runs")


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A run that could be."""

    source: str
    listed: int  # images, as far as was looked
    complete: bool  # whether that is all of them
    left: int  # of these, to do
    ray: str | None  # the address of the Ray that would be joined; None: one of its own on this machine, or none
    nodes: list[Node]
    autoscale: bool
    plan: Plan
    shortage: str | None  # why it does not fit
    passed_over: Mapping[str, int] = field(default_factory=dict)  # as far as was looked: what was not listed, by kind
    what: str = ""  # the source is: a folder, a glob in S3, ...
    executor: str = "ray"  # or local: processes of this machine, without Ray


def plan_run(stages: Stages) -> PlannedRun:
    """Look at the source, at OUT and at Ray; nothing is started, written or downloaded.

    Raises:
        SourceError: the source cannot be listed, or holds no image.
        EngineError: no Ray answers at the address, or there is no CPU or no GPU that was asked for.
    """
    from pixelbrain.engine.choose import takes_local
    from pixelbrain.engine.cluster.session import OBJECT_STORE_BYTES, find_ray, ray_session
    from pixelbrain.engine.extract import look_ahead
    from pixelbrain.engine.plan.make import check_fit, make_plan
    from pixelbrain.engine.plan.nodes import cluster_nodes, this_machine
    from pixelbrain.modules.base import needs_of, with_actors

    config, modules, loader = stages.config, stages.context.modules(), stages.context.loader()
    listed, complete, left = look_ahead(
        loader, modules, stages.landing, retry_failed=config.retry_failed, force=config.force
    )
    placement = config.placement()
    local = takes_local(placement, left * len(with_actors(needs_of(modules))) if complete else None)
    address = None if local else find_ray()
    if local:
        nodes = this_machine()
    elif address is None:
        nodes = this_machine(OBJECT_STORE_BYTES)
    else:
        with ray_session(address=address, debug=stages.debug):
            nodes = cluster_nodes()
    plan = make_plan(left if complete else None, nodes, needs_of(modules), placement)
    shortage = None
    if not placement.autoscale:
        try:
            check_fit(plan, nodes)
        except EngineError as error:
            shortage = str(error)
    return PlannedRun(
        source=name_sources(loader.source), listed=listed, complete=complete, left=left, ray=address,
        nodes=nodes, autoscale=placement.autoscale, plan=plan, shortage=shortage,
        passed_over=dict(loader.passed_over), what=loader.open().what, executor="local" if local else "ray",
    )  # fmt: skip


def describe(run: PlannedRun) -> list[str]:
    """As lines of text."""
    from pixelbrain.engine.plan.nodes import describe_nodes

    plan, nodes = run.plan, run.nodes
    so_far = "" if run.complete else " or more"
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    memory, store = sum(node.memory_bytes for node in nodes), sum(node.object_store_bytes for node in nodes)
    local = run.executor == "local"
    where = f"the Ray at {run.ray}" if run.ray else "a Ray of its own on this machine"
    where = "none is started, workers are processes of this machine" if local else where
    lines = [
        f"images        {run.listed:,}{so_far} in {run.source}, {run.left:,}{so_far} to do",
        *([f"source        {run.what}"] if run.what else []),
        *([f"passed over   {describe_passed_over(run.passed_over)}{so_far}"] if run.passed_over else []),
        f"Ray           {where}: {describe_nodes(nodes)}, {memory / 1e9:,.1f} GB for actors",
        f"layout        {_LAYOUTS[plan.layout]}",
        f"handed out    {plan.block_rows:,} images at a time"
        + (f", which travel in chunks of {plan.chunk_rows}" if plan.chunk_rows else ""),
        "",
        *_table([_HEADINGS, *(_row(pool) for pool in plan.pools)]),
        "",
        f"reserved      {_total(plan.pools, 'cpus'):.4g} of {cpus:g} CPUs, {_total(plan.pools, 'gpus'):.4g} of "
        f"{gpus:g} GPUs, {_total(plan.pools, 'memory_bytes') / 1e9:,.1f} of {memory / 1e9:,.1f} GB, at the least",
        *(
            []
            if local
            else [f"object store  about {plan.object_store_bytes / 1e6:,.0f} of {store / 1e6:,.0f} MB at the most"]
        ),
    ]
    if run.autoscale:
        return [*lines, "Nodes start when actors ask for them: what is there now does not have to hold it."]
    return [*lines, "It fits." if run.shortage is None else "It does not fit."]


_LAYOUTS = {
    "fused": "fused: each actor reads, decodes, runs the modules and lands",
    "staged": "staged: decoders on CPUs feed the actors of each module; a last pool lands",
}


def _row(pool: Pool) -> tuple[str, ...]:
    most = "" if pool.max_actors == pool.min_actors else f" to {pool.max_actors}" if pool.max_actors else " and more"
    together = dataclasses.replace(
        pool, cpus=round(pool.cpus * pool.min_actors, 3), gpus=round(pool.gpus * pool.min_actors, 3),
        memory_bytes=pool.memory_bytes * pool.min_actors, labels={},
    )  # fmt: skip
    batch = str(pool.batch_size) if pool.modules else ""
    runs = f"{', '.join(pool.modules)} on {pool.device}" if pool.modules else ""
    return pool.name, f"{pool.min_actors}{most}", pool.needs(), together.needs(), batch, runs


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _total(pools: Sequence[Pool], what: str) -> float:
    return sum(getattr(pool, what) * pool.min_actors for pool in pools)

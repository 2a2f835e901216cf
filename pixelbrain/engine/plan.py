"""Placement: how many actors with how much of the machine, from the resources that Ray reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pixelbrain.errors import EngineError

__all__ = ["Plan", "make_plan"]

#: A model's matrix products gain little from more threads than this; further CPUs get an actor of their own.
_THREADS_PER_ACTOR = 4

#: Images a block: large enough that handing it over costs nothing, small enough to lose little in a crash.
_MAX_BLOCK_ROWS = 256
_MIN_BLOCK_ROWS = 8
_MANY = 10**9
_BLOCKS_PER_ACTOR = 24  # at least so many, that the display moves and actors end together


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every actor reads, decodes, runs all modules and lands: pixels never cross the object store."""

    actors: int
    cpus_per_actor: float
    gpus_per_actor: float
    threads_per_actor: int
    block_rows: int
    device: str  # cpu or cuda


def make_plan(
    images: int | None, resources: Mapping[str, float], *, batch_size: int = 32, device: str = "auto"
) -> Plan:
    """The plan for so many images on a cluster with these resources.

    Args:
        images: how many are to do; None: nobody knows yet, but many.
        resources: as `ray.cluster_resources()` has them: CPU, GPU.
        batch_size: the largest of the modules'.
        device: auto takes GPUs if Ray reports any.

    Raises:
        EngineError: the plan would wait for ever for what is not there.
    """
    if images is None:
        images = _MANY
    cpus, gpus = resources.get("CPU", 0.0), int(resources.get("GPU", 0))
    if device == "cuda" and not gpus:
        raise EngineError(f"--device cuda, but Ray reports no GPU ({cpus:g} CPUs): use --device cpu, or auto")
    if cpus <= 0:
        raise EngineError("Ray reports no CPU: start it with at least one (`ray start --head --num-cpus 2`)")
    on_gpu = gpus > 0 and device != "cpu"
    actors = gpus if on_gpu else max(1, round(cpus / _THREADS_PER_ACTOR))
    actors = max(1, min(actors, -(-images // _MIN_BLOCK_ROWS)))
    threads = max(1, min(int(cpus // actors), 16 if on_gpu else cpus))
    return Plan(
        actors=actors,
        # a little is left over: what else Ray runs must not wait for the actors, which never give theirs back
        cpus_per_actor=round(max(0.1, min(threads, cpus / actors) * 0.9), 3),
        gpus_per_actor=1.0 if on_gpu else 0.0,
        threads_per_actor=int(threads),
        block_rows=_block_rows(images // (actors * _BLOCKS_PER_ACTOR), batch_size),
        device="cuda" if on_gpu else "cpu",
    )


def _block_rows(wanted: int, batch_size: int) -> int:
    """Near `wanted`, within bounds; whole batches where it is more than one, as half a batch costs nearly a whole."""
    rows = max(_MIN_BLOCK_ROWS, min(_MAX_BLOCK_ROWS, wanted))
    return rows if rows < batch_size else -(-rows // batch_size) * batch_size

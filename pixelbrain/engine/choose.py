"""Who does the work of a run: Ray, or, for little of it on a machine without one, processes of our own."""

from __future__ import annotations

import dataclasses
import os

from pixelbrain.config import Placement
from pixelbrain.engine.cluster.local_state import find_fitting
from pixelbrain.engine.cluster.session import connected
from pixelbrain.engine.executor import Executor, Job
from pixelbrain.engine.local.executor import LocalExecutor
from pixelbrain.engine.on_ray import RayExecutor
from pixelbrain.machine import may_have_gpu

#: Looks of a module at an image. Ray's start costs 14 s of CPU (benchmarks/bench_startup.py), and so many looks,
#: half of which are for faces, take two cores minutes: that is about a tenth.
SMALL_LOOKS = 2000


def choose_executor(job: Job, looks: int | None) -> Executor:
    """As `job.placement` says; `auto` goes by how often a module is to look at an image, None where nobody knows."""
    return LocalExecutor(job=job) if takes_local(job.placement, looks) else RayExecutor(job=job)


def takes_local(wishes: Placement, looks: int | None) -> bool:
    """Whether a run goes without Ray.

    With `auto`, only one that is small, where nothing is wished for that is Ray's, no Ray is named, connected or kept
    running for this user, and no GPU would be left alone.
    """
    if wishes.executor != "auto":
        return wishes.executor == "local"
    if looks is None or looks > SMALL_LOOKS or dataclasses.replace(wishes, device="auto") != Placement():
        return False
    gpu = wishes.device == "cuda" or (wishes.device == "auto" and may_have_gpu())
    return not (gpu or os.environ.get("RAY_ADDRESS") or connected() or find_fitting() is not None)

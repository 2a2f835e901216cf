"""What a run needs of whatever does its work: nodes to plan for, and summaries of what was worked off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from pixelbrain.config import Placement
from pixelbrain.engine.plan.nodes import Node
from pixelbrain.engine.plan.pools import Plan
from pixelbrain.engine.work.meter import Meter
from pixelbrain.engine.work.worklist import Left, Worklist, WorkOrder
from pixelbrain.modules.base import PipelineModule
from pixelbrain.storage.base import Storage


class NodesGone(Exception):
    """The nodes that are left have no room for all actors of the pass."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a run is about, whoever does it."""

    modules: Sequence[PipelineModule]
    storage: Storage  # OUT
    source: str
    first_image: str  # of the listing
    placement: Placement
    debug: bool = False  # show the workers' own log


class Executor(Protocol):
    """Ray, or processes of this machine: see `engine.on_ray` and `engine.local`."""

    def nodes_to_be(self) -> list[Node]:
        """What there will be, where it is known before a session that takes long to start; else none."""

    def session(self) -> AbstractContextManager[Meter]:
        """Inside it, there are nodes, and somebody may hear what its meter is told."""

    def nodes(self) -> list[Node]:
        """What there is."""

    def work_off(self, left: Worklist | Sequence[Left], order: WorkOrder, plan: Plan) -> Iterator[pa.Table]:
        """Land what is left as `plan` says; yields tables of `tally.SUMMARY_SCHEMA` as they come.

        Raises:
            NodesGone: workers were lost for good; what has landed stays.
            EngineError: a worker failed on more than an image.
        """

"""A run on Ray: the one that is there, or one of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from pixelbrain.config import Placement
from pixelbrain.engine.cluster.session import OBJECT_STORE_BYTES, connected, find_ray, ray_session
from pixelbrain.engine.executor import Job
from pixelbrain.engine.plan.nodes import Node, cluster_nodes, this_machine
from pixelbrain.engine.plan.pools import Plan
from pixelbrain.engine.preflight import check_shared
from pixelbrain.engine.work.environment import DriverEnvironment
from pixelbrain.engine.work.meter import Meter, run_label
from pixelbrain.engine.work.worklist import Left, Worklist, WorkOrder

#: An actor whose node died waits so long for room on another, before a new pass does without it; where nodes start
#: when they are asked for, a lost one is replaced within minutes.
_PATIENCE_S = 15.0
_PATIENCE_AUTOSCALE_S = 900.0


@dataclass(kw_only=True)
class RayExecutor:
    """Nodes that come and go, with actors on them."""

    job: Job
    _meter: Meter = field(default_factory=Meter, init=False)

    def nodes_to_be(self) -> list[Node]:
        """This machine, where a Ray will be started on it, and something is wished for that may not fit.

        Ray itself may count less than there is, as in a container: what it has is looked at again when it runs.
        """
        wishes = self.job.placement
        plain = dataclasses.replace(wishes, executor="auto") == Placement()
        if plain or wishes.autoscale or find_ray() is not None or connected():
            return []
        return [dataclasses.replace(node, memory_bytes=math.inf) for node in this_machine(OBJECT_STORE_BYTES)]

    @contextlib.contextmanager
    def session(self) -> Iterator[Meter]:
        """See `ray_session`; all of its nodes see OUT and the images."""
        with ray_session(debug=self.job.debug):
            from pixelbrain.engine.cluster.metrics import RayMeter

            self._meter = RayMeter(run_label(self.job.storage.uri))
            check_shared(self.nodes(), self.job.storage, self.job.source, self.job.first_image)
            yield self._meter

    def nodes(self) -> list[Node]:
        """Those that are alive."""
        return cluster_nodes()

    def work_off(self, left: Worklist | Sequence[Left], order: WorkOrder, plan: Plan) -> Iterator[pa.Table]:
        """One pass; a worklist is listed by a task of it, while it goes on."""
        from pixelbrain.engine.dataset import Crew, work_off  # imports Ray, which nothing to do needs not

        crew = Crew(modules=self.job.modules, order=order, environment=DriverEnvironment(), meter=self._meter)
        patience = _PATIENCE_AUTOSCALE_S if self.job.placement.autoscale else _PATIENCE_S
        return work_off(left, crew, plan, patience_s=patience, debug=self.job.debug)

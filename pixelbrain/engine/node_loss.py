"""While a pass of Ray Data runs: notice actors that wait for a node that will not come back.

Ray starts an actor again whose node died, where there is room. Where there is none it waits for ever, and with it the
blocks that it had in hand. The run then goes on in a new pass, on the nodes that are left.
"""

from __future__ import annotations

import time
from typing import Any

from ray.data._internal.execution.execution_callback import ExecutionCallback

__all__ = ["NodesGone", "stuck_watch"]

_LOOK_EVERY_S = 2.0
_RESTARTING = "RESTARTING"


class NodesGone(Exception):
    """The nodes that are left have no room for all actors of the pass."""


def stuck_watch(patience_s: float) -> type[ExecutionCallback]:
    """A class for `DataContext.custom_execution_callback_classes`: raises `NodesGone` out of the pass.

    Args:
        patience_s: an actor may wait so long for room.
    """

    class StuckWatch(ExecutionCallback):
        """Looks every two seconds, in the thread that hands out the work."""

        def __init__(self) -> None:
            self._looked_at = 0.0
            self._since: dict[str, float] = {}

        def on_execution_step(self, executor: Any) -> None:
            """Called by Ray Data between two steps."""
            now = time.monotonic()
            if now - self._looked_at < _LOOK_EVERY_S:
                return
            self._looked_at = now
            self._since = {actor: self._since.get(actor, now) for actor in _restarting()}
            if any(now - since > patience_s for since in self._since.values()):
                raise NodesGone

    return StuckWatch


def _restarting() -> list[str]:
    """Ids of this job's actors that wait for a node or a process."""
    import ray
    from ray._private.state import state  # the public list of actors asks the dashboard, which may not run

    job = ray.JobID(bytes.fromhex(ray.get_runtime_context().get_job_id()))
    return list(state.actor_table(None, job, _RESTARTING))

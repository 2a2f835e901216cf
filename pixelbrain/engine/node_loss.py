"""While a pass of Ray Data runs: notice actors that wait for a node that will not come back.

Ray starts an actor again whose node died, where there is room. Where there is none it waits for ever, and with it the
blocks that it had in hand. The run then goes on in a new pass, on the nodes that are left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

_LOOK_EVERY_S = 2.0


class NodesGone(Exception):
    """The nodes that are left have no room for all actors of the pass."""


class LossWatch:
    """Call it between two steps of a pass; it looks every two seconds which actors wait for a node or a process.

    Each may wait `patience_s` for room.
    """

    def __init__(self, restarting: Callable[[], Iterable[str]], patience_s: float) -> None:
        self._restarting = restarting
        self._patience_s = patience_s
        self._looked_at = -_LOOK_EVERY_S
        self._since: dict[str, float] = {}

    def __call__(self) -> None:
        """Raises `NodesGone` out of the pass."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        self._since = {actor: self._since.get(actor, now) for actor in self._restarting()}
        if any(now - since > self._patience_s for since in self._since.values()):
            raise NodesGone

"""A database server that restarts under a long load: wait for it, within a limit, and do the last step again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

logger = logging.getLogger(__name__)

#: Seconds that a server may be away; a mongod that recovers its journal takes 2 to 10.
RECONNECT_LIMIT_S = 30.0
#: A step during which the server goes away again and again may be what ends it.
_OUTAGES = 3
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 2.0

T = TypeVar("T")


def ride_out(
    step: Callable[[], T], *, server: str, lost: tuple[type[Exception], ...], answers: Callable[[], bool]
) -> T:
    """The result of `step`; when its server goes away, wait `RECONNECT_LIMIT_S` at most, and do the step again.

    Args:
        step: may be done twice without harm, such as an upsert.
        server: its name in the log.
        lost: what `step` raises when the connection is lost. Other errors are not tried again.
        answers: whether the server answers; raises what the user is to be told when it cannot come back.

    Raises:
        Exception: what `step` raised, when the server stays away, or went away for the fourth time.
    """
    for outage in range(_OUTAGES + 1):
        try:
            return step()
        except lost as error:
            began = time.monotonic()
            if outage == _OUTAGES or RECONNECT_LIMIT_S <= 0:
                raise
            logger.warning("%s went away: waiting for it, %g s at most", server, RECONNECT_LIMIT_S)
            wait_s = _FIRST_WAIT_S
            while not answers():
                if time.monotonic() - began > RECONNECT_LIMIT_S:
                    raise error
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            logger.warning("%s is back after %.1f s: going on", server, time.monotonic() - began)
    raise AssertionError("unreachable")

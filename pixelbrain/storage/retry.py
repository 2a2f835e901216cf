"""Trying again: with growing, random waits, within a limit in tries and in time."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

from pixelbrain.errors import PixelbrainError
from pixelbrain.storage.s3_errors import answer_headers, explain_s3, is_transient, s3_errors

logger = logging.getLogger(__name__)

T = TypeVar("T")

_LONGEST_WAIT_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How often, and for how long.

    The waits are random between 0 and a bound that doubles from `first_wait_s` to 20 s ("full jitter", as Amazon
    advises): eight tries wait for 26 s on average, a server that restarts or a bucket that is being split for more
    load is back by then, and threads that were turned away together do not come back together.
    """

    tries: int = 8
    limit_s: float = 300.0  # no try begins later, and no body is waited for longer
    first_wait_s: float = 0.5

    def wait_s(self, failed: int) -> float:
        """How long to wait after so many failed tries, 1 or more."""
        return random.uniform(0, min(_LONGEST_WAIT_S, self.first_wait_s * 2 ** (failed - 1)))


def with_retries(action: Callable[[], T], retries: Retries, failure: Callable[[str], PixelbrainError]) -> T:
    """What the action returns, once it does.

    Args:
        action: one try; what of `s3_errors` it raises may pass, other errors are not caught.
        retries: the limits.
        failure: makes the error to raise, of one line.
    """
    started = time.monotonic()
    for failed in range(1, retries.tries + 1):
        try:
            return action()
        except s3_errors() as error:
            # no error is raised in here: it would carry this one along, which may repeat credentials
            explained, passes = explain_s3(error), is_transient(error)
            asked_s = _asked_s(answer_headers(error).get("retry-after", ""))
        if not passes:
            raise failure(explained)
        wait_s = max(retries.wait_s(failed), asked_s)
        spent_s = time.monotonic() - started
        if failed == retries.tries:
            break
        if spent_s + wait_s > retries.limit_s:
            explained += f"; it asks to wait for {asked_s:,.0f} s" if asked_s > retries.limit_s else ""
            break
        logger.debug("try %d failed: %s; the next one in %.1f s", failed, explained, wait_s)
        time.sleep(wait_s)
    raise failure(f"{explained}; tried {failed} times in {spent_s:.0f} s")


def _asked_s(retry_after: str) -> float:
    """For how long a server asks to be left alone, by a number of seconds or a date; 0: it does not."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0

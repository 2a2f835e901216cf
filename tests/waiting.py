"""What a test waits for, on a machine of any load."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], seconds: float = 20) -> T:
    """What it returns as soon as that is true."""
    give_up_at = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < give_up_at, "it did not come"
        time.sleep(0.01)
    return found

"""A row of bench_costs.py's table, and how time of a core is taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["BATCH", "Cost", "core_ms"]

BATCH = 32


@dataclass(frozen=True)
class Cost:
    """A row of the table."""

    title: str
    value: float
    unit: str


def core_ms(work: Callable[[], Any], images: int) -> float:
    """Milliseconds of processor time an image, of this process."""
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1e3 / images

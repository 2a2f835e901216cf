"""The numbers of runs: each greater than all before it, also than that of a run that was killed with nothing landed."""

from __future__ import annotations

from pixelbrain.landing.parts import latest_generation
from pixelbrain.storage.base import Storage

__all__ = ["claim_generation"]

_CLAIMED = "work/generation"


def claim_generation(storage: Storage) -> int:
    """A number for this run's part files that no run had: for who holds OUT's lock.

    A worker of a killed run may still be writing its last file: it must not write over one of ours.

    Raises:
        LandingError: OUT cannot be read or written.
    """
    last = storage.read(_CLAIMED)
    generation = 1 + max(latest_generation(storage), int(last) if last else 0)
    storage.write(_CLAIMED, str(generation).encode())
    return generation

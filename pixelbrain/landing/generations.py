"""The numbers of runs: each greater than all before it, also than that of a run that was killed with nothing landed."""

from __future__ import annotations

from pixelbrain.landing.parts import latest_generation
from pixelbrain.landing.place import Place

__all__ = ["claim_generation"]

_CLAIMED = "work/generation"


def claim_generation(place: Place) -> int:
    """A number for this run's part files that no run had: for who holds OUT's lock.

    A worker of a killed run may still be writing its last file: it must not write over one of ours.

    Raises:
        LandingError: the place cannot be read or written.
    """
    last = place.read(_CLAIMED)
    generation = 1 + max(latest_generation(place), int(last) if last else 0)
    place.write(_CLAIMED, str(generation).encode())
    return generation

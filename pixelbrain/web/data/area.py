"""A part of a map as an address says it: a line around it, and what the legend showed there. It is stored nowhere."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from pixelbrain.web.data.colours import Coloured, colour_by
from pixelbrain.web.data.known import Known
from pixelbrain.web.data.maps import Places

#: What an address may hold at most.
LONGEST = 2_000
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
_STEPS = len(_DIGITS) ** 2  # in the square, each way
_TEXT = re.compile(r"([\w.-]+)~([0-9a-f]*)~([\w.-]*)~([\w.]*)~((?:[\w-]{4}){3,150})")


@dataclass(frozen=True, kw_only=True)
class Area:
    """A part of a map; its text is `NAME~ID~COLOUR~KEYS~LINE`: 3 to 150 points, each four digits of 64."""

    name: str  # of the map
    made: str  # and of which one of that name
    colour: str
    keys: tuple[str, ...]  # lines of the legend; none: all
    line: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, text: str) -> Area | None:
        """None: it says nothing of the kind."""
        found = _TEXT.fullmatch(text) if len(text) <= LONGEST else None
        if found is None:
            return None
        name, made, colour, keys, digits = found.groups()
        if not set(digits) <= set(_DIGITS):
            return None
        numbers = [_DIGITS.index(a) * 64 + _DIGITS.index(b) for a, b in zip(digits[::2], digits[1::2], strict=True)]
        line = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        return cls(name=name, made=made, colour=colour, keys=tuple(filter(None, keys.split("."))), line=line)

    def inside(self, places: Places, coloured: Coloured | None) -> np.ndarray:
        """bool (n,): the places that are in it; none of a map that was made anew since."""
        inside = np.zeros(len(places), bool)
        if places.made != self.made:
            return inside
        (x, y), corners = places.unit.T, np.array(self.line, np.float64) / (_STEPS - 1)
        for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            across = (y1 > y) != (y2 > y)
            with np.errstate(divide="ignore", invalid="ignore"):  # where it is level, nothing is across
                inside ^= across & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
        return inside & coloured.shown(self.keys) if coloured is not None and self.keys else inside


def photos_in(text: str, known: Known) -> np.ndarray:
    """bool (photos,): those that are in the part of a map that an address names, or of which a face is."""
    mask, found = np.zeros(len(known.photos), bool), _chosen(text, known)
    if found is not None:
        mask[found[0].photos_of(known.photos)[found[1]]] = True
    return mask


def faces_in(text: str, known: Known) -> np.ndarray | None:
    """int64: the faces that are there, the likest people together; None: it is no part of a map of faces."""
    found = _chosen(text, known)
    if found is None or not found[0].of_faces:
        return None
    rows = found[0].rows[found[1]]
    return rows[np.argsort(known.person[rows], kind="stable")]


def _chosen(text: str, known: Known) -> tuple[Places, np.ndarray] | None:
    """A map, and bool (n,), which of its places are in the part that an address names; None: it names none."""
    area = Area.of(text)
    places = area and known.maps.places(area.name, known.photos)
    if not area or not places:
        return None
    coloured = colour_by(area.colour, places, known) if area.keys else None
    return places, area.inside(places, coloured)

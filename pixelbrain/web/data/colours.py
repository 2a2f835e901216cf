"""By what the points of a map are coloured: the commonest values of something, the others, and none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from pixelbrain.report.gallery import names
from pixelbrain.web.data.columns import Photos, key_of
from pixelbrain.web.data.known import Known
from pixelbrain.web.data.maps import Places

#: Colours that can be told from each other; what is rarer shares one.
COLOURS = 11
OTHERS, NONE = COLOURS, COLOURS + 1
_SAID = "said-"
#: By what, and what is said of a point that has none of it.
KINDS = {
    "label": ("Label", "No sure label"),
    "person": ("Person", "Nobody known"),
    "year": ("Year", "Without a date"),
    "month": ("Month", "Without a date"),
    "camera": ("Camera", "Not known"),
    "status": ("Failures", "Nothing failed"),
}


@dataclass(frozen=True, kw_only=True)
class Colour:
    """A line of the legend."""

    key: str  # what it is called in addresses
    name: str
    count: int
    code: int  # which colour


@dataclass(frozen=True, kw_only=True, eq=False)
class Coloured:
    """The colours of a map's places."""

    codes: np.ndarray  # uint8 (n,)
    legend: list[Colour]

    def shown(self, keys: Sequence[str]) -> np.ndarray:
        """bool (n,): what the legend leaves, of which these lines are chosen; without any, all."""
        chosen = [one.code for one in self.legend if one.key in keys]
        return np.isin(self.codes, chosen) if chosen else np.ones(len(self.codes), bool)


def kinds(photos: Photos) -> dict[str, str]:
    """What can be chosen, and what it is called."""
    said = {f"{_SAID}{one}": one.replace("_", " ").replace(".", ": ") for one in photos.said}
    return {kind: told[0] for kind, told in KINDS.items()} | said


def colour_by(kind: str, places: Places, known: Known) -> Coloured:
    """The colours of these places by `kind`; of one that there is not, all are alike."""
    photos = known.photos
    called: Callable[[str], str] = names.visible
    values: Sequence[str]
    if kind == "person":
        codes = (known.person if places.of_faces else _first_people(known))[places.rows]
        return _coloured(codes, known.ids, known.called, KINDS[kind][1])
    if kind == "label":
        sure = (photos.label >= 0) & (photos.label_score >= photos.least)
        of, values, called = np.where(sure, photos.label, -1), photos.labels, names.label_text
    elif kind == "camera":
        of, values = photos.camera, photos.cameras
    elif kind == "status":
        of, values = photos.failed.astype(np.int64) - 1, ["Something failed"]
    elif kind in ("year", "month"):
        text = pc.utf8_slice_codeunits(photos.taken_at, 0, 4 if kind == "year" else 7)
        dated = pc.if_else(pc.match_substring_regex(text, r"^\d{4}(-\d{2})?$"), text, None).dictionary_encode()
        of, values = np.asarray(pc.fill_null(dated.indices, -1)), dated.dictionary.to_pylist()
    else:
        facet = photos.said.get(kind.removeprefix(_SAID))
        of, values = np.full(len(photos), -1), facet.values if facet else []
        if facet:
            of[facet.of[::-1]] = facet.code[::-1]  # of several, the first
    none = KINDS.get(kind, ("", "Nothing said"))[1]
    return _coloured(np.asarray(of, np.int64)[places.photos_of(photos)], values, called, none)


def _first_people(known: Known) -> np.ndarray:
    """int64 (photos,): of those in each, the one of whom there is most; -1: nobody."""
    found = np.full(len(known.photos), len(known.ids), np.int64)
    seen = known.person >= 0
    np.minimum.at(found, known.photos.of[seen], known.person[seen])
    return np.where(found < len(known.ids), found, -1)


def _coloured(values: np.ndarray, ids: Sequence[str], called: Callable[[str], str], none: str) -> Coloured:
    counts = np.bincount(values[values >= 0], minlength=len(ids))
    order = [int(one) for one in np.argsort(-counts, kind="stable")[:COLOURS] if counts[one]]
    table = np.full(len(ids) + 1, OTHERS, np.uint8)  # the last one: none
    table[order], table[-1] = np.arange(len(order)), NONE
    codes = table[values]
    legend = [
        Colour(key=key_of(ids[one])[:8], name=called(ids[one]), count=int(counts[one]), code=code)
        for code, one in enumerate(order)
    ]
    for key, name, code in (("others", "Others", OTHERS), ("none", none, NONE)):
        if count := int((codes == code).sum()):
            legend.append(Colour(key=key, name=name, count=count, code=code))
    return Coloured(codes=codes, legend=legend)

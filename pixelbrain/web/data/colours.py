"""By what the points of a map are coloured: the commonest values of something, the others, and none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.config import EXIF
from pixelbrain.landing.landing import Landing
from pixelbrain.report.gallery import names
from pixelbrain.web.data.columns import Photos, key_of
from pixelbrain.web.data.maps import Places

if TYPE_CHECKING:
    from pixelbrain.web.data.known import Known

#: Colours that can be told from each other; what is rarer shares one.
COLOURS = 11
OTHERS, NONE = COLOURS, COLOURS + 1
_ASKED = "answer-"
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


class Colours:
    """Of one OUT; what has to be read for one is kept as long as the photos. Safe to share between threads."""

    def __init__(self, landing: Callable[[], Landing]) -> None:
        self._landing, self._lock = landing, threading.Lock()
        self._texts: tuple[Photos | None, dict[str, pa.Array]] = (None, {})

    def kinds(self, landing: Landing) -> dict[str, str]:
        """What can be chosen, and what it is called."""
        asked = {f"{_ASKED}{one}": one.replace("_", " ") for one in landing.answer_log.fields()}
        return {kind: told[0] for kind, told in KINDS.items()} | asked

    def of(self, kind: str, places: Places, known: Known) -> Coloured:
        """The colours of these places by `kind`; of one that there is not, all are alike."""
        photos, of_photos = known.photos, places.photos_of(known.photos)
        called: Callable[[str], str]
        if kind == "person":
            people = known.person if places.of_faces else _first_people(known)
            codes, called = people[places.rows], known.called
            values: Sequence[str] = known.ids
        elif kind == "label":
            sure = (photos.label >= 0) & (photos.label_score >= photos.least)
            codes, called, values = np.where(sure, photos.label, -1)[of_photos], names.label_text, photos.labels
        else:
            texts = self._text(kind, photos).dictionary_encode()
            codes = np.asarray(pc.fill_null(texts.indices, -1), np.int64)[of_photos]
            called, values = names.visible, texts.dictionary.to_pylist()
        none = KINDS.get(kind, ("", "Without an answer"))[1]
        return _coloured(np.asarray(codes, np.int64), values, called, none)

    def _text(self, kind: str, photos: Photos) -> pa.Array:
        """A text a photo, or null."""
        if kind in ("year", "month"):
            text = pc.utf8_slice_codeunits(photos.taken_at, 0, 4 if kind == "year" else 7)
            return pc.if_else(pc.match_substring_regex(text, r"^\d{4}(-\d{2})?$"), text, None)
        if kind == "status":
            return pc.if_else(pa.array(photos.failed), "Something failed", None)
        with self._lock:
            if self._texts[0] is not photos:
                self._texts = photos, {}
            kept = self._texts[1]
            if kind not in kept:
                kept[kind] = _read(self._landing(), kind, photos)
            return kept[kind]


def _read(landing: Landing, kind: str, photos: Photos) -> pa.Array:
    """What no page has in memory: cameras and answers."""
    name = EXIF if kind == "camera" else kind.removeprefix(_ASKED)
    ids: list[str] = []
    texts: list[str | None] = []
    if name in landing.index.modules or name in landing.answers:
        for table in landing.iter_images([name], vectors=False):
            structs = table[name].to_pylist()
            ids += table["image_id"].to_pylist()
            texts += (
                map(_camera, structs) if kind == "camera" else (_answer((one or {}).get("answer")) for one in structs)
            )
    at = pc.index_in(photos.image_id, pa.array(ids, pa.string()))
    return pa.array(texts, pa.string()).take(at)


def _camera(exif: dict[str, Any] | None) -> str | None:
    make, model = ((exif or {}).get(name) or "" for name in ("make", "model"))
    # most makers begin the model's name with theirs
    named = model and model.lower().startswith(make.lower().split(" ")[0])
    return model if named else f"{make} {model}".strip() or None


def _answer(value: Any) -> str | None:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, list):
        return ", ".join(map(str, value[:3])) or None
    return None if value is None or isinstance(value, dict) else str(value)


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

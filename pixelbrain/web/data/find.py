"""What is looked for, as an address says it, and which photos that are."""

from __future__ import annotations

import re
import unicodedata
import urllib.parse
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.web.data.area import LONGEST
from pixelbrain.web.data.columns import key_of
from pixelbrain.web.data.known import Known

#: What else can be asked of a photo, by its word in addresses.
ONLY = {
    "": "All photos",
    "failed": "Failed",
    "unsure": "Without a sure label",
    "faces": "With a face",
    "faceless": "Without a face",
    "unknown": "With a face of nobody",
}
_MAX_WORDS = 16
_MONTH = re.compile(r"\d{4}(-\d{2})?")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A search: all of it has to hold. What is not understood is as if it were not there."""

    q: str = ""  # words, or "several together", in labels, names, answers, dates and file names
    person: tuple[str, ...] = ()  # keys of people who are all in the photo
    label: str = ""
    least: float = 0.0  # of the label's probability
    only: str = ""  # of ONLY
    month: str = ""  # 2019, or 2019-07
    group: str = ""  # the key of a group that looks alike
    area: str = ""  # a part of a map, see `Area`

    @classmethod
    def of(cls, query: Mapping[str, str], people: list[str]) -> Wanted:
        """Of an address."""
        try:
            least = min(max(float(query.get("least", 0)), 0.0), 1.0)
        except ValueError:
            least = 0.0
        only, month = query.get("only", ""), query.get("month", "")
        return cls(
            q=query.get("q", "")[:500].strip(),
            person=tuple(dict.fromkeys(one for one in people if one))[:_MAX_WORDS],
            label=query.get("label", "")[:500],
            least=least if least == least else 0.0,
            only=only if only in ONLY else "",
            month=month if _MONTH.fullmatch(month) else "",
            group=query.get("group", "")[:16],
            area=query.get("area", "")[:LONGEST],
        )

    def address(self, **changes: object) -> str:
        """The query of an address that says this, with changes; what is not asked is not in it."""
        changed = asdict(replace(self, **changes))  # type: ignore[arg-type]
        given = {name: value for name, value in changed.items() if value}
        return urllib.parse.urlencode(given, doseq=True)

    @property
    def anything(self) -> bool:
        """Whether it asks for anything."""
        return self != Wanted()

    @property
    def words(self) -> list[str]:
        """What is to be found, each, in small letters."""
        text = unicodedata.normalize("NFC", self.q).lower()
        return [a or b for a, b in re.findall(r'"([^"]+)"|(\S+)', text)][:_MAX_WORDS]


def find(wanted: Wanted, known: Known) -> np.ndarray:
    """int64: the photos that are wanted, in the order of their ids; of those that could not be read, if asked for."""
    photos = known.photos
    mask = photos.failed.copy() if wanted.only == "failed" else photos.ok.copy()
    for key in wanted.person:
        who = known.find(key)
        mask &= _of_people(known, [known.place[who]] if who in known.place else [])
    for word in wanted.words:
        there = np.asarray(pc.match_substring(photos.text, word))
        names = [known.place[one] for one, name in known.registry.names.items() if one in known.place]
        said = [code for code in names if word in known.registry.names[known.ids[code]].lower()]
        mask &= (there | _of_people(known, said)) if said else there
    if wanted.label:
        code = photos.labels.index(wanted.label) if wanted.label in photos.labels else -2
        mask &= (photos.label == code) & (photos.label_score >= (wanted.least or photos.least))
    elif wanted.least:
        mask &= (photos.label >= 0) & (photos.label_score >= wanted.least)
    counts = np.diff(photos.first)
    if wanted.only == "unsure":
        mask &= (photos.label >= 0) & (photos.label_score < photos.least)
    elif wanted.only == "faces":
        mask &= counts > 0
    elif wanted.only == "faceless":
        mask &= counts == 0
    elif wanted.only == "unknown":
        mask &= np.bincount(photos.of[known.person < 0], minlength=len(photos)).astype(bool)
    if wanted.month:
        mask &= np.asarray(pc.fill_null(pc.starts_with(photos.taken_at, wanted.month), False))
    if wanted.group:
        codes = [code for code, one in enumerate(known.group_ids) if key_of(one) == wanted.group]
        mask &= np.isin(known.group, codes)
    if wanted.area:
        mask &= known.atlas.photos(wanted.area, known)
    return np.flatnonzero(mask)


def months(known: Known) -> list[tuple[str, int]]:
    """The months in which photos were taken, the last one first, and how many."""
    taken = pc.utf8_slice_codeunits(known.photos.taken_at, 0, 7)
    counts: list[dict] = pc.value_counts(taken.filter(pa.array(known.photos.ok))).to_pylist()
    found = {one["values"]: one["counts"] for one in counts if one["values"] and _MONTH.fullmatch(one["values"])}
    return sorted(found.items(), reverse=True)


def _of_people(known: Known, codes: list[int]) -> np.ndarray:
    """bool (n,): the photos in which any of these people is."""
    mask = np.zeros(len(known.photos), bool)
    for code in codes:
        mask[known.photos.of[known.faces_of(code)]] = True
    return mask

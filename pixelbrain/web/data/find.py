"""What is looked for, as an address says it, which photos that are, and what else there is to choose."""

from __future__ import annotations

import functools
import operator
import re
import unicodedata
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.web.data.area import LONGEST, photos_in
from pixelbrain.web.data.columns import ORDERS, key_of
from pixelbrain.web.data.dates import Day, days_and_words
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
#: How photos are sorted, by its word in addresses, and what pages call it.
SORTS = {
    "": "Place",
    "newest": "Newest",
    "oldest": "Oldest",
    "name": "Name",
    "sharpest": "Sharpest",
    "blurred": "Least sharp",
    "largest": "Largest file",
    "smallest": "Smallest file",
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
    camera: str = ""
    rating: int = 0  # stars, at least
    said: tuple[str, ...] = ()  # "field=value" of what has few values
    where: str = ""  # an expression of docs/filters.md
    group: str = ""  # the key of a group that looks alike
    area: str = ""  # a part of a map, see `Area`
    sort: str = ""  # of SORTS

    @classmethod
    def of(cls, query: Mapping[str, str], people: Sequence[str], said: Sequence[str] = ()) -> Wanted:
        """Of an address."""
        try:
            least = min(max(float(query.get("least", 0)), 0.0), 1.0)
        except ValueError:
            least = 0.0
        only, month, rating, sort = (query.get(name, "") for name in ("only", "month", "rating", "sort"))
        return cls(
            q=query.get("q", "")[:500].strip(),
            person=tuple(dict.fromkeys(one for one in people if one))[:_MAX_WORDS],
            label=query.get("label", "")[:500],
            least=least if least == least else 0.0,
            only=only if only in ONLY else "",
            month=month if _MONTH.fullmatch(month) else "",
            camera=query.get("camera", "")[:500],
            rating=int(rating) if re.fullmatch("[1-5]", rating) else 0,
            said=tuple(dict.fromkeys(one[:500] for one in said if "=" in one))[:_MAX_WORDS],
            where=query.get("where", "")[:4000].strip(),
            group=query.get("group", "")[:16],
            area=query.get("area", "")[:LONGEST],
            sort=sort if sort in ORDERS else "",
        )

    def address(self, **changes: object) -> str:
        """The query of an address that says this, with changes; what is not asked is not in it."""
        changed = asdict(replace(self, **changes))  # type: ignore[arg-type]
        given = {name: value for name, value in changed.items() if value}
        return urllib.parse.urlencode(given, doseq=True)

    @property
    def anything(self) -> bool:
        """Whether it asks for anything."""
        return replace(self, sort="") != Wanted()

    @property
    def filters(self) -> int:
        """How many things are asked beside the words."""
        one = (self.label, self.least and not self.label, self.only, self.month, self.camera, self.rating, self.where)
        return sum(map(bool, (*one, self.group, self.area))) + len(self.person) + len(self.said)

    @property
    def words(self) -> list[str]:
        """What is to be found, each, in small letters."""
        return [one.text if isinstance(one, Day) else one for one in self._parts]

    @property
    def _parts(self) -> list[Day | str]:
        text = unicodedata.normalize("NFC", self.q).lower()
        return days_and_words([(a or b, bool(a)) for a, b in re.findall(r'"([^"]+)"|(\S+)', text)][:_MAX_WORDS])


class Found:
    """The photos of a search.

    Args:
        wanted: the search.
        known: photos and people.
        chosen: bool (n,), for which photos `wanted.where` is true; None where it has none.
    """

    def __init__(self, wanted: Wanted, known: Known, chosen: np.ndarray | None = None) -> None:
        self._known, self._photos, self._wanted = known, known.photos, wanted
        masks = _masks(wanted, known)
        if chosen is not None:
            masks["where"] = chosen
        self._masks = masks

    def mask(self, but: str | None = None) -> np.ndarray:
        """bool (n,): the photos of which all is true, or all but one thing."""
        return functools.reduce(operator.and_, (mask for name, mask in self._masks.items() if name != but))

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """int64: the photos, sorted."""
        mask = self.mask()
        if not self._wanted.sort:
            return np.flatnonzero(mask)
        order = self._photos.ordered(self._wanted.sort)
        return order[mask[order]]

    # what there is to choose, with how many photos each would leave, the most frequent first

    def labels(self) -> list[tuple[str, int]]:
        """Labels of those that are sure."""
        photos = self._photos
        sure = self.mask("label") & (photos.label >= 0) & (photos.label_score >= (self._wanted.least or photos.least))
        return _counted(photos.label[sure], photos.labels)

    def cameras(self) -> list[tuple[str, int]]:
        """Cameras."""
        photos = self._photos
        return _counted(photos.camera[self.mask("camera") & (photos.camera >= 0)], photos.cameras)

    def years(self) -> list[tuple[str, int, list[tuple[str, int]]]]:
        """Each year, the last one first, how many photos were taken in it, and the same of its months."""
        found: dict[str, list[tuple[str, int]]] = {}
        for month, n in months(self._known, self.mask("month")):
            found.setdefault(month[:4], []).append((month, n))
        return [(year, sum(n for _month, n in some), some) for year, some in found.items()]

    def ratings(self) -> list[tuple[int, int]]:
        """Stars, and how many photos have as many, or more."""
        counts = np.bincount(np.maximum(self._photos.rating[self.mask("rating")], 0), minlength=6)
        more = np.cumsum(counts[::-1])[::-1]
        return [(stars, int(more[stars])) for stars in range(5, 0, -1) if more[stars]]

    def said(self) -> list[tuple[str, list[tuple[str, int]]]]:
        """What answers and modules said that has few values."""
        found = ((name, facet.counts(self.mask(f"said {name}"))) for name, facet in self._photos.said.items())
        return [(name, values) for name, values in found if values]


def find(wanted: Wanted, known: Known, chosen: np.ndarray | None = None) -> np.ndarray:
    """int64: the photos that are wanted, sorted; of those that could not be read, if asked for. See `Found`."""
    return Found(wanted, known, chosen).rows


def _masks(wanted: Wanted, known: Known) -> dict[str, np.ndarray]:
    """bool (n,), by what is asked; all have to be true."""
    photos = known.photos
    masks = {"": photos.failed if wanted.only == "failed" else photos.ok}
    for key in wanted.person:
        who = known.find(key)
        masks[f"person {key}"] = _of_people(known, [known.place[who]] if who in known.place else [])
    for number, word in enumerate(wanted._parts):
        masks[f"word {number}"] = _with_word(word, known)
    if wanted.label:
        code = photos.labels.index(wanted.label) if wanted.label in photos.labels else -2
        masks["label"] = (photos.label == code) & (photos.label_score >= (wanted.least or photos.least))
    elif wanted.least:
        masks["label"] = (photos.label >= 0) & (photos.label_score >= wanted.least)
    if wanted.only not in ("", "failed"):
        counts = np.diff(photos.first)
        masks["only"] = {
            "unsure": lambda: (photos.label >= 0) & (photos.label_score < photos.least),
            "faces": lambda: counts > 0,
            "faceless": lambda: counts == 0,
            "unknown": lambda: np.bincount(photos.of[known.person < 0], minlength=len(photos)).astype(bool),
        }[wanted.only]()
    if wanted.month:
        masks["month"] = np.asarray(pc.fill_null(pc.starts_with(photos.taken_at, wanted.month), False))
    if wanted.camera:
        code = photos.cameras.index(wanted.camera) if wanted.camera in photos.cameras else -2
        masks["camera"] = photos.camera == code
    if wanted.rating:
        masks["rating"] = photos.rating >= wanted.rating
    for one in wanted.said:
        name, _is, value = one.partition("=")
        facet = photos.said.get(name)
        mask = facet.mask(value, len(photos)) if facet else np.zeros(len(photos), bool)
        masks[f"said {name}"] = masks.get(f"said {name}", mask) & mask
    if wanted.group:
        codes = [code for code, one in enumerate(known.group_ids) if key_of(one) == wanted.group]
        masks["group"] = np.isin(known.group, codes)
    if wanted.area:
        masks["area"] = photos_in(wanted.area, known)
    return masks


def _with_word(word: Day | str, known: Known) -> np.ndarray:
    """Where a word is in what was said, in a date, or in the name of somebody."""
    photos, text = known.photos, word.text if isinstance(word, Day) else word
    there = np.asarray(pc.match_substring(photos.text, text))
    if isinstance(word, Day):
        there = there | np.asarray(pc.fill_null(pc.match_substring_regex(photos.taken_at, word.pattern), False))
    named = [known.place[one] for one in known.registry.names if one in known.place]
    said = [code for code in named if text in known.registry.names[known.ids[code]].lower()]
    return there | _of_people(known, said) if said else there


def _counted(codes: np.ndarray, names: list[str]) -> list[tuple[str, int]]:
    counts = np.bincount(codes, minlength=len(names))
    return [(names[int(code)], int(counts[code])) for code in np.argsort(-counts, kind="stable") if counts[code]]


def months(known: Known, mask: np.ndarray | None = None) -> list[tuple[str, int]]:
    """The months in which photos were taken, the last one first, and how many; `mask`: of these photos."""
    taken = pc.utf8_slice_codeunits(known.photos.taken_at, 0, 7)
    counts: list[dict] = pc.value_counts(taken.filter(pa.array(known.photos.ok if mask is None else mask))).to_pylist()
    found = {one["values"]: one["counts"] for one in counts if one["values"] and _MONTH.fullmatch(one["values"])}
    return sorted(found.items(), reverse=True)


def _of_people(known: Known, codes: list[int]) -> np.ndarray:
    """bool (n,): the photos in which any of these people is."""
    mask = np.zeros(len(known.photos), bool)
    for code in codes:
        mask[known.photos.of[known.faces_of(code)]] = True
    return mask

"""Groups of photos that are alike, over the photos in memory, in an order that choices do not change."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.landing.duplicates.choices import Choice
from pixelbrain.landing.duplicates.read import with_choices
from pixelbrain.report.gallery.items import Photo
from pixelbrain.report.gallery.names import short_name
from pixelbrain.web.data.columns import Photos, key_of

#: What groups are filtered by: the kind that says least, and whether somebody chose.
KINDS = {"": "All kinds", "exact": "The same bytes", "near": "Near copies", "burst": "Bursts"}
SHOWN = {"": "All", "open": "Nothing chosen", "chosen": "Chosen"}


@dataclass(frozen=True, kw_only=True)
class Member:
    """A photo of a group."""

    photo: Photo
    taken: str | None
    best: bool
    keep: bool | None  # None: nothing is proposed
    chosen: str | None  # best, keep or drop, by somebody
    kind: str | None
    why: str

    @property
    def key(self) -> str:
        return key_of(self.photo.image_id)

    @property
    def says(self) -> str:
        """Its badge."""
        return "best" if self.best else {True: "keep", False: "drop", None: "alike"}[self.keep]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Photos that are alike."""

    key: str
    kind: str
    members: list[Member]
    chosen: bool

    @property
    def best(self) -> Member:
        return next(one for one in self.members if one.best)

    def member(self, key: str) -> Member | None:
        return next((one for one in self.members if one.key == key), None)


def in_order(found: pa.Table, photos: Photos) -> pa.Table:
    """What was found, of photos that are there: groups that take most room first, and the best of each first."""
    at = pc.index_in(found["image_id"], photos.image_id)
    found, rows = found.filter(pc.is_valid(at)), np.asarray(at.drop_null(), np.int64)
    codes = found["duplicate_id"].combine_chunks().dictionary_encode().indices
    room = np.bincount(np.asarray(codes), np.maximum(photos.size_bytes[rows], 0)) if len(found) else np.empty(0)
    order = np.lexsort((rows, ~np.asarray(pc.is_null(found["copy_of"])), codes, -room[np.asarray(codes)]))
    return found.take(pa.array(order))


class Groups:
    """Groups as somebody chose.

    Args:
        found: as `in_order` has it.
        choices: all, in their order.
        photos: in memory.
        drops: see `with_choices`.
    """

    def __init__(self, found: pa.Table, choices: Collection[Choice], photos: Photos, *, drops: bool) -> None:
        self.found, self.choices, self._photos, self._drops = found, list(choices), photos, drops
        rows = with_choices(found, choices, drops=drops)
        names = rows["duplicate_id"].combine_chunks().dictionary_encode()
        codes = np.asarray(names.indices, np.int64)
        order = np.argsort(codes, kind="stable")  # what is apart makes groups that lie in one another
        self.rows, codes = rows.take(pa.array(order)), codes[order]
        self.keys = [key_of(one) for one in names.dictionary.to_pylist()]
        self.place = {key: code for code, key in enumerate(self.keys)}
        self._bounds = np.searchsorted(codes, np.arange(len(self.keys) + 1))
        self._at = np.asarray(pc.index_in(self.rows["image_id"], photos.image_id), np.int64)
        drop = np.asarray(pc.fill_null(pc.invert(self.rows["keep"]), False))
        self.n_drop = int(drop.sum())
        self.drop_bytes = int(np.maximum(photos.size_bytes[self._at[drop]], 0).sum())
        self._kind = np.zeros(len(self.keys), np.int64)
        known = list(KINDS)
        of_row = [known.index(one) if one in known else 0 for one in self.rows["kind"].to_pylist()]
        np.maximum.at(self._kind, codes, np.array(of_row, np.int64))
        self.chosen = np.bincount(codes[np.asarray(pc.is_valid(self.rows["chosen"]))], minlength=len(self)).astype(bool)

    def __len__(self) -> int:
        return len(self.keys)

    def wanted(self, kind: str, shown: str, stays: str) -> np.ndarray:
        """int64: the groups to be shown; `stays`: and the one of this key, which was so until somebody chose."""
        mask = np.ones(len(self), bool)
        if kind:
            mask &= self._kind == list(KINDS).index(kind)
        if shown:
            mask &= self.chosen == (shown == "chosen")
            if stays in self.place:
                mask[self.place[stays]] = True
        return np.flatnonzero(mask)

    def of(self, code: int, most: int | None = None) -> Group:
        """A group with so many of its photos at most."""
        start, stop = (int(one) for one in self._bounds[code : code + 2])
        rows = list(enumerate(self.rows.slice(start, stop - start).to_pylist(), start))
        some = [(at, row) for place, (at, row) in enumerate(rows) if place < (most or stop) or row["copy_of"] is None]
        best = next(row["image_id"] for _at, row in rows if row["copy_of"] is None)
        members = [self._member(row, int(self._at[at]), best) for at, row in some]
        kind = list(KINDS)[self._kind[code]]
        return Group(key=self.keys[code], kind=kind, members=members, chosen=bool(self.chosen[code]))

    def size(self, code: int) -> int:
        """How many photos a group has."""
        return int(self._bounds[code + 1] - self._bounds[code])

    def _member(self, row: dict[str, Any], at: int, best: str) -> Member:
        why, like = row["why"] or "", row["copy_of"]
        if why and like not in (None, best):  # it is a copy of a copy
            why = f"{why}, beside {short_name(like)}"
        return Member(
            photo=self._photos.shown(at),
            taken=self._photos.taken_at[at].as_py(),
            best=row["copy_of"] is None,
            keep=row["keep"],
            chosen=row["chosen"],
            kind=row["kind"],
            why=why,
        )

    def after(self, *choices: Choice) -> Groups:
        """As it would be if this was chosen, too."""
        return Groups(self.found, [*self.choices, *choices], self._photos, drops=self._drops)

    def keeps(self, image_id: str) -> bool | None:
        """Whether a photo is to be kept."""
        at = pc.index(self.rows["image_id"], image_id).as_py()
        return None if at < 0 else self.rows["keep"][at].as_py()

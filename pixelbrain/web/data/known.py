"""Who is who, over the photos in memory: people by size with their faces, names, and what looks alike."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.registry import read_registry
from pixelbrain.report.gallery import names
from pixelbrain.report.gallery.items import GalleryFace, Photo
from pixelbrain.web.data.columns import Photos, key_of
from pixelbrain.web.data.maps import Maps


class Known:
    """The people of an OUT as of now. p people, those with the most faces first; m faces, as `photos` has them.

    Args:
        landing: what has landed.
        photos: the same, in memory.
        maps: the maps over them.
    """

    def __init__(self, landing: Landing, photos: Photos, maps: Maps) -> None:
        found, self.maps = IDENTITIES.read(landing).rows, maps
        self.photos, self.registry = photos, read_registry(landing.storage)
        self.identified = found is not None
        empty = pa.table({name: pa.nulls(0, pa.string()) for name in ("face_id", "identity_id", "assigned")})
        rows = found if found is not None else empty.append_column("distance", pa.nulls(0, pa.float32()))
        at = pc.index_in(photos.face_id, rows["face_id"].combine_chunks())
        who, how = (rows[name].take(at).combine_chunks().dictionary_encode() for name in ("identity_id", "assigned"))
        codes = np.asarray(pc.fill_null(who.indices, -1), np.int64)
        counts = np.bincount(codes[codes >= 0], minlength=len(who.dictionary))
        ids = who.dictionary.to_pylist()
        by_size = sorted(range(len(ids)), key=lambda one: (-counts[one], ids[one]))
        place = np.argsort(np.asarray(by_size, np.int64), kind="stable")
        self.ids: list[str] = [ids[one] for one in by_size]
        self.person = np.where(codes >= 0, place[codes] if len(ids) else -1, -1)  # int64 (m,); -1: nobody
        self.distance = np.asarray(pc.fill_null(rows["distance"].take(at), math.inf), np.float32)
        self._how, self._hows = np.asarray(pc.fill_null(how.indices, -1), np.int64), how.dictionary.to_pylist()
        self.hidden = np.array([one in self.registry.hidden for one in self.ids], bool)
        # faces by person, the most typical first
        self._order = np.lexsort((self.distance, self.person))
        self._bounds = np.searchsorted(self.person[self._order], np.arange(len(self.ids) + 1))
        pairs = np.unique(np.stack([self.person, photos.of], axis=1)[self.person >= 0], axis=0)
        self.n_photos = np.bincount(pairs[:, 0], minlength=len(self.ids))
        self._by_key = {key_of(one): one for one in {*self.registry.ids, *self.ids}}
        self.place = {one: code for code, one in enumerate(self.ids)}
        self._groups(landing)

    def _groups(self, landing: Landing) -> None:
        groups = GROUPS.read(landing).rows
        if groups is None:
            self.group = np.full(len(self.photos), -1, np.int64)
            self.group_ids: list[str] = []
            return
        at = pc.index_in(self.photos.image_id, groups["image_id"].combine_chunks())
        found = groups["group_id"].take(at).combine_chunks().dictionary_encode()
        self.group, self.group_ids = np.asarray(pc.fill_null(found.indices, -1), np.int64), found.dictionary.to_pylist()

    # --- people ----------------------------------------------------------------------------------------------------

    def called(self, identity_id: str) -> str:
        """What to call somebody on a page: the name, or the beginning of the id."""
        name = self.registry.names.get(identity_id)
        return names.visible(name) if name else short(identity_id)

    @functools.cached_property
    def people(self) -> Mapping[str, str]:
        """What everybody is called."""
        return _Called(self)

    @functools.cached_property
    def names(self) -> list[str]:
        """The names that are given, each once, for completion."""
        return sorted({self.registry.names[one] for one in self.ids if one in self.registry.names}, key=str.casefold)

    def find(self, key: str) -> str | None:
        """The identity_id behind a key of an address: of somebody who became another, that one."""
        found = self._by_key.get(key)
        return None if found is None else self.registry.current(found)

    def faces_of(self, code: int) -> np.ndarray:
        """int64: a person's faces, the most typical first."""
        return self._order[self._bounds[code] : self._bounds[code + 1]]

    def photos_of(self, code: int) -> np.ndarray:
        """int64: the photos in which somebody is, each once."""
        return np.unique(self.photos.of[self.faces_of(code)])

    @functools.cached_property
    def nobodys(self) -> np.ndarray:
        """int64: faces of nobody; those too poor to be compared last, those that are no faces not at all."""
        last = np.array([{"gated": 1, "rejected": 2}.get(one, 0) for one in [*self._hows, None]], np.int64)[self._how]
        rows = np.flatnonzero((self.person < 0) & (last < 2))
        return rows[np.argsort(last[rows], kind="stable")]

    def how(self, face: int) -> str | None:
        """How a face was assigned."""
        return self._hows[self._how[face]] if self._how[face] >= 0 else None

    def face_row(self, face_id: str) -> int | None:
        """Where a face is."""
        return self.photos.face_by_key.find(key_of(face_id))

    # --- what is shown ---------------------------------------------------------------------------------------------

    def face(self, row: int) -> GalleryFace:
        """A face as pages show it."""
        photos, code = self.photos, int(self.person[row])
        score, distance = float(photos.score[row]), float(self.distance[row])
        x1, y1, x2, y2 = photos.box[row].tolist()
        return GalleryFace(
            photos.face_id[row].as_py(),
            x1,
            y1,
            x2,
            y2,
            None if math.isnan(score) else score,
            self.ids[code] if code >= 0 else None,
            distance if math.isfinite(distance) else None,
            self.how(row),
        )

    def photo(self, row: int) -> Photo:
        """A photo with its faces."""
        faces = range(int(self.photos.first[row]), int(self.photos.first[row + 1]))
        shown = self.photos.shown(row, tuple(map(self.face, faces)))
        shown.group_id = self.group_ids[self.group[row]] if self.group[row] >= 0 else None
        return shown

    def pair(self, face: int) -> tuple[Photo, GalleryFace]:
        """A face, and its photo without others."""
        found = self.face(face)
        return self.photos.shown(int(self.photos.of[face]), (found,)), found

    def pairs(self, faces: Iterable[int]) -> list[tuple[Photo, GalleryFace]]:
        """The same of several."""
        return [self.pair(int(one)) for one in faces]


class _Called(dict):
    """Made when it is asked for: of 10,000 people a page shows a hundred."""

    def __init__(self, known: Known) -> None:
        super().__init__()
        self._known = known

    def __missing__(self, identity_id: str) -> str:
        return self._known.called(identity_id)


def short(identity_id: str) -> str:
    """Somebody without a name: `Person 3f2a9c`, the same on every page and tomorrow."""
    kind, dash, digits = identity_id.partition("-")
    return f"Person {digits[:6]}" if kind == "person" and dash else names.visible(identity_id)

"""The maps of an OUT, in memory: of each photo, or face, that is shown, where it lies."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import PixelbrainError
from pixelbrain.landing.derived import MAPS, landed_maps
from pixelbrain.landing.landing import Landing
from pixelbrain.storage.base import Storage
from pixelbrain.web.data.columns import Photos

#: Of the picture's side, free around the outermost points.
_MARGIN = 0.02


@dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """One map: n places, each of a photo, or a face, as `photos` has them."""

    name: str  # of the vectors
    made: str  # another one when the map was made anew, though not when photos went or changed
    version: str  # another one when anything of it changed
    of_faces: bool
    rows: np.ndarray  # int64 (n,)
    points: np.ndarray  # float32 (n, 2)
    missing: int  # photos, or faces, that landed since, or changed
    corner: tuple[float, float]  # float32: of the square in which all are
    side: float

    def __len__(self) -> int:
        return len(self.rows)

    def photos_of(self, photos: Photos) -> np.ndarray:
        """int64 (n,): the photo of each place."""
        return photos.of[self.rows] if self.of_faces else self.rows

    @property
    def unit(self) -> np.ndarray:
        """float64 (n, 2): in the square, 0 to 1."""
        return (self.points.astype(np.float64) - np.array(self.corner)) / self.side


class Maps:
    """All maps of an OUT, each read when it is first looked at. Safe to share between threads.

    Args:
        storage: of OUT.
        landing: what pages are read of.
    """

    def __init__(self, storage: Storage, landing: Callable[[], Landing]) -> None:
        self._storage, self._landing, self._lock = storage, landing, threading.Lock()
        self._read: dict[str, tuple[Photos, Places]] = {}

    def versions(self) -> dict[str, str]:
        """Which maps there are: a listing."""
        return {file.removesuffix(".parquet"): version for file, version in self._storage.versions(MAPS).items()}

    def places(self, name: str, photos: Photos) -> Places | None:
        """A map over what is shown; None: there is none of that name, or it cannot be read."""
        version = self.versions().get(name)
        if version is None:
            return None
        with self._lock:
            of, found = self._read.get(name, (None, None))
            if found is None or of is not photos or found.version != version:
                try:
                    found = _read(self._landing(), name, version, photos)
                except PixelbrainError:  # as while it is replaced; whoever makes it anew hears why
                    found = None
                if found is None:
                    return None
                self._read[name] = photos, found
        return found


def _read(landing: Landing, name: str, version: str, photos: Photos) -> Places | None:
    table = landed_maps(landing).get(name)
    if table is None:
        return None
    found, of_faces = table.read(landing), table.key == "face_id"
    assert found.rows is not None
    ids = photos.face_id if of_faces else photos.image_id
    at = pc.index_in(found.rows[table.key].combine_chunks(), ids)
    rows = found.rows.filter(pc.is_valid(at))
    points = np.stack([np.asarray(rows[name], np.float32) for name in ("x", "y")], axis=1)
    made = json.loads(rows["settings"][0].as_py()).get("id", "") if len(rows) else ""
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (np.zeros(2), np.zeros(2))
    side = np.float32(max(*(high - low), 1e-6) * (1 + 2 * _MARGIN))
    corner = ((low + high) / 2 - side / 2).astype(np.float32)
    return Places(
        name=name, made=made, version=version, of_faces=of_faces, missing=found.missing, points=points,
        rows=np.asarray(at.drop_null().cast(pa.int64())), corner=(float(corner[0]), float(corner[1])), side=float(side),
    )  # fmt: skip

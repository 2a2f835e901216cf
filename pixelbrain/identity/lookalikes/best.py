"""Which photo of several is the best one, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pixelbrain.identity.lookalikes.photos import NONE, Photos

_SAME_SIDE = 1.02  # sides that differ by less are of one size: a scaler rounds

#: In this order, of copies of one picture; and of photos of one burst, which a camera took alike.
COPIES = ("size", "camera", "format", "bytes", "sharpness")
BURST = ("seen", "sharpness", "size", "bytes")

#: Cameras write these; a photo in another format was made of one.
_OF_CAMERAS = ("JPEG", "MPO", "HEIF", "TIFF")


class Judge:
    """Compares photos: the larger, the original, the less compressed, the sharper, that with more faces to be seen."""

    def __init__(self, photos: Photos) -> None:
        self._photos = photos
        self._ranks: dict[tuple[str, ...], np.ndarray] = {}
        pixels = np.maximum(photos.width * photos.height, 1)
        self._keys = {
            "size": np.round(np.log(pixels) / (2 * np.log(_SAME_SIDE))),
            "camera": (photos.camera != NONE).astype(float),
            "format": np.isin(photos.format, _OF_CAMERAS).astype(float),
            "bytes": photos.size_bytes.astype(float),
            "seen": photos.seen.astype(float),
            "sharpness": np.nan_to_num(np.round(photos.sharpness), nan=-1.0),
        }

    def rank(self, by: tuple[str, ...]) -> np.ndarray:
        """int64 (n,): of each photo, how many are better; of equal ones the one with the shorter name, then the first.

        Args:
            by: what counts, and in which order: `COPIES` or `BURST`.
        """
        if by in self._ranks:
            return self._ranks[by]
        lengths = np.array([len(one) for one in self._photos.ids], np.int64)
        keys = (-self._keys[name] for name in reversed(by))
        order = np.lexsort((np.arange(len(lengths)), lengths, *keys))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        self._ranks[by] = rank
        return rank

    def why(self, best: int, others: Sequence[int], by: tuple[str, ...]) -> str:
        """In what the best is ahead of the next best, for people."""
        rank = self.rank(by)
        second = min(others, key=lambda other: rank[other])
        for name in by:
            if self._keys[name][best] > self._keys[name][second]:
                return _TEXTS[name](self._photos, best, second)
        return "as good as the others, with the shortest name"


_TEXTS: dict[str, Callable[[Photos, int, int], str]] = {
    "size": lambda p, a, b: f"larger: {p.width[a]} x {p.height[a]} px, the next {p.width[b]} x {p.height[b]}",
    "camera": lambda p, a, b: "the original: it has its camera's data",
    "format": lambda p, a, b: f"in a format of cameras: {p.format[a]}, the next {p.format[b]}",
    "bytes": lambda p, a, b: f"less compressed: {p.size_bytes[a]:,} bytes, the next {p.size_bytes[b]:,}",
    "seen": lambda p, a, b: f"more faces whose eyes are seen: {p.seen[a]}, the next {p.seen[b]}",
    "sharpness": lambda p, a, b: f"sharper: {p.sharpness[a]:.0f}, the next {p.sharpness[b]:.0f}",
}

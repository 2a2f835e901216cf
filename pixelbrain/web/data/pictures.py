"""Small pictures and large ones: from what extract landed, and else made of the originals."""

from __future__ import annotations

import collections
import io
import logging
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.errors import ImageError, LandingError
from pixelbrain.images import thumbnail
from pixelbrain.images.decode import DecodeTarget, decode_image
from pixelbrain.landing.digests import digest_versions
from pixelbrain.report.gallery.items import GalleryFace, Photo
from pixelbrain.report.gallery.thumbnails import decode_target
from pixelbrain.storage.base import Storage

T = TypeVar("T")

logger = logging.getLogger(__name__)

#: The long side of the large picture of a photo.
LARGE_PX = 1600
_QUALITY = 85
_LANDED_BYTES, _MADE_BYTES = 128 << 20, 64 << 20  # of what was shown, to be shown again
_AT_ONCE = 2  # originals that are decoded: a phone's photo takes 100 MB meanwhile


class Pictures:
    """Pictures of an OUT, as JPEG. Safe to share between threads.

    In memory: 40 bytes a landed picture, and the last ones shown.

    Args:
        storage: OUT.
        read: image_id to the bytes of the original; raises `ImageError`.
        max_pixels: as `decode_image` has it.
    """

    def __init__(self, storage: Storage, read: Callable[[str], bytes], *, max_pixels: int) -> None:
        self._storage, self._read, self._max_pixels = storage, read, max_pixels
        self._files: dict[tuple[str, str], _File] = {}  # by name and version
        self._landed: _Kept[pa.Array] = _Kept(_LANDED_BYTES)
        self._made: _Kept[bytes] = _Kept(_MADE_BYTES)
        self._lock, self._decoding = threading.Lock(), threading.Semaphore(_AT_ONCE)

    def look(self) -> None:
        """See which pictures have landed, and let go of all others: of files that are known nothing is read."""
        with self._lock:
            there: dict[tuple[str, str], _File] = {}
            for one in self._storage.versions(schema.PICTURES).items():
                try:
                    there[one] = self._files.get(one) or _File(self._storage, one[0])
                except LandingError as error:
                    logger.warning("%s; its pictures are made of the originals", error)
            self._files = there
            for kept in (self._landed, self._made):  # what was forgotten is not shown, and not kept either
                kept.clear()

    def thumbnail(self, photo: Photo) -> bytes | None:
        """The whole photo, `thumbnail.THUMBNAIL_PX` at most; None: it cannot be had."""
        return self._small(photo, None)

    def face(self, photo: Photo, face: GalleryFace) -> bytes | None:
        """A face, a square."""
        return self._small(photo, face)

    def large(self, photo: Photo) -> bytes | None:
        """The whole photo, upright, of LARGE_PX at most, without what its file says besides; else the thumbnail."""

        return self._make(photo, "large", lambda data: self._whole(photo, data, LARGE_PX)) or self.thumbnail(photo)

    def full(self, photo: Photo) -> bytes | None:
        """The whole photo, upright, with all its pixels, and without what its file says besides; not kept here."""
        most = max(photo.width, photo.height, LARGE_PX)
        return self._make(photo, "", lambda data: self._whole(photo, data, most), keep=False) or self.large(photo)

    def _whole(self, photo: Photo, data: bytes, most: int) -> bytes:
        target = DecodeTarget(long_side_px=most)
        picture = decode_image(data, image_id=photo.image_id, target=target, max_pixels=self._max_pixels).pil()
        picture.thumbnail((most, most))
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=_QUALITY)
        return out.getvalue()

    def _small(self, photo: Photo, face: GalleryFace | None) -> bytes | None:
        box = None if face is None else np.array([face.x1, face.y1, face.x2, face.y2], np.float32)
        for one, file in list(self._files.items()):
            place = file.find(photo.image_id, photo.version, box)
            if place is not None:
                try:
                    return self._picture(one[0], *place)
                except (LandingError, IndexError):  # compacted since: what it has is elsewhere soon
                    continue

        def make(data: bytes) -> bytes:
            boxes = [] if face is None else [(face.x1, face.y1, face.x2, face.y2)]
            image = decode_image(
                data, image_id=photo.image_id, target=decode_target(photo, boxes), max_pixels=self._max_pixels
            )
            if face is None:
                return thumbnail.encode_thumbnail(image)
            return thumbnail.encode_faces(image, boxes, photo.turn)[0]

        return self._make(photo, face.face_id if face else "", make)

    def _picture(self, name: str, group: int, row: int) -> bytes:
        pictures = self._landed.get((name, group))
        if pictures is None:
            with self._storage.open_parquet(f"{schema.PICTURES}/{name}") as file:
                if group >= file.metadata.num_row_groups:
                    raise IndexError(group)
                pictures = file.read_row_group(group, columns=["picture"])["picture"].combine_chunks()
            self._landed.put((name, group), pictures, pictures.nbytes)
        return pictures[row].as_py()

    def _make(self, photo: Photo, what: str, make: Callable[[bytes], bytes], *, keep: bool = True) -> bytes | None:
        key = (photo.image_id, photo.version, what)
        found = self._made.get(key) if keep else None
        if found is None:
            try:
                with self._decoding:
                    found = make(self._read(photo.image_id))
            except ImageError:  # it could be read when it landed: gone, or changed
                return None
            if keep:
                self._made.put(key, found, len(found))
        return found


class _File:
    """Where the pictures of one file are, by image."""

    def __init__(self, storage: Storage, name: str) -> None:
        with storage.open_parquet(f"{schema.PICTURES}/{name}") as file:
            table = file.read(columns=["image_id", "version", "box"])
            sizes = [file.metadata.row_group(one).num_rows for one in range(file.metadata.num_row_groups)]
        images = digest_versions(table["image_id"])
        self._order = np.argsort(images, kind="stable")
        self._images, self._version = images[self._order], digest_versions(table["version"])[self._order]
        lists = table["box"].combine_chunks()
        box = np.full((len(table), 4), np.nan, np.float32)
        there = np.asarray(pc.equal(pc.fill_null(pc.list_value_length(lists), 0), 4))
        box[there] = np.asarray(lists.filter(pa.array(there)).flatten(), np.float32).reshape(-1, 4)
        self._box = box[self._order]
        self._ends = np.cumsum(sizes)

    def find(self, image_id: str, version: str, box: np.ndarray | None) -> tuple[int, int] | None:
        """Row group and row of a picture; None: it is not there."""
        image, of = (digest_versions(pa.array([one], pa.string()))[0] for one in (image_id, version))
        start, stop = np.searchsorted(self._images, image), np.searchsorted(self._images, image, side="right")
        some = slice(int(start), int(stop))
        same = np.isnan(self._box[some]).all(axis=1) if box is None else (np.abs(self._box[some] - box) < 0.06).all(1)
        hits = np.flatnonzero(same & (self._version[some] == of))
        if not len(hits):
            return None
        row = int(self._order[some][hits[-1]])
        group = int(np.searchsorted(self._ends, row, side="right"))
        return group, row - (int(self._ends[group - 1]) if group else 0)


class _Kept(Generic[T]):
    """The last things that were wanted, up to so many bytes."""

    def __init__(self, most: int) -> None:
        self._kept: collections.OrderedDict[Hashable, tuple[T, int]] = collections.OrderedDict()
        self._most, self._bytes, self._turn = most, 0, threading.Lock()

    def get(self, key: Hashable) -> T | None:
        """What is kept under a key."""
        with self._turn:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def put(self, key: Hashable, value: T, size: int) -> None:
        """Keep it, in place of what was wanted longest ago."""
        with self._turn:
            self._bytes += size - self._kept.pop(key, (value, 0))[1]
            self._kept[key] = value, size
            while self._bytes > self._most and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1][1]

    def clear(self) -> None:
        """Keep nothing."""
        with self._turn:
            self._kept.clear()
            self._bytes = 0

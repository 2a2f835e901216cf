"""Thumbnails and face crops as files: from where extract landed them, else made of the originals, each once."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np

from pixelbrain import schema
from pixelbrain.errors import ImageError
from pixelbrain.images import thumbnail
from pixelbrain.images.decode import DecodeTarget, decode_image
from pixelbrain.images.limits import MAX_PIXELS
from pixelbrain.images.thumbnail import Box
from pixelbrain.report.gallery.items import GalleryFace, Photo
from pixelbrain.storage.base import BrokenFileError, Storage

logger = logging.getLogger(__name__)

_DECODE_PX = 1600  # small faces need more than a thumbnail has: the long side up to here; above it crops stay soft
_FOLDERS = ("thumbs", "faces")
_ROWS = 1_000  # photos that are looked at together


def thumbnail_path(photo: Photo) -> str:
    """The thumbnail's path inside the report; another version of the photo has another."""
    return _path(photo.image_id, photo.version)


def face_path(photo: Photo, face: GalleryFace) -> str:
    """The face crop's path inside the report; another box has another."""
    return _path(photo.image_id, photo.version, _box(face))


def thumbnail_size(photo: Photo) -> tuple[int, int]:
    """Width and height of a photo's thumbnail in pixels; a small photo is not enlarged."""
    return thumbnail.thumbnail_size(photo.width, photo.height)


def _path(image_id: str, version: str, box: Box | None = None) -> str:
    corners = [",".join(f"{value:.1f}" for value in box)] if box else []
    digest = hashlib.sha256("\0".join((thumbnail.RECIPE, image_id, version, *corners)).encode()).hexdigest()
    # 256 folders, so that no folder of a large report holds more files than a file manager can list
    return f"{_FOLDERS[bool(box)]}/{digest[:2]}/{digest[2:26]}.jpg"


def _key(path: str) -> int:
    """A path as 63 bits: two of 10^7 are the same with probability 5e-6, and then a picture is not made."""
    return int(path[-20:-4], 16) >> 1


def _box(face: GalleryFace) -> Box:
    return face.x1, face.y1, face.x2, face.y2


def _files(photo: Photo) -> dict[str, Box | None]:
    """What is shown of a photo: its faces, and, of None, the thumbnail."""
    return {thumbnail_path(photo): None, **{face_path(photo, face): _box(face) for face in photo.faces}}


class _Keys:
    """Which paths there are, 8 bytes each."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._sorted = np.sort(np.fromiter(map(_key, paths), np.int64))

    def hold(self, paths: Sequence[str]) -> list[bool]:
        """Whether each path is one of them."""
        keys = np.fromiter(map(_key, paths), np.int64, len(paths))
        place = np.searchsorted(self._sorted, keys)
        place[place == len(self._sorted)] = 0
        return (self._sorted[place] == keys).tolist() if len(self._sorted) else [False] * len(paths)


def make_thumbnails(
    photos: Sequence[Photo],
    folder: Path,
    landed: Storage | None = None,
    *,
    read: Callable[[str], bytes],
    max_pixels: int = MAX_PIXELS,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> set[str]:
    """Make the thumbnails and face crops that are not there yet, and remove those that nobody shows any more.

    Memory: 16 bytes a picture, and two photos a thread.

    Args:
        photos: what is shown.
        folder: the report.
        landed: the OUT in which extract may have landed pictures (`schema.PICTURE_SCHEMA`): what it has is copied, and
            only of other photos the original is read and decoded.
        read: image_id to encoded bytes; raises `ImageError`.
        max_pixels: as `decode_image` has it.
        threads: decoding at once; default: one a CPU, at most 8.
        progress: called with (done, total) photos, also for those that were there.

    Returns:
        The paths that could not be made, because a photo cannot be read any more: show a placeholder for them.

    Raises:
        OSError: the report cannot be written.
    """
    there = _Keys(_existing(folder))
    absent = _Keys(path for photo, paths in _lacking(photos, there) for path in paths)
    if landed is not None:
        for path, picture in _landed(landed, absent):
            _write(folder / path, picture)
        there = _Keys(_existing(folder))
    make = functools.partial(_make, folder=folder, read=read, max_pixels=max_pixels)
    missing = _from_originals(photos, there, make, threads or min(8, os.cpu_count() or 1), progress)
    wanted = _Keys(path for photo in photos for path in _files(photo))
    found = list(_existing(folder))
    for path, shown in zip(found, wanted.hold(found), strict=True):
        if not shown:
            (folder / path).unlink(missing_ok=True)
    return missing


def _existing(folder: Path) -> Iterator[str]:
    for name in _FOLDERS:
        for inner in folder.glob(f"{name}/??"):
            with os.scandir(inner) as entries:
                yield from (f"{name}/{inner.name}/{entry.name}" for entry in entries if entry.name.endswith(".jpg"))


def _lacking(photos: Sequence[Photo], there: _Keys) -> Iterator[tuple[Photo, dict[str, Box | None]]]:
    """The photos of which a picture is not there, with those that are not."""
    for start in range(0, len(photos), _ROWS):
        some = photos[start : start + _ROWS]
        files = [_files(photo) for photo in some]
        held = iter(there.hold([path for paths in files for path in paths]))
        for photo, paths in zip(some, files, strict=True):
            if absent := {path: box for path, box in paths.items() if not next(held)}:
                yield photo, absent


def _landed(storage: Storage, wanted: _Keys) -> Iterator[tuple[str, bytes]]:
    """The wanted pictures among those that extract landed; of other files than these no picture is read."""
    ids = [name for name in schema.PICTURE_SCHEMA.names if name != "picture"]
    for name in sorted(storage.versions(schema.PICTURES)):
        try:
            with storage.open_parquet(f"{schema.PICTURES}/{name}") as file:
                for group in range(file.metadata.num_row_groups):
                    rows = file.read_row_group(group, columns=ids).to_pylist()
                    paths = [_path(row["image_id"], row["version"], row["box"] and tuple(row["box"])) for row in rows]
                    held = wanted.hold(paths)
                    if any(held):
                        pictures = file.read_row_group(group, columns=["picture"])["picture"]
                        for path, shown, picture in zip(paths, held, pictures, strict=True):
                            if shown:
                                yield path, picture.as_py()
        except BrokenFileError as error:
            logger.warning("%s; its thumbnails are made of the originals", error)


def _from_originals(
    photos: Sequence[Photo],
    there: _Keys,
    make: Callable[[Photo, dict[str, Box | None]], list[str]],
    threads: int,
    progress: Callable[[int, int], None] | None,
) -> set[str]:
    missing: set[str] = set()
    left, done = sum(1 for _ in _lacking(photos, there)), 0

    def settle(futures: Iterable[Future[list[str]]]) -> None:
        nonlocal done
        for future in futures:
            missing.update(future.result())
            done += 1
            if progress is not None:
                progress(len(photos) - left + done, len(photos))

    with ThreadPoolExecutor(threads, thread_name_prefix="thumbnails") as pool:
        running: set[Future[list[str]]] = set()
        try:
            for photo, absent in _lacking(photos, there):
                running.add(pool.submit(make, photo, absent))
                if len(running) >= 2 * threads:
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    settle(finished)
            settle(running)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if progress is not None and len(photos) and not left:
        progress(len(photos), len(photos))
    return missing


def _make(
    photo: Photo, files: Mapping[str, Box | None], folder: Path, read: Callable[[str], bytes], max_pixels: int
) -> list[str]:
    """Make a photo's files, of faces and, of None, the thumbnail; the paths that could not be made."""
    boxes = {path: box for path, box in files.items() if box}
    try:
        data, target = read(photo.image_id), decode_target(photo, boxes.values())
        image = decode_image(data, image_id=photo.image_id, target=target, max_pixels=max_pixels)
    except ImageError:  # it could be read when it was landed: gone or changed since
        return list(files)
    for path, crop in zip(boxes, thumbnail.encode_faces(image, boxes.values(), photo.turn), strict=True):
        _write(folder / path, crop)
    for path in files.keys() - boxes.keys():
        _write(folder / path, thumbnail.encode_thumbnail(image))
    return []


def decode_target(photo: Photo, boxes: Iterable[Box]) -> DecodeTarget:
    """The least scale at which the thumbnail and the smallest face have their pixels."""
    wanted = float(thumbnail.THUMBNAIL_PX)
    for box in boxes:
        x1, _, x2, _ = thumbnail.face_crop_box(box, photo.width, photo.height)
        wanted = max(wanted, max(photo.width, photo.height) * thumbnail.FACE_PX / (x2 - x1))
    return DecodeTarget(long_side_px=int(min(wanted, _DECODE_PX)))


def _write(path: Path, picture: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(picture)
    os.replace(temporary, path)

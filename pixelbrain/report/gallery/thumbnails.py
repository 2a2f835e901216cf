"""Thumbnails and face crops as files: made once, kept while their photo is the same, removed when it is gone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from PIL import Image

from pixelbrain.errors import ImageError
from pixelbrain.images.decode import DecodeTarget, decode_image
from pixelbrain.images.limits import MAX_PIXELS
from pixelbrain.report.gallery.items import GalleryFace, Photo

THUMBNAIL_PX = 400  # the long side; cards are 200 to 300 px wide, on screens that have up to two pixels for one
FACE_PX = 192  # the side of a face crop, a square
FACE_MARGIN = 0.25  # how much of a face's longer side is added on each side: hair and chin are within it
_DECODE_PX = 1600  # small faces need more than a thumbnail has: the long side up to here; above it crops stay soft
_QUALITY = 80
_RECIPE = f"1:{THUMBNAIL_PX}:{FACE_PX}:{FACE_MARGIN}:{_QUALITY}"  # part of every name: another recipe is another file
_FOLDERS = ("thumbs", "faces")


def thumbnail_path(photo: Photo) -> str:
    """The thumbnail's path inside the report; another version of the photo has another."""
    return _path("thumbs", photo.image_id, photo.version)


def face_path(photo: Photo, face: GalleryFace) -> str:
    """The face crop's path inside the report; another box has another."""
    box = ",".join(f"{value:.1f}" for value in (face.x1, face.y1, face.x2, face.y2))
    return _path("faces", photo.image_id, photo.version, box)


def _path(folder: str, *parts: str) -> str:
    digest = hashlib.sha256("\0".join((_RECIPE, *parts)).encode()).hexdigest()
    # 256 folders, so that no folder of a large report holds more files than a file manager can list
    return f"{folder}/{digest[:2]}/{digest[2:26]}.jpg"


def thumbnail_size(photo: Photo) -> tuple[int, int]:
    """Width and height of a photo's thumbnail in pixels; a small photo is not enlarged."""
    scale = min(1.0, THUMBNAIL_PX / max(photo.width, photo.height))
    return max(1, round(photo.width * scale)), max(1, round(photo.height * scale))


def face_crop_box(face: GalleryFace, width: int, height: int) -> tuple[float, float, float, float]:
    """The square around a face with its margin, moved and at last shrunk to lie in the photo.

    Returns:
        x1, y1, x2, y2 in pixels of the upright original, at least 1 px wide.
    """
    longer = max(face.x2 - face.x1, face.y2 - face.y1, 1.0)
    side = min(longer * (1 + 2 * FACE_MARGIN), width, height)
    x1 = min(max((face.x1 + face.x2 - side) / 2, 0.0), width - side)
    y1 = min(max((face.y1 + face.y2 - side) / 2, 0.0), height - side)
    return x1, y1, x1 + side, y1 + side


def make_thumbnails(
    photos: Iterable[Photo],
    folder: Path,
    *,
    read: Callable[[str], bytes],
    max_pixels: int = MAX_PIXELS,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> set[str]:
    """Make the thumbnails and face crops that are not there yet, and remove those that nobody shows any more.

    Args:
        photos: what is shown.
        folder: the report.
        read: image_id to encoded bytes; raises `ImageError`.
        max_pixels: as `decode_image` has it.
        threads: decoding at once; default: one a CPU, at most 8. Two photos a thread are in memory.
        progress: called with (done, total) photos, also for those that were there.

    Returns:
        The paths that could not be made, because a photo cannot be read any more: show a placeholder for them.

    Raises:
        OSError: the report cannot be written.
    """
    photos = list(photos)
    threads = threads or min(8, os.cpu_count() or 1)
    existing = {path.relative_to(folder).as_posix() for name in _FOLDERS for path in folder.glob(f"{name}/??/*.jpg")}
    wanted: set[str] = set()
    missing: set[str] = set()
    done = 0

    def settle(futures: Iterable[Future[list[str]]]) -> None:
        nonlocal done
        for future in futures:
            missing.update(future.result())
            done += 1
            if progress is not None:
                progress(done, len(photos))

    with ThreadPoolExecutor(threads, thread_name_prefix="thumbnails") as pool:
        running: set[Future[list[str]]] = set()
        try:
            for photo in photos:
                files = {thumbnail_path(photo): None, **{face_path(photo, face): face for face in photo.faces}}
                wanted.update(files)
                absent = {path: face for path, face in files.items() if path not in existing}
                if not absent:
                    done += 1
                    continue
                running.add(pool.submit(_make, photo, absent, folder, read, max_pixels))
                if len(running) >= 2 * threads:
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    settle(finished)
            settle(running)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if progress is not None and photos:
        progress(len(photos), len(photos))
    for path in existing - wanted:
        (folder / path).unlink(missing_ok=True)
    return missing


def _make(
    photo: Photo, files: Mapping[str, GalleryFace | None], folder: Path, read: Callable[[str], bytes], max_pixels: int
) -> list[str]:
    """Make a photo's files, of faces and, of None, the thumbnail; the paths that could not be made."""
    faces = [face for face in files.values() if face]
    try:
        data, target = read(photo.image_id), _target(photo, faces)
        decoded = decode_image(data, image_id=photo.image_id, target=target, max_pixels=max_pixels)
    except ImageError:  # it could be read when it was landed: gone or changed since
        return list(files)
    image = decoded.pil()
    for path, face in files.items():
        if face:
            _save(_crop(image, photo, face), folder / path)
        else:
            thumbnail = image.resize(thumbnail_size(photo), Image.Resampling.LANCZOS, reducing_gap=2.0)
            _save(thumbnail, folder / path)
    return []


def _target(photo: Photo, faces: Iterable[GalleryFace]) -> DecodeTarget:
    """The least scale at which the thumbnail and the smallest face have their pixels."""
    wanted = float(THUMBNAIL_PX)
    for face in faces:
        x1, _, x2, _ = face_crop_box(face, photo.width, photo.height)
        wanted = max(wanted, max(photo.width, photo.height) * FACE_PX / (x2 - x1))
    return DecodeTarget(long_side_px=int(min(wanted, _DECODE_PX)))


def _crop(image: Image.Image, photo: Photo, face: GalleryFace) -> Image.Image:
    box = face_crop_box(face, photo.width, photo.height)
    across, down = image.width / photo.width, image.height / photo.height
    # the file may have changed since its boxes were found: stay inside what it is now
    x1, x2 = (min(max(value * across, 0.0), float(image.width)) for value in (box[0], box[2]))
    y1, y2 = (min(max(value * down, 0.0), float(image.height)) for value in (box[1], box[3]))
    return image.resize((FACE_PX, FACE_PX), Image.Resampling.LANCZOS, box=(x1, y1, x2, y2), reducing_gap=2.0)


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    image.save(temporary, "JPEG", quality=_QUALITY)
    os.replace(temporary, path)

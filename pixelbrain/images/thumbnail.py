"""Small pictures of a decoded photo, for galleries: the whole of it, and its faces."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TypeAlias

from PIL import Image

from pixelbrain.images.decode import DecodedImage

#: The long side at most. Cards are 200 to 300 px wide, and a classifier that wants 256 px of the short side decodes it.
THUMBNAIL_PX = 320
FACE_PX = 192  # the side of a face crop, a square
FACE_MARGIN = 0.25  # how much of a face's longer side is added on each side: hair and chin are within it
_QUALITY = 80

#: Changes with what is made: pictures of another recipe are other pictures.
RECIPE = f"2:{THUMBNAIL_PX}:{FACE_PX}:{FACE_MARGIN}:{_QUALITY}"

#: x1, y1, x2, y2 in pixels of the upright original.
Box: TypeAlias = tuple[float, float, float, float]


def thumbnail_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of a photo's thumbnail in pixels; a small photo is not enlarged."""
    scale = min(1.0, THUMBNAIL_PX / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def encode_thumbnail(image: DecodedImage) -> bytes:
    """The whole photo as a JPEG of `thumbnail_size`, or of what was decoded where that is less."""
    picture = image.pil()
    width, height = thumbnail_size(image.width, image.height)
    size = min(width, picture.width), min(height, picture.height)
    # from an eighth more than is wanted on, the box filter of `reduce` does most of the way
    return _encode(picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.5))


def encode_faces(image: DecodedImage, boxes: Iterable[Box], turn: int = 0) -> list[bytes]:
    """Each face with its margin as a JPEG of FACE_PX x FACE_PX, turned clockwise by so many degrees to be upright."""
    picture = image.pil()
    across, down = picture.width / image.width, picture.height / image.height
    found = []
    for box in boxes:
        square = face_crop_box(box, image.width, image.height)
        # the file may have changed since its boxes were found: stay inside what it is now
        x1, x2 = (min(max(value * across, 0.0), float(picture.width)) for value in (square[0], square[2]))
        y1, y2 = (min(max(value * down, 0.0), float(picture.height)) for value in (square[1], square[3]))
        size = FACE_PX, FACE_PX
        crop = picture.resize(size, Image.Resampling.BILINEAR, box=(x1, y1, x2, y2), reducing_gap=2.0)
        found.append(_encode(crop.rotate(-turn)))
    return found


def face_crop_box(box: Box, width: int, height: int) -> Box:
    """The square around a face with its margin, moved and at last shrunk to lie in the photo, at least 1 px wide."""
    longer = max(box[2] - box[0], box[3] - box[1], 1.0)
    side = min(longer * (1 + 2 * FACE_MARGIN), width, height)
    x1 = min(max((box[0] + box[2] - side) / 2, 0.0), width - side)
    y1 = min(max((box[1] + box[3] - side) / 2, 0.0), height - side)
    return x1, y1, x1 + side, y1 + side


def _encode(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=_QUALITY)
    return data.getvalue()

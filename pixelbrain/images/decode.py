"""Decode an encoded image to upright RGB pixels, at a reduced scale where no module needs more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from pixelbrain.images.colours.declared import declared_colours
from pixelbrain.images.colours.flatten import flatten, to_srgb
from pixelbrain.images.encoded import open_encoded
from pixelbrain.images.limits import MAX_PIXELS, check_png, check_size
from pixelbrain.images.metadata import QUARTER_TURNED, orientation, taken_at
from pixelbrain.images.written.tags import read_written

#: Formats that are decoded at 1/2, 1/4 or 1/8; what others call a draft is an embedded thumbnail, of whatever it is.
_DRAFTED = frozenset({"JPEG", "MPO"})

_UPRIGHT = {  # EXIF 2.32, the tag Orientation: what brings the photo upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, kw_only=True)
class DecodeTarget:
    """The least that a module wants to see of a photo; 0 means that side does not matter, both 0: all of it.

    A photo is never enlarged, and may arrive larger than asked for, by less than 2 times: it is reduced by a whole
    number (JPEGs while they are decoded) as far as both sides stay at or above the target.
    """

    short_side_px: int = 0
    long_side_px: int = 0

    @property
    def whole(self) -> bool:
        """All pixels are wanted."""
        return not (self.short_side_px or self.long_side_px)

    def union(self, other: DecodeTarget) -> DecodeTarget:
        """What serves both."""
        if self.whole or other.whole:
            return DecodeTarget()
        return DecodeTarget(
            short_side_px=max(self.short_side_px, other.short_side_px),
            long_side_px=max(self.long_side_px, other.long_side_px),
        )

    def scale(self, width: int, height: int) -> float:
        """The smallest scale, 0 to 1, at which a width x height photo still has all that is wanted."""
        if self.whole:
            return 1.0
        return min(1.0, max(self.short_side_px / min(width, height), self.long_side_px / max(width, height)))


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedImage:
    """An upright photo in memory."""

    image_id: str
    pixels: np.ndarray  # uint8 (H, W, 3), RGB, upright, maybe reduced
    width: int  # pixels of the upright original
    height: int
    format: str  # Pillow's name: JPEG, PNG, ...
    taken_at: str | None = None  # by the camera's clock, ISO 8601; see `metadata.taken_at`
    written: Mapping[str, Any] = field(default_factory=dict)  # by EXIF, XMP and IPTC: `images.written.tags.FIELDS`

    @property
    def scale(self) -> float:
        """Decoded pixels per original pixel, 1 or less."""
        return self.pixels.shape[1] / self.width

    def pil(self) -> Image.Image:
        """The decoded pixels as a Pillow image, without a copy."""
        return Image.fromarray(self.pixels)


def decode_image(
    data: bytes,
    *,
    image_id: str = "",
    target: DecodeTarget = DecodeTarget(),
    max_pixels: int = MAX_PIXELS,
) -> DecodedImage:
    """Decode an encoded image, upright, to sRGB.

    Args:
        data: JPEG, MPO, PNG, WebP, GIF, BMP, DIB, TIFF, AVIF or HEIC (with pillow-heif) bytes; of several frames the
            first. No parser of another format is ever asked.
        image_id: travels along.
        target: what of it is needed; see `DecodeTarget`.
        max_pixels: refuse images of which more would be in memory at once, before they are: of a JPEG those that it is
            reduced to while it is read, of others all.

    Returns:
        The upright RGB pixels (the orientation of EXIF or XMP and the colours of ICC or CICP applied, what is
        transparent on white), and the original's size.

    Raises:
        DecodeError: empty, truncated, not an image, or of colours that are not converted.
        UnsupportedFormatError: HEIC or AVIF, and the package that reads it is not here.
        ImageTooLargeError: over `max_pixels`.
    """
    with open_encoded(data, max_pixels=max_pixels) as image:
        image_format = image.format or "unknown"
        width, height = image.size
        scale = target.scale(width, height)
        drafted = scale < 1 and image_format in _DRAFTED
        if drafted:  # draft() stays at or above the size that it is asked for
            image.draft(None, (max(1, int(width * scale)), max(1, int(height * scale))))
        check_size(image, data, (width, height), max_pixels)
        if image_format == "PNG":
            check_png(data)
        turned = orientation(image, data)
        colours = declared_colours(image, data)
        taken, written = taken_at(image, data), read_written(image, data)
        image.load()
        if not drafted:
            width, height = image.size  # Pillow turns a TIFF upright while it loads it
        factor = int(1 / max(target.scale(*image.size), 1e-3))
        image = flatten(image)
        if factor > 1:  # what draft() cannot do: other formats, and JPEGs beyond 1/8
            image = image.reduce(factor)
        if turned in _UPRIGHT:
            image = image.transpose(_UPRIGHT[turned])
        if turned in QUARTER_TURNED:
            width, height = height, width
        pixels = _pixels(to_srgb(image, colours))
    return DecodedImage(
        image_id=image_id, pixels=pixels, width=width, height=height, format=image_format, taken_at=taken,
        written=written,
    )  # fmt: skip


def _pixels(image: Image.Image) -> np.ndarray:
    """An RGB image's pixels at once; `np.asarray` has Pillow make pieces of 64 KB, and then a copy of all of them."""
    encoder = Image._getencoder("RGB", "raw", ("RGB",))
    encoder.setimage(image.im, (0, 0, *image.size))
    _, status, data = encoder.encode(3 * image.width * image.height)
    if status != 1:  # IMAGING_CODEC_END: there is no more
        raise RuntimeError(f"Pillow gives its pixels away with status {status}")
    return np.frombuffer(data, np.uint8).reshape(image.height, image.width, 3)

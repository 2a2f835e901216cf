"""Decode an encoded image to upright RGB pixels, at a reduced scale where no module needs more."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from pixelbrain.errors import DecodeError, ImageTooLargeError

__all__ = ["DecodeTarget", "DecodedImage", "decode_image", "decode_rgb"]

ImageFile.LOAD_TRUNCATED_IMAGES = False  # half a photo is a failed row, not a grey one

#: Refused above this, before a pixel is allocated: 100 megapixels are 300 MB of RGB.
MAX_PIXELS = 100_000_000

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {  # EXIF 2.32, the tag Orientation: what brings the photo upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTER_TURNED = frozenset({5, 6, 7, 8})

#: What Pillow's parsers raise on damaged files.
_PARSER_ERRORS = (
    OSError, ValueError, SyntaxError, IndexError, KeyError, TypeError, OverflowError, EOFError, struct.error,
)  # fmt: skip


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
    """Decode an encoded image, upright.

    Args:
        data: JPEG, PNG, WebP, GIF (first frame), BMP, TIFF or MPO bytes.
        image_id: travels along.
        target: what of it is needed; see `DecodeTarget`.
        max_pixels: refuse larger images before their pixels are allocated.

    Returns:
        The upright RGB pixels (the EXIF orientation applied), and the original's size.

    Raises:
        DecodeError: empty, truncated, or not an image.
        ImageTooLargeError: over `max_pixels`.
    """
    if not data:
        raise DecodeError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about bombs (refused below) and odd EXIF
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise ImageTooLargeError(f"{width} x {height} pixels; at most {max_pixels:,} are decoded")
                image_format = image.format or "unknown"
                scale = target.scale(width, height)
                if scale < 1:
                    # draft() stays at or above the size that it is asked for, and only JPEG has it
                    image.draft(None, (max(1, int(width * scale)), max(1, int(height * scale))))
                orientation = _orientation(image)
                factor = int(1 / max(target.scale(*image.size), 1e-3))
                if factor > 1:  # what draft() cannot do: other formats, and JPEGs beyond 1/8
                    image = (image if image.mode in ("RGB", "L") else _to_rgb(image)).reduce(factor)
                if orientation in _UPRIGHT:
                    image = image.transpose(_UPRIGHT[orientation])
                if orientation in _QUARTER_TURNED:
                    width, height = height, width
                pixels = np.asarray(_to_rgb(image))
    except ImageTooLargeError:
        raise
    except UnidentifiedImageError:
        raise DecodeError(f"not an image that can be read ({len(data)} bytes)") from None
    except Image.DecompressionBombError as error:
        raise ImageTooLargeError(str(error)) from None
    except _PARSER_ERRORS as error:
        raise DecodeError(f"{type(error).__name__}: {error}") from None
    return DecodedImage(image_id=image_id, pixels=pixels, width=width, height=height, format=image_format)


def decode_rgb(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode an encoded image, upright, at its full size.

    Returns:
        uint8 (H, W, 3), RGB, the EXIF orientation applied.

    Raises:
        DecodeError: empty, truncated, or not an image.
        ImageTooLargeError: over `max_pixels`.
    """
    return decode_image(data, max_pixels=max_pixels).pixels


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none that can be read."""
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except _PARSER_ERRORS:
        return 1  # a damaged EXIF block does not cost the photo


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB; what is transparent is shown on white, 16-bit grey is scaled and not clipped."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16") or image.mode == "I":
        grey = np.asarray(image).astype(np.float32)
        return Image.fromarray((grey / max(float(grey.max()), 255.0) * 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")

"""Whatever an image's pixels are, to 8-bit sRGB: alpha on white, 16 bits scaled, colour profiles applied."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pixelbrain.images.colours.declared import Space, space_to_srgb
from pixelbrain.images.colours.grey import grey_levels, is_deep

if TYPE_CHECKING:
    from PIL import ImageCms


#: Larger colour profiles are not looked at: those of printing presses, the largest in use, have up to 3 MB.
_MAX_PROFILE_BYTES = 4_000_000

#: A profile that moves no colour by more than this, of 255, is sRGB: its many editions differ by their rounding.
_SAME = 2

#: The colour space that a profile must be of (its signature, ICC.1 section 7.2.6), by Pillow's mode.
_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}


def flatten(image: Image.Image) -> Image.Image:
    """Pixels without alpha, palette or more than 8 bits, in the colours that they have: mode RGB, L or CMYK.

    Transparent pixels show white. Of more than 8 bits, colours are scaled; greys: see `grey.grey_levels`. Raises
    `ValueError` of a mode that Pillow cannot convert, such as LAB.
    """
    mode = image.mode
    if is_deep(image):
        return grey_levels(image)
    if mode in _SPACES and "transparency" not in image.info:
        return image
    if mode == "LA":
        return _on_white(image, "L")
    if mode in ("RGBA", "PA", "La", "RGBa") or "transparency" in image.info:
        return _on_white(image.convert("RGBA"), "RGB")
    return image.convert("L" if mode == "1" else "RGB")


def to_srgb(image: Image.Image, colours: bytes | Space | None) -> Image.Image:
    """The colours of a flat image, as its ICC profile or a declaration means them, in sRGB.

    A profile that is damaged, over 4 MB, of another colour space than the image, or sRGB itself changes nothing;
    without one, or with such a one, RGB is taken for sRGB, and CMYK is converted without regard to inks.

    Args:
        image: of mode RGB, L or CMYK.
        colours: the image's ICC profile, or what it declares instead of one.

    Returns:
        Mode RGB; the same image where nothing was to do.
    """
    if isinstance(colours, bytes) and 0 < len(colours) <= _MAX_PROFILE_BYTES and image.mode in _SPACES:
        transform = _transform(colours, image.mode)
        if transform is not None:
            return transform.apply(image)
    if isinstance(colours, Space):
        return space_to_srgb(image.convert("RGB"), colours)
    return image if image.mode == "RGB" else image.convert("RGB")


@functools.lru_cache(maxsize=16)  # a camera or an editor puts the same one into all its photos
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What brings pixels of a profile to sRGB, with littlecms; None where there is nothing to do, or nothing can be."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return None  # a damaged profile does not cost the photo
    if mode == "CMYK":
        return transform
    probe = _probe(mode)
    moved = np.asarray(transform.apply(probe)).astype(int) - np.asarray(probe.convert("RGB"))
    return transform if np.abs(moved).max() > _SAME else None


def _probe(mode: str) -> Image.Image:
    """All greys, or 17 steps of each of red, green and blue in all combinations."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.linspace(0, 255, 17).astype(np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(17, -1, 3))


def _on_white(image: Image.Image, mode: str) -> Image.Image:
    white = Image.new(mode, image.size, "white")
    white.paste(image if mode == "RGB" else image.getchannel("L"), mask=image.getchannel("A"))
    return white

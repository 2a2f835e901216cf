"""Greys of 12, 16, 32 and 64 bits, signed, unsigned or floating, to 8 bits; and what of them Pillow does not read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

_BITS, _PHOTOMETRIC, _MAX_SAMPLE, _FORMAT, _S_MIN, _S_MAX = 258, 262, 281, 339, 340, 341  # TIFF 6.0
_MIN_IS_WHITE = 0
_NARROWER = frozenset(2**bits - 1 for bits in range(9, 16))
_UNSIGNED, _SIGNED, _FLOAT = (1,), (2,), (3,)

#: Pillow's mode and raw mode of greys by bits and format; {} is its mark of big-endian samples.
_LAYOUTS = {
    (_UNSIGNED, 12): ("I;16", "I;12"),
    (_UNSIGNED, 16): ("I;16{}", "I;16{}"),
    (_UNSIGNED, 32): ("I", "I;32{}"),
    (_SIGNED, 8): ("L", "L"),
    (_SIGNED, 16): ("I", "I;16{}S"),
    (_SIGNED, 32): ("I", "I;32{}S"),
    (_FLOAT, 32): ("F", "F;32{}F"),
    (_FLOAT, 64): ("F", "F;64{}F"),
}
for (_format, _bits), _modes in _LAYOUTS.items():  # most are there; what is not, Pillow refuses
    for _order, _mark in (TiffImagePlugin.II, ""), (TiffImagePlugin.MM, "B"):
        for _photometric in (0, 1):
            _key: Any = (_order, _photometric, _format, 1, (_bits,), ())
            TiffImagePlugin.OPEN_INFO.setdefault(_key, (_modes[0].format(_mark), _modes[1].format(_mark)))


def mend_byte_order(image: Image.Image) -> None:
    """Have Pillow read a compressed TIFF's samples as libtiff gives them, in the machine's order, before it is loaded.

    Pillow 13 knows that of unsigned 16 bits alone, and swaps the bytes of all others in big-endian files.
    """
    tiles: list[Any] = image.tile  # type: ignore[attr-defined]
    for index, tile in enumerate(tiles):
        codec, extents, offset, args = tile
        if codec == "libtiff":
            native = re.sub(r";(16|32|64)B", r";\1N", args[0])
            make = getattr(tile, "_make", tuple)  # a named tuple since Pillow 11
            tiles[index] = make((codec, extents, offset, (native, *args[1:])))


def is_deep(image: Image.Image) -> bool:
    """Whether `grey_levels` is for this loaded image: greys that are not 8 unsigned bits."""
    return image.mode[0] in "IF" or (image.mode == "L" and _tag(image, _FORMAT, 1) == 2)


def grey_levels(image: Image.Image) -> Image.Image:
    """Deep greys as 8 bits, mode L.

    - Of 12 and 16 unsigned bits, 0 is black, and the largest that they can hold is white. But of a TIFF of 16 bits, if
      MaxSampleValue is the largest number of 9 to 15 bits, that is white; if it says nothing, and no sample is above
      4095, these are 12 bits in 16.
    - Others have no white of their own: 0 is black, and the largest sample is white. SMinSampleValue and
      SMaxSampleValue of a TIFF say it otherwise; where no sample is above 0, the smallest is black.
    - What is out of range is black or white; what is infinite or no number is black.
    - A TIFF of which the least is white (WhiteIsZero) is the negative of that.
    """
    samples = np.asarray(image)
    if image.mode.startswith("I;16"):
        levels = np.minimum(samples >> (_depth(image, samples) - 8), 255).astype(np.uint8)
    else:
        if image.mode == "I" and _tag(image, _BITS, 16) == 32 and _tag(image, _FORMAT, 1) == 1:
            samples = samples.view(np.uint32)  # Pillow's are signed
        elif image.mode == "L":
            samples = samples.view(np.int8)
        black, white = _range(image, samples)
        scale = np.float32(255 / (white - black) if white > black else 0)
        levels = np.empty(samples.shape, np.uint8)
        for part in _strips(samples):
            scaled = np.nan_to_num((samples[part].astype(np.float32) - black) * scale, copy=False)
            levels[part] = scaled.clip(0, 255).astype(np.uint8)
    if image.format == "TIFF" and _tag(image, _PHOTOMETRIC, _MIN_IS_WHITE) == _MIN_IS_WHITE:
        levels = 255 - levels
    if image.mode == "F":
        levels[~np.isfinite(samples)] = 0
    transparent = image.info.get("transparency")  # of a PNG: the one grey that is not there
    if isinstance(transparent, int):
        levels[samples == transparent] = 255
    return Image.fromarray(levels)


def _strips(samples: np.ndarray) -> Iterator[slice]:
    """Rows, a million samples at once: what is held beside the image stays small."""
    rows = max(1, 1_000_000 // max(1, samples.shape[1]))
    return (slice(top, top + rows) for top in range(0, len(samples), rows))


def _depth(image: Image.Image, samples: np.ndarray) -> int:
    """How many of 16 bits are in use."""
    bits = _tag(image, _BITS, 16)
    if image.format != "TIFF" or bits < 16:
        return int(bits)
    declared = _tag(image, _MAX_SAMPLE, None)
    if declared is None:
        return 12 if samples.max() <= 4095 else 16
    return declared.bit_length() if declared in _NARROWER else 16


def _range(image: Image.Image, samples: np.ndarray) -> tuple[float, float]:
    """The samples that are black and white."""
    if image.format == "PNG":
        return 0, 65535  # Pillow before 11 read 16-bit greys of PNGs as 32-bit ones
    found = (part[np.isfinite(part)] for part in (samples[one] for one in _strips(samples)))
    ends = [(float(part.min()), float(part.max())) for part in found if part.size] or [(0.0, 0.0)]
    least, most = min(low for low, _ in ends), max(high for _, high in ends)
    measured = (0.0 if most > 0 else least), most
    black, white = (float(_tag(image, tag, m)) for tag, m in zip((_S_MIN, _S_MAX), measured, strict=True))
    return (black, white) if -np.inf < black < white < np.inf else measured


def _tag(image: Image.Image, tag: int, default: Any) -> Any:
    """A tag of a TIFF, of several values the first."""
    found = getattr(image, "tag_v2", {}).get(tag, default)
    return found[0] if isinstance(found, tuple) and found else found

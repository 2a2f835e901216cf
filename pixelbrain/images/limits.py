"""What decoding an image would take, told before a pixel is allocated; what takes too much is refused."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator

from PIL import Image

from pixelbrain.config import MAX_MEGAPIXELS
from pixelbrain.errors import DecodeError, ImageTooLargeError
from pixelbrain.images.containers import png_chunks

#: Of one image, in memory at once, unless more is asked for: 300 MB of RGB.
MAX_PIXELS = MAX_MEGAPIXELS * 1_000_000

#: Scans of a progressive JPEG; encoders make about ten. Each costs a pass over all pixels however few bytes it has, so
#: that a file of 1 MB could keep a decoder busy for minutes. The limit is that of libjpeg-turbo's own fuzz targets.
_MAX_SCANS = 500
#: Of a JPEG of one scan: a block of 64 pixels takes two codes, of at least one bit each.
_MOST_PIXELS_PER_BYTE = 64 * 8 // 2
#: A marker with a content, or the end: neither stuffing inside of the compressed data, nor a restart, nor a reserved
#: one, over which libjpeg goes as over noise.
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
#: SOF0 to SOF15, without DHT, JPG and DAC between them (ITU-T T.81, table B.1).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})


def check_size(image: Image.Image, data: bytes, size: tuple[int, int], max_pixels: int) -> None:
    """Refuse what would take too much memory, or too many passes over it.

    A JPEG of one scan is reduced while it is read, so that what it is reduced to counts. All others are in memory
    whole, before anything can be reduced: also a JPEG of several scans, whose coefficients are collected. A JPEG of
    fewer bytes than its pixels must have is none that is reduced: grey would be made up for all that is missing. Raises
    `ImageTooLargeError`, and `DecodeError` of a JPEG of more than 500 scans.

    Args:
        image: opened and not loaded, at the scale that it will be loaded at.
        size: width and height of the whole image.
    """
    width, height = size
    in_parts = image.format in ("JPEG", "MPO") and _has_several_scans(data)
    whole = in_parts or width * height > _MOST_PIXELS_PER_BYTE * len(data)
    held = width * height if whole else image.width * image.height
    if held > max_pixels:
        how = " of a JPEG in several scans" if in_parts else ""
        raise too_large(f"{width} x {height} pixels{how}", held, max_pixels)
    if in_parts and count_scans(data) > _MAX_SCANS:
        raise DecodeError(f"a progressive JPEG of more than {_MAX_SCANS} scans")


def too_large(said: str, held: int, max_pixels: int) -> ImageTooLargeError:
    """The error, with the way out."""
    return ImageTooLargeError(
        f"{said}; at most {max_pixels:,} are decoded at once: --max-megapixels {math.ceil(held / 1e6)} takes "
        "it, together with --retry-failed where it has failed before"
    )


def check_png(data: bytes) -> None:
    """Pillow compares the checksums of all chunks in front of the pixels, and not those of the pixels.

    Raises `DecodeError` where one of those differs.
    """
    view = memoryview(data)
    for kind, start, end in png_chunks(data):
        if kind == b"IDAT" and zlib.crc32(view[start - 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise DecodeError("damaged: the checksum of its pixels is another one")


def count_scans(data: bytes) -> int:
    """Scans of a JPEG up to its end marker, or to one more than are allowed.

    What stands inside other segments (a thumbnail in EXIF), or behind the end (a second photo, a film), is none of it.
    """
    scans = 0
    for marker, _ in _segments(data):
        scans += marker == _START_OF_SCAN
        if scans > _MAX_SCANS:
            break
    return scans


def _has_several_scans(data: bytes) -> bool:
    """Whether libjpeg collects the whole image: it is progressive, or the first scan lacks a component."""
    components = 0
    for marker, start in _segments(data):
        if marker in _FRAMES:
            if marker in _PROGRESSIVE:
                return True
            components = data[start + 5] if start + 5 < len(data) else 0
        elif marker == _START_OF_SCAN:
            return start < len(data) and data[start] < components
    return False


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and start of the content of each segment, up to the end marker."""
    at = 2
    while (found := _MARKER.search(data, at)) is not None:
        marker, start = data[found.end() - 1], found.end() + 2
        if marker == _END_OF_IMAGE:
            return
        yield marker, start
        at = found.end() + max(2, int.from_bytes(data[found.end() : start], "big"))

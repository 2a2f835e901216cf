"""Open an encoded image: the documented formats alone, refused before it takes memory, its parsers' errors named."""

from __future__ import annotations

import contextlib
import functools
import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator

from PIL import (  # noqa: F401  (the plugins register themselves; Pillow would import all forty to find these)
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from pixelbrain.errors import DecodeError, ImageTooLargeError, UnsupportedFormatError

#: Refused above this, before a pixel is allocated: 100 megapixels are 300 MB of RGB.
MAX_PIXELS = 100_000_000

#: Pillow's names of what its own parsers may be asked for. Whatever else it can read stays out of reach: EPS starts
#: Ghostscript, and the parsers of PSD, FITS, ICNS and thirty more were never meant for files of strangers. An MPO is a
#: JPEG with more of them behind it, and is opened as one; a DIB is a BMP without its first 14 bytes.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF")

#: Brands of the formats that lie in ISO media files: AV1 Image File Format 1.1, and ISO/IEC 23008-12 (HEIF) annex B.
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})

#: Scans of a progressive JPEG; encoders make about ten. Each costs a pass over all pixels however few bytes it has, so
#: that a file of 1 MB could keep a decoder busy for minutes. The limit is that of libjpeg-turbo's own fuzz targets.
_MAX_SCANS = 500
_START_OF_SCAN = b"\xff\xda"

_ORIENTATION_TAG = 0x0112
#: EXIF 2.32, the tag Orientation: those that stand on their side.
QUARTER_TURNED = frozenset({5, 6, 7, 8})
#: Formats that Pillow, or its plugin, turns upright itself: what their tag says is done, or will be.
_UPRIGHT_FORMATS = frozenset({"TIFF", "HEIF"})

#: What parsers raise on damaged files, as seen in 100,000 mutated ones and in Pillow's source: nearly anything.
_PARSER_ERRORS = (
    OSError, ValueError, SyntaxError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError,
    EOFError, RuntimeError, struct.error, zlib.error, Warning,
)  # fmt: skip

_MESSAGE_CHARACTERS = 200
#: Pillow's warnings: about large images (refused here), and about odd EXIF (which does not cost the photo).
_PILLOW_WARNINGS = ("ignore", None, Warning, re.compile(r"PIL\.|pillow_heif"), 0)


@contextlib.contextmanager
def open_encoded(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """An image whose header is read and whose pixels are not; what parsers raise inside the block is named, too.

    Raises:
        DecodeError: empty, truncated, damaged, or not an image. Truncated means that pixels or the end marker are
            missing: a JPEG without its last byte is truncated (its decoder never hears that the photo is complete), a
            PNG or a GIF whose pixels are all there is not.
        UnsupportedFormatError: HEIC or AVIF, and the package that reads it is not here.
        ImageTooLargeError: over `max_pixels`, or more than there is memory for.
    """
    if not data:
        raise DecodeError("the file is empty")
    formats = _formats(data)
    # switches of the whole process, which other libraries like to move: set for each image
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # half a photo is a failed row, not a half grey one
    if _PILLOW_WARNINGS not in warnings.filters:
        # not catch_warnings: it swaps the process's filters, and decoding threads would leave each other's behind
        warnings.filterwarnings("ignore", module=_PILLOW_WARNINGS[3].pattern, append=True)
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            _check(image, data, max_pixels)
            yield image
    except UnidentifiedImageError:
        raise DecodeError(f"not an image that can be read ({len(data)} bytes)") from None
    except Image.DecompressionBombError as error:
        raise ImageTooLargeError(_one_line(error)) from None
    except MemoryError:
        raise ImageTooLargeError("there is not enough memory to decode it") from None
    except _PARSER_ERRORS as error:
        raise DecodeError(f"{type(error).__name__}: {_one_line(error)}") from error


def orientation(image: Image.Image) -> int:
    """What the EXIF block says about a loaded image, 1 to 8; 1 where there is none that can be read.

    Load the pixels first: a PNG's EXIF may stand behind them, and a TIFF is turned upright, and its tag removed, while
    it is loaded.
    """
    try:
        found = image.getexif().get(_ORIENTATION_TAG, 1)
    except _PARSER_ERRORS:
        return 1  # a damaged EXIF block does not cost the photo
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an image that was opened and not loaded, as it will be when it stands upright."""
    width, height = image.size
    if image.format in _UPRIGHT_FORMATS or (image.format == "PNG" and "exif" not in image.info):
        return width, height  # getexif would decode a whole PNG in search of a block behind the pixels
    return (height, width) if orientation(image) in QUARTER_TURNED else (width, height)


def _check(image: Image.Image, data: bytes, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise DecodeError(f"an image of {width} x {height} pixels")
    if width * height > max_pixels:
        raise ImageTooLargeError(f"{width} x {height} pixels; at most {max_pixels:,} are decoded")
    if image.info.get("progressive") and data.count(_START_OF_SCAN) > _MAX_SCANS:
        raise DecodeError(f"a progressive JPEG of more than {_MAX_SCANS} scans")
    if image.format == "PNG":
        _check_png(memoryview(data))


def _check_png(data: memoryview) -> None:
    """Pillow compares the checksums of all chunks in front of the pixels, and not those of the pixels."""
    at = 8
    while at + 12 <= len(data):
        kind, end = data[at + 4 : at + 8], at + 8 + _uint32(data, at)
        if kind == b"IDAT" and end + 4 <= len(data) and zlib.crc32(data[at + 4 : end]) != _uint32(data, end):
            raise DecodeError("damaged: the checksum of its pixels is another one")
        if kind == b"IEND":
            return
        at = end + 4


def _uint32(data: memoryview, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _formats(data: bytes) -> tuple[str, ...]:
    """Pillow's names of the formats that these bytes may be."""
    brands = _brands(data)
    if brands & _AVIF_BRANDS:
        if not _avif_is_here():
            raise UnsupportedFormatError("AVIF, which this Pillow does not read: pip install 'pillow>=11.3'")
        return ("AVIF",)
    if brands & _HEIC_BRANDS:
        if not _heif_is_here():
            raise UnsupportedFormatError("HEIC, which needs a package more: pip install pillow-heif")
        return ("HEIF",)
    return _FORMATS


def _brands(data: bytes) -> set[bytes]:
    """The brands in the head of an ISO media file; none where it is no such file."""
    if data[4:8] != b"ftyp":
        return set()
    head = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    # the brand, its version, which is no brand, and the brands that it is compatible with
    return {head[:4], *(head[i : i + 4] for i in range(8, len(head), 4))}


@functools.cache
def _avif_is_here() -> bool:
    try:
        from PIL import AvifImagePlugin
    except ImportError:
        return False
    return AvifImagePlugin.SUPPORTED


@functools.cache
def _heif_is_here() -> bool:
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener(thumbnails=False)
    return True


def _one_line(error: BaseException) -> str:
    """An error's message as it can land in a row: one line, not too long, and without half characters."""
    text = " ".join(str(error).split())[:_MESSAGE_CHARACTERS]
    return text.encode("utf-8", "replace").decode("utf-8")

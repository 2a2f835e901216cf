"""Open an encoded image: the documented formats alone, their parsers' errors named."""

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
    WebPImagePlugin,
)

from pixelbrain.errors import DecodeError, ImageTooLargeError, UnsupportedFormatError
from pixelbrain.images.colours.grey import mend_byte_order
from pixelbrain.images.containers import primary_properties
from pixelbrain.images.limits import MAX_PIXELS, too_large

#: Pillow's names of what its own parsers may be asked for. Whatever else it can read stays out of reach: EPS starts
#: Ghostscript, and the parsers of PSD, FITS, ICNS and thirty more were never meant for files of strangers. An MPO is a
#: JPEG with more of them behind it, and is opened as one; a DIB is a BMP without its first 14 bytes.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF")

#: Brands of the formats that lie in ISO media files: AV1 Image File Format 1.1, and ISO/IEC 23008-12 (HEIF) annex B.
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})

#: What parsers raise on damaged files, as seen in 100,000 mutated ones and in Pillow's source: nearly anything.
PARSER_ERRORS = (
    OSError, ValueError, SyntaxError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError,
    EOFError, RuntimeError, struct.error, zlib.error, Warning,
)  # fmt: skip

#: libavif's own limit of pixels, and the lower one of the two libraries.
_AVIF_PIXELS = 16384 * 16384

_MESSAGE_CHARACTERS = 200
#: Pillow's warnings: about large images (refused here), and about odd EXIF (which does not cost the photo).
_PILLOW_WARNINGS = ("ignore", None, Warning, re.compile(r"PIL\.|pillow_heif"), 0)


@contextlib.contextmanager
def open_encoded(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """An image whose header is read and whose pixels are not; what parsers raise inside the block is named, too.

    How large it is is for the block to judge, by `limits.check_size`; the header of any size is read.

    Args:
        max_pixels: what Pillow is not to refuse itself, once it is loaded.

    Raises:
        DecodeError: empty, truncated, damaged, or not an image. Truncated means that pixels or the end marker are
            missing: a JPEG without its last byte is truncated (its decoder never hears that the photo is complete), a
            PNG or a GIF whose pixels are all there is not.
        UnsupportedFormatError: HEIC or AVIF, and the package that reads it is not here.
        ImageTooLargeError: more than there is memory for.
    """
    if not data:
        raise DecodeError("the file is empty")
    formats = _formats(data)
    # switches of the whole process, which other libraries like to move: set for each image
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # half a photo is a failed row, not a half grey one
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels  # who lifts our limit lifts Pillow's
    if _PILLOW_WARNINGS not in warnings.filters:
        # not catch_warnings: it swaps the process's filters, and decoding threads would leave each other's behind
        warnings.filterwarnings("ignore", module=_PILLOW_WARNINGS[3].pattern, append=True)
    try:
        if formats != _FORMATS:
            _check_declared_size(data, max_pixels)
        with _open(data, formats) as image:
            if min(image.size) < 1:
                raise DecodeError(f"an image of {image.width} x {image.height} pixels")
            yield image
    except Image.DecompressionBombError as error:  # of plugins that allocate while they open, or find a size late
        pixels = int((re.search(r"(\d+) pixels", str(error)) or [0, 2 * max_pixels])[1])
        raise too_large(f"{pixels:,} pixels", pixels, max_pixels) from None
    except MemoryError:
        raise ImageTooLargeError("there is not enough memory to decode it") from None
    except PARSER_ERRORS as error:
        raise DecodeError(f"{type(error).__name__}: {_one_line(error)}") from error


def _open(data: bytes, formats: tuple[str, ...]) -> Image.Image:
    """What Image.open does, without its judgement of the size: it is that of the header, and not of what is loaded."""
    for name in formats:
        plugin, accept = Image.OPEN[name]
        if accept is None or (len(data) > 3 and accept(data[:16])):  # some read four bytes, whatever there is
            try:
                image = plugin(io.BytesIO(data), "")
            except (SyntaxError, IndexError, TypeError, struct.error) as error:
                if "unknown pixel mode" in str(error):
                    said = "a TIFF whose samples are of a kind that is not read: save it with 8 or 16 bits"
                    raise DecodeError(said) from None
                continue
            if name == "TIFF":
                mend_byte_order(image)
            return image
    raise DecodeError(f"not an image that can be read ({len(data)} bytes)")


def _check_declared_size(data: bytes, max_pixels: int) -> None:
    """What the decoders of HEIC and AVIF would refuse in words of their own."""
    for kind, content in primary_properties(data):
        width, height = (int.from_bytes(content[at : at + 4], "big") for at in (4, 8))
        if kind == b"ispe" and width * height > max(max_pixels, _AVIF_PIXELS):
            raise too_large(f"{width} x {height} pixels", width * height, max_pixels)


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

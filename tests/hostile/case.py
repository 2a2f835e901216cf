"""One hostile or odd image: its bytes, and what must become of them."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

__all__ = [
    "CYAN_ETC", "Case", "cicp", "encode", "exif_with", "picture", "png", "png_chunk", "turned", "with_nclx",
    "xmp_options", "xmp_with",
]  # fmt: skip

#: The corners of `picture`: top left, top right, bottom left, bottom right.
_CORNERS = ((200, 40, 40), (40, 180, 60), (50, 60, 200), (220, 200, 60))
#: Inks of a CMYK picture's corners, 0 to 255, and what they look like without a profile: (1 - ink)(1 - black).
CYAN_ETC = (((255, 0, 0, 0), (0, 255, 255)), ((0, 255, 0, 0), (255, 0, 255)),
            ((0, 0, 255, 0), (255, 255, 0)), ((0, 102, 204, 51), (204, 122, 41)))  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """What is in a file, and its expected row."""

    name: str  # of the file
    data: bytes
    error: str | None = None  # the expected error_type; None: it decodes
    message: str = ""  # a part of the expected error
    format: str = "JPEG"  # Pillow's name
    pixels: np.ndarray | None = None  # what it decodes to, uint8 (H, W, 3)
    tolerance: int = 0  # of each sample

    def __str__(self) -> str:
        return self.name


def picture(width: int = 64, height: int = 48) -> np.ndarray:
    """Four flat corners of four colours: none of the eight orientations looks like another. uint8 (H, W, 3)."""
    return corners(_CORNERS, width, height)


def corners(colours: Any, width: int = 64, height: int = 48) -> np.ndarray:
    """Four flat corners: uint8 (H, W, channels)."""
    top_left, top_right, bottom_left, bottom_right = np.array(colours, np.uint8)
    pixels = np.empty((height, width, len(top_left)), np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = top_left, top_right
    pixels[height // 2 :, : width // 2], pixels[height // 2 :, width // 2 :] = bottom_left, bottom_right
    return pixels


def encode(image: np.ndarray | Image.Image, image_format: str = "JPEG", **save: Any) -> bytes:
    """An image file's bytes; a JPEG's colours are off by 3 of 255 at most."""
    if image_format in ("JPEG", "MPO"):
        save = {"quality": 95, "subsampling": 0, **save}
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, image_format, **save)
    return buffer.getvalue()


def exif_with(orientation: Any) -> bytes:
    """An EXIF block that says how the photo lies."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def xmp_with(orientation: int, form: str = 'tiff:Orientation="{}"/>') -> bytes:
    """An XMP packet that says how the photo lies, as an attribute by default."""
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" ' + form.format(orientation).encode()
        + b"</rdf:RDF></x:xmpmeta>"
    )  # fmt: skip


def xmp_options(image_format: str, xmp: bytes) -> dict[str, Any]:
    """How Pillow writes it into a file of this format."""
    if image_format == "TIFF":
        return {"tiffinfo": {700: xmp}}
    if image_format == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        return {"pnginfo": text}
    return {"xmp": xmp}


def turned(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels as a camera stores them that writes this orientation beside them (EXIF 2.32, table 4)."""
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.transpose(1, 0, 2),
        6: np.rot90(upright), 7: np.rot90(upright, 2).transpose(1, 0, 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    return np.ascontiguousarray(stored)


def png(
    width: int, height: int, depth: int, colour: int, samples: bytes | None, chunks: bytes = b"", end: bool = True
) -> bytes:
    """A PNG by hand (its third edition, section 11).

    Args:
        samples: all rows, each with its filter byte, not yet compressed; None: no IDAT at all.
        chunks: what stands between IHDR and IDAT.
        end: whether there is an IEND.
    """
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = b"" if samples is None else png_chunk(b"IDAT", zlib.compress(samples, 9))
    return b"\x89PNG\r\n\x1a\n" + head + chunks + body + (png_chunk(b"IEND", b"") if end else b"")


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def cicp(primaries: int, transfer: int, *, matrix: int = 0, full: int = 1) -> bytes:
    """A chunk that says which colours a PNG has, by the numbers of ITU-T H.273."""
    return png_chunk(b"cICP", bytes([primaries, transfer, matrix, full]))


def with_nclx(data: bytes, primaries: int, transfer: int) -> bytes:
    """A HEIC or AVIF file that says so of its colours; its matrix and range stay."""
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]

"""Files that are no whole image, and bombs: each with the error that its row must have."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import features

from tests.hostile.case import Case, encode, picture, png, png_chunk

__all__ = ["bombs", "broken_files", "heic_header"]

_DECODE, _LARGE, _FORMAT = "DecodeError", "ImageTooLargeError", "UnsupportedFormatError"


def broken_files() -> list[Case]:
    """What is cut off, damaged, or something else under an image's name."""
    return [*_cut(), *_damaged(), *_no_images()]


def _cut() -> Iterator[Case]:
    yield Case(name="empty.jpg", data=b"", error=_DECODE, message="the file is empty")
    noise = np.random.default_rng(4).integers(0, 256, (48, 64, 3), dtype=np.uint8)  # compresses to many bytes
    for image_format, suffix in [
        ("JPEG", "jpg"), ("PNG", "png"), ("GIF", "gif"), ("WEBP", "webp"), ("TIFF", "tif"), ("BMP", "bmp"),
    ]:  # fmt: skip
        data = encode(noise, image_format)
        yield Case(name=f"half.{suffix}", data=data[: len(data) // 2], error=_DECODE)
        yield Case(name=f"first-12-bytes.{suffix}", data=data[:12], error=_DECODE)
    # the photo is complete but for half of its end marker: the decoder never hears that it is, nor do we guess
    yield Case(name="last-byte.jpg", data=encode(noise)[:-1], error=_DECODE, message="truncated")
    yield Case(name="no-end-marker.jpg", data=encode(noise)[:-2], error=_DECODE, message="truncated")
    yield Case(name="last-byte-progressive.jpg", data=encode(noise, progressive=True)[:-1], error=_DECODE)
    yield Case(name="last-byte.webp", data=encode(noise, "WEBP")[:-1], error=_DECODE)
    if features.check("avif"):
        data = encode(noise, "AVIF")
        yield Case(name="half.avif", data=data[: len(data) // 2], error=_DECODE)
        yield Case(name="last-byte.avif", data=data[:-1], error=_DECODE)


def _damaged() -> Iterator[Case]:
    whole = bytearray(encode(picture(), "PNG"))
    whole[29] ^= 1  # the last byte of IHDR's checksum is at 32
    yield Case(name="ihdr-checksum.png", data=bytes(whole), error=_DECODE)
    whole = bytearray(encode(picture(), "PNG"))
    whole[-13] ^= 1  # the last byte of IDAT's checksum, in front of IEND's 12
    yield Case(name="idat-checksum.png", data=bytes(whole), error=_DECODE, message="checksum")
    whole[whole.index(b"IDAT") + 10] ^= 0xFF
    yield Case(name="idat-noise.png", data=bytes(whole), error=_DECODE)
    yield Case(name="no-idat.png", data=png(64, 48, 8, 2, None), error=_DECODE)
    yield Case(name="zero-wide.png", data=png(0, 48, 8, 2, b"\0" * 48), error=_DECODE)
    yield Case(name="zero.gif", data=b"GIF89a" + bytes(7) + b";", error=_DECODE)
    yield Case(name="no-frame.gif", data=b"GIF89a\x40\0\x30\0\0\0\0;", error=_DECODE)
    yield Case(name="offset.tif", data=b"II*\0\xff\xff\xff\x7f" + bytes(100), error=_DECODE)
    yield Case(name="loop.tif", data=b"II*\0\x08\0\0\0\0\0\x08\0\0\0", error=_DECODE)
    yield Case(name="no-scan.jpg", data=encode(picture())[:300].partition(b"\xff\xda")[0] + b"\xff\xd9", error=_DECODE)
    if features.check("avif"):
        data = bytearray(encode(picture(), "AVIF"))
        middle = data.index(b"mdat") + 8
        data[middle:] = bytes(len(data) - middle)
        yield Case(name="zeros.avif", data=bytes(data), error=_DECODE)


def _no_images() -> Iterator[Case]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("photo.jpg", encode(picture()))
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n%%EndComments\n(%pipe%touch pwned) (w) file\n"
    for name, data in [
        ("text", b"This is not a photo.\n" * 50), ("html", b"<!DOCTYPE html><html><body>404</body></html>"),
        ("zip", archive.getvalue()), ("shell", b"#!/bin/sh\nrm -rf /\n"), ("json", b'{"error": "access denied"}'),
        ("svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"/>'), ("pdf", b"%PDF-1.7\n1 0 obj\n"),
        ("zeros", bytes(10_000)), ("noise", np.random.default_rng(5).bytes(10_000)), ("newline", b"\n"),
        # formats that Pillow reads and that we do not ask it for
        ("postscript", postscript), ("ppm", b"P6 2 2 255\n" + bytes(12)), ("xbm", b"#define a_width 8\n"),
        ("photoshop", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 48, 64, 8, 3) + bytes(9000)),
        ("fits", b"SIMPLE  =                    T" + b" " * 5000), ("targa", bytes(2) + b"\2" + bytes(15)),
    ]:  # fmt: skip
        yield Case(name=f"{name}.jpg", data=data, error=_DECODE, message="not an image")


def heic_header(*brands: bytes) -> bytes:
    """The first box of a HEIC file, and nothing behind it."""
    body = b"ftyp" + brands[0] + bytes(4) + b"".join(brands)
    return struct.pack(">I", len(body) + 4) + body


def bombs() -> list[Case]:
    """A few KB that would become gigabytes, or hours."""
    return [*_large_sizes(), *_compressed(), _many_scans()]


def _large_sizes() -> Iterator[Case]:
    side = struct.pack(">HH", 65500, 65500)
    jpeg = bytearray(encode(picture()))
    frame = jpeg.index(b"\xff\xc0") + 5
    jpeg[frame : frame + 4] = side
    rgb = 2
    vp8x = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\xff\x00" * 2  # 65,536 x 65,536
    tags = b"".join(struct.pack("<HHII", *tag) for tag in [
        (256, 4, 1, 2**31 - 1), (257, 4, 1, 2**31 - 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, 1, 100),
    ])  # fmt: skip
    screen = b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(3)
    small_screen = b"GIF89a\1\0\1\0\x80\0\0" + bytes(6)
    frame_of_gif = b"," + struct.pack("<HHHH", 0, 0, 65535, 65535) + b"\0\2\2\x44\1\0;"
    bmp = b"BM" + struct.pack("<IHHI", 1000, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 50000, -50000, 1, 24, *[0] * 6)
    one_bit = png(50_000, 50_000, 1, 0, bytes(6251 * 300))
    for name, data in [
        ("bomb.png", one_bit), ("bomb-colour.png", png(50_000, 50_000, 8, rgb, b"")),
        ("bomb-size.png", png(2**31 - 1, 2**31 - 1, 8, rgb, b"")), ("bomb.jpg", bytes(jpeg)),
        ("bomb.webp", b"RIFF" + struct.pack("<I", len(vp8x) + 4) + b"WEBP" + vp8x),
        ("bomb.tif", b"II*\0\x08\0\0\0\x09\0" + tags + bytes(104)), ("bomb.bmp", bmp + bytes(1000)),
        ("bomb.gif", screen + frame_of_gif), ("bomb-frame.gif", small_screen + frame_of_gif),
    ]:  # fmt: skip
        yield Case(name=name, data=data, error=_LARGE, message="pixels")


def _compressed() -> Iterator[Case]:
    """50 MB of zeros in 50 KB, where text, a colour profile or rows are expected."""
    zeros = zlib.compress(bytes(50_000_000), 9)
    rows = b"".join(b"\0" + row.tobytes() for row in picture())
    for name, chunk in [
        ("bomb-ztxt.png", png_chunk(b"zTXt", b"Comment\0\0" + zeros)),
        ("bomb-itxt.png", png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + zeros)),
        ("bomb-iccp.png", png_chunk(b"iCCP", b"icc\0\0" + zeros)),
    ]:  # fmt: skip
        yield Case(name=name, data=png(64, 48, 8, 2, rows, chunk), error=_DECODE)
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1_000_000), 9)) * 100
    yield Case(name="bomb-100-ztxt.png", data=png(64, 48, 8, 2, rows, text), error=_DECODE)
    data = png(64, 48, 8, 2, None, png_chunk(b"IDAT", zlib.compress(rows + bytes(50_000_000), 9)))
    yield Case(name="bomb-idat.png", data=data, format="PNG", pixels=picture())  # nothing behind the last row is read


def _many_scans() -> Case:
    """A pass over all pixels for every 200 bytes."""
    data = encode(picture(1024, 1024), progressive=True)
    last = data.rindex(b"\xff\xda")
    return Case(name="bomb-scans.jpg", data=data[:last] + data[last:-2] * 2000 + data[-2:], error=_DECODE,
                message="scans")  # fmt: skip

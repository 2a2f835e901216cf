"""Images that look odd and are whole: they decode, and their pixels are known."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image, features

from tests.hostile.case import (
    CYAN_ETC,
    Case,
    cicp,
    corners,
    encode,
    exif_with,
    picture,
    png,
    png_chunk,
    turned,
    with_nclx,
    xmp_options,
    xmp_with,
)
from tests.hostile.profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    adobe_to_srgb,
    cmyk_profile,
    grey_profile,
    padded,
    rgb_profile,
    rgb_to_srgb,
)

__all__ = ["odd_images"]

_EXIF_HEAD = b"Exif\0\0II\x2a\0\x08\0\0\0"
_LOSSY = 3  # what JPEG and its kind may be off by in flat colours


def odd_images() -> list[Case]:
    """All of them."""
    return [*_shapes(), *_modes(), *_frames(), *_orientations(), *_profiles(), *_declared(), *_deep(), *_cut()]


def _shapes() -> Iterator[Case]:
    pixels = picture()
    for name, image_format, tolerance in [
        ("plain.jpg", "JPEG", _LOSSY), ("plain.png", "PNG", 0), ("plain.bmp", "BMP", 0), ("plain.tif", "TIFF", 0),
        ("jpeg-named.png", "JPEG", _LOSSY), ("png-named.jpg", "PNG", 0), ("gif-named.jpg", "GIF", 0),
    ]:  # fmt: skip
        yield Case(
            name=name, data=encode(pixels, image_format), format=image_format, pixels=pixels, tolerance=tolerance
        )
    data = encode(pixels, "WEBP", lossless=True)
    yield Case(name="plain.webp", data=data, format="WEBP", pixels=pixels)
    if features.check("avif"):
        data = encode(pixels, "AVIF", quality=100, subsampling="4:4:4")
        yield Case(name="plain.avif", data=data, format="AVIF", pixels=pixels, tolerance=_LOSSY)
    yield Case(name="progressive.jpg", data=encode(pixels, progressive=True), pixels=pixels, tolerance=_LOSSY)
    for name, width, height in [("1x1.png", 1, 1), ("1x5000.png", 1, 5000), ("5000x1.png", 5000, 1)]:
        pixels = picture(width, height)
        yield Case(name=name, data=encode(pixels, "PNG"), format="PNG", pixels=pixels)
    pixels = picture(30_000, 32)
    yield Case(name="30000-wide.jpg", data=encode(pixels), pixels=pixels, tolerance=_LOSSY)


def _modes() -> Iterator[Case]:
    pixels = picture()
    grey = np.array(Image.fromarray(pixels).convert("L"))
    as_rgb = np.stack([grey] * 3, axis=-1)
    yield Case(name="grey.jpg", data=encode(grey), pixels=as_rgb, tolerance=_LOSSY)
    yield Case(name="black-and-white.png", data=encode(Image.fromarray(grey > 100), "PNG"), format="PNG",
               pixels=np.where(as_rgb > 100, 255, 0).astype(np.uint8))  # fmt: skip
    wide = grey.astype(np.uint16) * 257
    for name, image_format in [("16-bit-grey.png", "PNG"), ("16-bit-grey.tif", "TIFF")]:
        yield Case(name=name, data=encode(wide, image_format), format=image_format, pixels=as_rgb)
    yield Case(name="float.tif", data=encode(wide / np.float32(wide.max()), "TIFF"), format="TIFF",
               pixels=(as_rgb / grey.max() * 255).astype(np.uint8), tolerance=1)  # fmt: skip
    palette = Image.fromarray(pixels).quantize(4)
    yield Case(name="palette.png", data=encode(palette, "PNG"), format="PNG", pixels=pixels)
    yield from _transparent(pixels, grey)

    inks, seen = (corners(values) for values in zip(*CYAN_ETC, strict=True))
    cmyk = Image.frombytes("CMYK", (64, 48), inks.tobytes())
    yield Case(name="cmyk.jpg", data=encode(cmyk), pixels=seen, tolerance=2 * _LOSSY)
    yield Case(name="cmyk.tif", data=encode(cmyk, "TIFF"), format="TIFF", pixels=seen, tolerance=1)
    yield Case(name="ycck.jpg", data=_ycck(inks), pixels=seen, tolerance=2 * _LOSSY)


def _transparent(pixels: np.ndarray, grey: np.ndarray) -> Iterator[Case]:
    """Transparent in the top left corner, in all ways that PNG knows: it shows white."""
    corner = (slice(0, 24), slice(0, 32))
    on_white = pixels.copy()
    on_white[corner] = 255
    grey_on_white = np.stack([grey] * 3, axis=-1)
    grey_on_white[corner] = 255
    alpha = np.full(grey.shape, 255, np.uint8)
    alpha[corner] = 0
    yield Case(name="alpha.png", data=encode(np.dstack([pixels, alpha]), "PNG"), format="PNG", pixels=on_white)
    half = np.dstack([pixels, np.full(grey.shape, 128, np.uint8)])
    yield Case(name="half-alpha.webp", data=encode(half, "WEBP", lossless=True), format="WEBP",
               pixels=(pixels * (128 / 255) + 127).round().astype(np.uint8), tolerance=1)  # fmt: skip
    data = encode(Image.fromarray(np.dstack([grey, alpha])), "PNG")
    yield Case(name="grey-alpha.png", data=data, format="PNG", pixels=grey_on_white)
    palette = Image.fromarray(pixels).quantize(4)
    data = encode(palette, "PNG", transparency=palette.getpixel((0, 0)))
    yield Case(name="palette-alpha.png", data=data, format="PNG", pixels=on_white)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    key = png_chunk(b"tRNS", struct.pack(">3H", *map(int, pixels[0, 0])))
    yield Case(name="colour-key.png", data=png(64, 48, 8, 2, rows, key), format="PNG", pixels=on_white)
    wide = grey.astype(">u2") * 257
    key = png_chunk(b"tRNS", struct.pack(">H", int(wide[0, 0])))
    data = png(64, 48, 16, 0, b"".join(b"\0" + row.tobytes() for row in wide), key)
    yield Case(name="16-bit-grey-key.png", data=data, format="PNG", pixels=grey_on_white)
    wide = pixels.astype(">u2") * 257
    data = png(64, 48, 16, 2, b"".join(b"\0" + row.tobytes() for row in wide))
    yield Case(name="16-bit-colour.png", data=data, format="PNG", pixels=pixels)


def _ycck(inks: np.ndarray) -> bytes:
    """A JPEG as Photoshop writes it: inks inverted, three of them as luminance and chrominance, marked by Adobe's 2."""
    chroma = np.asarray(Image.fromarray(np.ascontiguousarray(inks[..., :3])).convert("YCbCr"))
    stored = np.dstack([chroma, 255 - inks[..., 3]])
    # Pillow inverts what it writes, and marks it by 0
    image = Image.frombytes("CMYK", (inks.shape[1], inks.shape[0]), (255 - stored).tobytes())
    data = bytearray(encode(image))
    transform = data.index(b"Adobe") + 11
    assert data[transform] == 0
    data[transform] = 2
    return bytes(data)


def _frames() -> Iterator[Case]:
    first, second = picture(), 255 - picture()
    more = {"save_all": True, "append_images": [Image.fromarray(second)]}
    for name, image_format, options, tolerance in [
        ("animated.gif", "GIF", {"duration": 100}, 0), ("animated.png", "PNG", {}, 0), ("pages.tif", "TIFF", {}, 0),
        ("animated.webp", "WEBP", {"lossless": True}, 0), ("stereo.mpo", "MPO", {}, _LOSSY),
    ]:  # fmt: skip
        data = encode(first, image_format, **more, **options)
        yield Case(name=name, data=data, format=image_format, pixels=first, tolerance=tolerance)


def _orientations() -> Iterator[Case]:
    upright = picture()
    for image_format, suffix, tolerance in [("JPEG", "jpg", _LOSSY), ("TIFF", "tif", 0), ("PNG", "png", 0)]:
        for orientation in range(1, 9):
            data = encode(turned(upright, orientation), image_format, exif=exif_with(orientation))
            yield Case(name=f"orientation-{orientation}.{suffix}", data=data, format=image_format,
                       pixels=upright, tolerance=tolerance)  # fmt: skip
    lying = turned(upright, 6)
    data = encode(lying, "WEBP", lossless=True, exif=exif_with(6))
    yield Case(name="orientation-6.webp", data=data, format="WEBP", pixels=upright)
    data = encode(lying, "MPO", exif=exif_with(6), save_all=True, append_images=[Image.fromarray(lying)])
    yield Case(name="orientation-6.mpo", data=data, format="MPO", pixels=upright, tolerance=_LOSSY)
    if features.check("avif"):
        data = encode(lying, "AVIF", quality=100, subsampling="4:4:4", exif=exif_with(6))
        yield Case(name="orientation-6.avif", data=data, format="AVIF", pixels=upright, tolerance=_LOSSY)
    for image_format, suffix, options, tolerance in [
        ("JPEG", "jpg", {}, _LOSSY), ("WEBP", "webp", {"lossless": True}, 0), ("TIFF", "tif", {}, 0),
        ("PNG", "png", {}, 0), ("AVIF", "avif", {"quality": 100, "subsampling": "4:4:4"}, 5),
    ]:  # fmt: skip
        if image_format != "AVIF" or features.check("avif"):
            given = xmp_options(image_format, xmp_with(6))
            data = encode(lying, image_format, **options, **given)
            yield Case(name=f"xmp-orientation-6.{suffix}", data=data, format=image_format,
                       pixels=upright, tolerance=tolerance)  # fmt: skip
    both = encode(turned(upright, 8), exif=exif_with(8), xmp=xmp_with(3))
    yield Case(name="exif-before-xmp.jpg", data=both, pixels=upright, tolerance=_LOSSY)
    for name, exif in [
        ("orientation-9", exif_with(9)), ("exif-empty", b"Exif\0\0"),
        ("orientation-text", _EXIF_HEAD + b"\1\0\x12\1\2\0\3\0\0\0up\0\0" + bytes(4)),
        ("exif-offset", b"Exif\0\0MM\0\x2a\xff\xff\xff\xff"), ("exif-noise", b"Exif\0\0" + bytes(range(256))),
        ("exif-count", _EXIF_HEAD + b"\xff\xff\x12\1\3\0\xff\xff\xff\xff" + bytes(4)),
    ]:  # fmt: skip
        yield Case(name=f"{name}.jpg", data=encode(upright, exif=exif), pixels=upright, tolerance=_LOSSY)


def _profiles() -> Iterator[Case]:
    pixels = picture()
    adobe = rgb_profile(ADOBE_RGB)
    converted = adobe_to_srgb(pixels)
    for name, image_format, options, tolerance in [
        ("adobe-rgb.jpg", "JPEG", {}, 2 * _LOSSY), ("adobe-rgb.png", "PNG", {}, 1), ("adobe-rgb.tif", "TIFF", {}, 1),
        ("adobe-rgb.webp", "WEBP", {"lossless": True}, 1),
    ]:  # fmt: skip
        data = encode(pixels, image_format, icc_profile=adobe, **options)
        yield Case(name=name, data=data, format=image_format, pixels=converted, tolerance=tolerance)
    palette = Image.fromarray(pixels).quantize(4)
    data = encode(palette, "PNG", icc_profile=adobe)
    yield Case(name="adobe-rgb-palette.png", data=data, format="PNG", pixels=converted, tolerance=1)
    white = np.full_like(pixels, 255)
    data = encode(white, "PNG", icc_profile=rgb_profile(DISPLAY_P3))
    yield Case(name="display-p3-white.png", data=data, format="PNG", pixels=white)

    for name, profile in [
        ("icc-noise", bytes(range(256)) * 4), ("icc-cut", adobe[:300]), ("icc-head", adobe[:128]), ("icc-short", b"i"),
        ("icc-of-a-press", cmyk_profile(lambda inks: 50)), ("icc-huge", padded(adobe, 5_000_000)),
        ("icc-long-table", adobe[:128] + b"\xff\xff\xff\xff" + adobe[132:]),
    ]:  # fmt: skip
        yield Case(name=f"{name}.jpg", data=encode(pixels, icc_profile=profile), pixels=pixels, tolerance=_LOSSY)

    grey = np.array(Image.fromarray(pixels).convert("L"))
    linear = grey / 255
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    lighter = np.stack([(curved * 255).round().astype(np.uint8)] * 3, axis=-1)
    data = encode(grey, "PNG", icc_profile=grey_profile(1.0))
    yield Case(name="linear-grey.png", data=data, format="PNG", pixels=lighter, tolerance=1)

    # a press whose cyan is a grey of L* 50, sRGB 119, and whose black is black; magenta and yellow are blank
    press = cmyk_profile(lambda inks: 0 if inks[3] else 50 if inks[0] else 100)
    inks = corners([(255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 0, 255), (0, 0, 255, 0)])
    seen = corners([(119,) * 3, (255,) * 3, (0,) * 3, (255,) * 3])
    image = Image.frombytes("CMYK", (64, 48), inks.tobytes())
    yield Case(name="press.jpg", data=encode(image, icc_profile=press), pixels=seen, tolerance=2 * _LOSSY)


def _declared() -> Iterator[Case]:
    """Colours that no ICC profile describes."""
    pixels = picture()
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    adobe = rgb_profile(ADOBE_RGB)
    iccp = png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(adobe))
    p3, linear = rgb_to_srgb(pixels, DISPLAY_P3), rgb_to_srgb(pixels, SRGB, lambda levels: levels)
    gama, srgb = png_chunk(b"gAMA", struct.pack(">I", 100_000)), png_chunk(b"sRGB", b"\0")
    for name, chunks, expected in [
        ("cicp-p3", cicp(12, 13), p3), ("cicp-before-iccp", cicp(12, 13) + iccp, p3),
        ("cicp-srgb-before-iccp", iccp + cicp(1, 13), pixels), ("iccp-before-srgb", iccp + srgb, adobe_to_srgb(pixels)),
        ("cicp-unspecified", cicp(2, 2) + iccp, adobe_to_srgb(pixels)), ("gama", gama, linear),
        ("srgb-before-gama", srgb + gama, pixels), ("gama-45455", png_chunk(b"gAMA", struct.pack(">I", 45455)), pixels),
    ]:  # fmt: skip
        yield Case(name=f"{name}.png", data=png(64, 48, 8, 2, rows, chunks), format="PNG", pixels=expected, tolerance=1)
    reserved = png(64, 48, 8, 2, rows, cicp(77, 13))
    yield Case(name="cicp-reserved.png", data=reserved, error="DecodeError", message="CICP primaries 77, transfer 13")
    if features.check("avif"):
        data = with_nclx(encode(pixels, "AVIF", quality=100, subsampling="4:4:4"), 12, 13)
        yield Case(name="nclx-p3.avif", data=data, format="AVIF", pixels=p3, tolerance=6)
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: "R03"}
    data = encode(pixels, exif=exif.tobytes())
    yield Case(name="exif-adobe-rgb.jpg", data=data, pixels=adobe_to_srgb(pixels), tolerance=2 * _LOSSY)


def _deep() -> Iterator[Case]:
    """Greys of TIFFs; more of them in `test_grey`."""
    grey = np.array(Image.fromarray(picture()).convert("L"))
    expected = np.stack([grey] * 3, axis=-1)
    for name, samples, negative in [
        ("12-in-16", grey.astype(np.uint16) << 4, False), ("negative-16", 65535 - grey.astype(np.uint16) * 257, True),
        ("float-1000", grey.astype(np.float32) / grey.max() * 1000, False),
    ]:  # fmt: skip
        shown = expected if name != "float-1000" else (expected / float(grey.max()) * 255).astype(np.uint8)
        data = encode(Image.fromarray(samples), "TIFF")
        if negative:
            data = data.replace(struct.pack("<HHIH", 262, 3, 1, 1), struct.pack("<HHIH", 262, 3, 1, 0))
        yield Case(name=f"{name}.tif", data=data, format="TIFF", pixels=shown, tolerance=1)


def _cut() -> Iterator[Case]:
    """All pixels are there, and what should follow them is not."""
    pixels = picture()
    yield Case(name="no-iend.png", data=encode(pixels, "PNG")[:-12], format="PNG", pixels=pixels)
    yield Case(name="no-trailer.gif", data=encode(pixels, "GIF")[:-1], format="GIF", pixels=pixels)
    yield Case(name="tail.jpg", data=encode(pixels) + b"<html>" * 100, pixels=pixels, tolerance=_LOSSY)

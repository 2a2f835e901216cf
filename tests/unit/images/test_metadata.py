"""How a photo lies: EXIF first, then XMP, in every format; and its size is known before it is decoded."""

from __future__ import annotations

import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image

from pixelbrain.images.decode import decode_image
from pixelbrain.images.encoded import open_encoded
from pixelbrain.images.metadata import upright_size
from tests.hostile.case import encode, exif_with, picture, png, png_chunk, turned, xmp_options, xmp_with

pillow_heif.register_heif_opener()  # to write them
UPRIGHT = picture()
ELEMENT = "><tiff:Orientation>{}</tiff:Orientation></rdf:Description>"
FORMATS = {
    "JPEG": {}, "PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "HEIF": {"quality": -1, "chroma": 444},
}  # fmt: skip


def size_of(data: bytes) -> tuple[int, int]:
    with open_encoded(data) as image:
        return upright_size(image, data)


def lies_upright(data: bytes) -> bool:
    assert size_of(data) == (64, 48)
    image = decode_image(data)
    return image.pixels.shape == UPRIGHT.shape and np.abs(image.pixels.astype(int) - UPRIGHT).max() <= 6


@pytest.mark.parametrize("form", ['tiff:Orientation="{}"/>', "tiff:Orientation = '{}' />", ELEMENT])
@pytest.mark.parametrize("lies", [6, 3, 5])
@pytest.mark.parametrize("image_format", FORMATS)
def test_xmp_counts_where_exif_says_nothing(image_format, lies, form):
    data = encode(
        turned(UPRIGHT, lies), image_format, **FORMATS[image_format], **xmp_options(image_format, xmp_with(lies, form))
    )
    assert lies_upright(data)


@pytest.mark.parametrize("image_format", FORMATS)
def test_exif_goes_before_xmp(image_format):
    def both(pixels: np.ndarray, lies: int) -> bytes:
        if image_format == "TIFF":
            return encode(pixels, "TIFF", tiffinfo={700: xmp_with(3), 0x0112: lies})
        options = {**FORMATS[image_format], **xmp_options(image_format, xmp_with(3))}
        return encode(pixels, image_format, exif=exif_with(lies), **options)

    assert lies_upright(both(turned(UPRIGHT, 6), 6))
    if image_format not in ("AVIF", "HEIF"):  # whose encoders drop a 1 of EXIF
        assert lies_upright(both(UPRIGHT, 1))


def test_xmp_counts_where_exif_is_nonsense():
    lying = turned(UPRIGHT, 6)
    for exif in exif_with(9), b"Exif\0\0MM\0\x2a\xff\xff\xff\xff":
        assert lies_upright(encode(lying, exif=exif, xmp=xmp_with(6)))


@pytest.mark.parametrize("image_format", ["AVIF", "HEIF"])
def test_the_container_goes_before_both(image_format):
    """`irot` stands in the place of EXIF's tag, which HEIF and AVIF call a copy: nothing is turned twice."""
    lying, options = turned(UPRIGHT, 6), FORMATS[image_format]
    data = encode(lying, image_format, exif=exif_with(6), xmp=xmp_with(6), **options)
    assert b"irot" in data and lies_upright(data)
    data = encode(lying, image_format, xmp=xmp_with(6, "tiff:Orientation='{}'/>"), **options)
    assert b"irot" not in data and lies_upright(data.replace(b"Orientation='6'", b'Orientation="6"'))


def test_metadata_behind_the_pixels_counts():
    lying = turned(UPRIGHT, 6)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in lying))
    exif = png_chunk(b"eXIf", exif_with(6)[6:])
    head = png(48, 64, 8, 2, None)[:-12]
    assert lies_upright(head + png_chunk(b"IDAT", rows) + exif + png_chunk(b"IEND", b""))


def test_a_gif_has_xmp_too():
    data = encode(turned(UPRIGHT, 6), "GIF")
    packet = xmp_with(6)
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    at = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    extension = b"\x21\xff\x0bXMP DataXMP" + packet + trailer
    assert lies_upright(data[:at] + extension + data[at:])


@pytest.mark.parametrize("image_format", sorted(FORMATS.keys() - {"TIFF"}))  # Pillow writes no such block into it
def test_when_it_was_taken(image_format):
    def taken(**tags: str) -> str | None:
        exif = Image.Exif()
        exif[ExifTags.Base.Make] = "a camera"  # without a tag of its own, Pillow takes it for empty
        exif.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base[name]: value for name, value in tags.items()})
        return decode_image(encode(UPRIGHT, image_format, exif=exif, **FORMATS[image_format])).taken_at

    time = "2024:05:01 12:34:56"
    assert taken(DateTimeOriginal=time) == "2024-05-01T12:34:56"
    assert taken(DateTimeOriginal=time, OffsetTimeOriginal="+02:00") == "2024-05-01T12:34:56+02:00"
    assert taken(DateTimeOriginal=time, OffsetTimeOriginal="   :  ") == "2024-05-01T12:34:56"
    assert taken(DateTimeOriginal="0000:00:00 00:00:00") is None and taken(DateTimeDigitized=time) is None

"""Bytes become upright RGB pixels, or a named error."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pixelbrain.errors import DecodeError
from pixelbrain.images.decode import DecodeTarget, decode_image


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF"])
def test_formats(encode, image_format):
    image = decode_image(encode(image_format), image_id="x")
    assert (image.width, image.height, image.format) == (64, 48, image_format)
    assert image.pixels.shape == (48, 64, 3) and image.pixels.dtype == np.uint8 and image.scale == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_upright(encode, orientation):
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20, :30] = (255, 0, 0)  # a red corner tells all eight apart, with a green edge
    upright[:, 50:] = (0, 255, 0)
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright), 7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode("PNG", array=np.ascontiguousarray(stored), exif=exif)
    image = decode_image(data)
    assert (image.width, image.height) == (60, 40)
    assert np.array_equal(image.pixels, upright)
    small = decode_image(data, target=DecodeTarget(long_side_px=30))
    assert small.pixels.shape == (20, 30, 3) and (small.width, small.height) == (60, 40)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(2400, 1800), (300, 200), (5000, 10), (1, 1)])
def test_reduced_decoding_keeps_what_is_wanted(encode, image_format, size):
    target = DecodeTarget(short_side_px=100, long_side_px=500)
    image = decode_image(encode(image_format, size), target=target)
    height, width = image.pixels.shape[:2]
    assert (image.width, image.height) == size
    assert min(width, height) >= min(100, *size) and max(width, height) >= min(500, max(size))
    assert max(width, height) < 2 * max(500, 100 * max(size) / min(size)) or image.scale == 1
    assert width / height == pytest.approx(size[0] / size[1], rel=0.05)


def test_targets_unite():
    assert DecodeTarget(short_side_px=232).union(DecodeTarget(long_side_px=1024)) == DecodeTarget(
        short_side_px=232, long_side_px=1024
    )
    assert DecodeTarget().union(DecodeTarget(long_side_px=9)).whole


@pytest.mark.parametrize(
    "data", [b"", b"no image", b"\xff\xd8\xff", b"<html></html>", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_image_is_named(data):
    with pytest.raises(DecodeError):
        decode_image(data)


def test_half_a_photo_is_not_a_photo(encode):
    data = encode(size=(400, 300))
    with pytest.raises(DecodeError, match="truncated"):
        decode_image(data[: len(data) // 2])


def test_modes_become_rgb(encode):
    grey16 = np.linspace(0, 65535, 48 * 64).reshape(48, 64).astype(np.uint16)
    assert decode_image(encode("PNG", array=grey16)).pixels.max() == 255
    transparent = np.zeros((8, 8, 4), np.uint8)
    assert (decode_image(encode("PNG", array=transparent)).pixels == 255).all()
    buffer = io.BytesIO()
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(buffer, "JPEG")
    red, green, blue = decode_image(buffer.getvalue()).pixels[4, 4]
    assert red > 200 and green < 60 and blue < 60


def test_a_damaged_exif_block_does_not_cost_the_photo(encode):
    data = encode("JPEG", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff")
    assert decode_image(data).pixels.shape == (48, 64, 3)

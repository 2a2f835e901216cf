"""What would be in memory at once is what counts: large photos are reduced while they are read, bombs are refused."""

from __future__ import annotations

import io
import re
import struct
import time

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from pixelbrain.errors import DecodeError, ImageTooLargeError
from pixelbrain.images.decode import DecodeTarget, decode_image
from pixelbrain.images.limits import count_scans
from tests.hostile.case import encode, picture, png

pillow_heif.register_heif_opener()  # to write them
SMALL = DecodeTarget(short_side_px=100)
JPEG = encode(picture(1600, 1000))
PROGRESSIVE = encode(picture(1600, 1000), progressive=True)
QUARTER = 400 * 250


def in_three_scans() -> bytes:
    """A JPEG that is not progressive, and has a scan a component: Pillow's own grey ones, behind one header."""
    grey = [encode(np.ascontiguousarray(picture(1600, 1000)[..., i])) for i in range(3)]
    scans = [data[data.index(b"\xff\xda") + 10 : -2] for data in grey]
    head = grey[0][: grey[0].index(b"\xff\xda")]
    frame = head.index(b"\xff\xc0")
    three = b"".join(bytes([i, 0x11, 0]) for i in (1, 2, 3))
    head = head[:frame] + b"\xff\xc0\0\x11" + head[frame + 4 : frame + 9] + b"\3" + three + head[frame + 13 :]
    return (
        head + b"".join(b"\xff\xda\0\x08\1" + bytes([i, 0, 0, 63, 0]) + s for i, s in enumerate(scans, 1)) + b"\xff\xd9"
    )


@pytest.mark.parametrize("image_format", ["JPEG", "MPO"])
def test_a_jpeg_counts_as_it_is_reduced_while_it_is_read(image_format):
    data = encode(picture(1600, 1000), image_format)
    image = decode_image(data, target=SMALL, max_pixels=QUARTER)
    assert (image.width, image.height, image.pixels.shape) == (1600, 1000, (125, 200, 3))
    with pytest.raises(ImageTooLargeError, match=r"^1600 x 1000 pixels; .*--max-megapixels 2 .*--retry-failed"):
        decode_image(data, max_pixels=QUARTER)


@pytest.mark.parametrize("data", [PROGRESSIVE, in_three_scans(), encode(picture(1600, 1000), "PNG")])
def test_what_is_in_memory_whole_counts_whole(data):
    with pytest.raises(ImageTooLargeError, match=r"^1600 x 1000 pixels.*at most 1,599,999 are decoded"):
        decode_image(data, target=SMALL, max_pixels=1_599_999)
    assert decode_image(data, target=SMALL, max_pixels=1_600_000).width == 1600


def test_a_bomb_is_refused_at_once():
    data = png(60_000, 60_000, 8, 2, bytes(30_000_000))
    started = time.process_time()
    with pytest.raises(ImageTooLargeError, match="60000 x 60000 pixels.*--max-megapixels 3600 "):
        decode_image(data, target=SMALL)
    assert time.process_time() - started < 1  # it takes a CPU 1 to 5 ms; the pixels would take it many seconds


def test_a_jpeg_without_its_pixels_is_not_made_up_for():
    data = bytearray(JPEG)
    frame = data.index(b"\xff\xc0") + 5
    data[frame : frame + 4] = struct.pack(">HH", 65500, 65500)
    with pytest.raises(ImageTooLargeError, match="65500 x 65500"):
        decode_image(bytes(data), target=SMALL)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_pillows_own_limit_is_not_heard_of(image_format, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    data = encode(picture(), image_format)
    assert decode_image(data, max_pixels=64 * 48).width == 64
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ImageTooLargeError, match=r"pixels; at most 100 are decoded.*--max-megapixels 1 ") as caught:
        decode_image(data, max_pixels=100)
    assert not re.search("decompression|DOS", str(caught.value), re.IGNORECASE)


def test_scans_are_counted_up_to_the_end_and_nowhere_else():
    scans = count_scans(PROGRESSIVE)
    assert scans == 10 and count_scans(JPEG) == 1 and count_scans(in_three_scans()) == 3
    many = b"\xff\xda" * 5000
    assert count_scans(PROGRESSIVE + many) == scans  # a film behind a photo
    inside = PROGRESSIVE[:2] + b"\xff\xe1\xff\xff" + many[:0xFFFD].ljust(0xFFFD, b"\0") + PROGRESSIVE[2:]
    assert count_scans(inside) == scans  # a thumbnail in EXIF
    np.testing.assert_array_equal(decode_image(inside + many).pixels, decode_image(PROGRESSIVE).pixels)
    last = PROGRESSIVE.rindex(b"\xff\xda")
    # a reserved marker has no length: libjpeg goes over it, and so must who counts
    hidden = PROGRESSIVE[:last] + (b"\xff\x02\xff\xff" + PROGRESSIVE[last:-2]) * 600 + b"\xff\xd9"
    assert count_scans(hidden) > 500
    with pytest.raises(DecodeError, match="more than 500 scans"):
        decode_image(hidden)
    with Image.open(io.BytesIO(in_three_scans())) as image:
        image.load()  # it is one that libjpeg takes


@pytest.mark.parametrize("image_format", ["AVIF", "HEIF"])
def test_a_size_that_their_decoders_refuse_is_named(image_format):
    data = bytearray(encode(picture(), image_format))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", 60_000, 60_000)
    with pytest.raises(ImageTooLargeError, match="60000 x 60000 pixels; .*--max-megapixels 3600 "):
        decode_image(bytes(data))

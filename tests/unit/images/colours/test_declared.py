"""Colours that are declared by numbers arrive as sRGB, by the formulas of their standards."""

from __future__ import annotations

import struct

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from pixelbrain.errors import DecodeError
from pixelbrain.images.colours.declared import _of_cicp
from pixelbrain.images.colours.flatten import to_srgb
from pixelbrain.images.decode import decode_image
from tests.hostile.case import cicp, encode, picture, png, png_chunk, with_nclx
from tests.hostile.profiles import ADOBE_RGB, BT_2020, DISPLAY_P3, SRGB, rgb_profile, rgb_to_srgb

pillow_heif.register_heif_opener()  # to write them


def shown(levels: int | tuple[int, int, int], primaries: int, transfer: int, **more: int) -> list[int]:
    """What a PNG of this one colour arrives as."""
    pixels = np.full((2, 2, 3), levels, np.uint8)
    data = png(2, 2, 8, 2, b"".join(b"\0" + row.tobytes() for row in pixels), cicp(primaries, transfer, **more))
    return decode_image(data).pixels[0, 0].tolist()


@pytest.fixture(scope="module")
def colours() -> np.ndarray:
    """uint8 (300, 301, 3): of all colours, in more than one strip."""
    return np.random.default_rng(3).integers(0, 256, (300, 301, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("primaries", "transfer", "reference", "to_linear"),
    [
        (12, 13, DISPLAY_P3, None), (9, 13, BT_2020, None), (9, 8, BT_2020, lambda v: v),
        (12, 4, DISPLAY_P3, lambda v: v**2.2), (12, 5, DISPLAY_P3, lambda v: v**2.8),
        (9, 1, BT_2020, lambda v: v**2.4), (9, 14, BT_2020, lambda v: v**2.4),
    ],
)  # fmt: skip
def test_gamuts_and_curves_are_those_of_their_standards(primaries, transfer, reference, to_linear, colours):
    space = _of_cicp(primaries, transfer)
    found = np.asarray(to_srgb(Image.fromarray(colours), space))
    assert np.abs(found.astype(int) - rgb_to_srgb(colours, reference, to_linear)).max() <= 1


def test_known_colours():
    assert shown((255, 0, 0), 12, 13) == [255, 0, 0] and shown((234, 51, 35), 12, 13) == [255, 0, 0]  # sRGB's red in P3
    assert shown((200, 100, 100), 12, 13) == [215, 93, 97]
    for primaries in 4, 5, 6, 7, 8, 9, 11, 12, 22:  # white is white, and greys are grey
        assert shown(255, primaries, 13) == [255] * 3 and np.ptp(shown(128, primaries, 13)) <= 1, primaries
    assert shown(128, 2, 2) == shown(128, 1, 2) == shown(128, 1, 13) == [128] * 3


def test_diffuse_white_of_hdr_is_white():
    """BT.2408, table 1: 203 cd/m2 are 58 % of PQ and 75 % of HLG; grey of 18 %, 26 cd/m2, is 38 % of both."""
    for transfer, white in (16, 0.581), (18, 0.75):
        at = round(white * 255)
        assert min(shown(at, 9, transfer)) >= 253 and shown(at + 2, 9, transfer) == [255] * 3
        assert max(shown(at - 3, 9, transfer)) < 255
        assert np.abs(np.subtract(shown(round(0.38 * 255), 9, transfer), 101)).max() <= 2
        assert shown(0, 9, transfer) == [0] * 3 and shown(255, 9, transfer) == [255] * 3
    red, green, blue = shown((180, 60, 60), 9, 18)  # the system gamma is of the luminance: hues stay
    assert red > 150 and green < 60 and blue < 70


def test_narrow_range_of_a_png_is_widened():
    assert [shown(level, 1, 13, full=0)[0] for level in (0, 16, 126, 235, 255)] == [0, 0, 128, 255, 255]
    assert shown(128, 12, 13, matrix=1) == [128] * 3  # no valid chunk: as if it were not there


@pytest.mark.parametrize("numbers", [(3, 13), (10, 13), (255, 13), (1, 3), (9, 19), (1, 255)])
def test_what_is_not_converted_is_named(numbers):
    primaries, transfer = numbers
    with pytest.raises(DecodeError, match=f"that are not converted: CICP primaries {primaries}, transfer {transfer}"):
        shown(128, primaries, transfer)


def test_greys_have_a_curve_too():
    data = png(64, 48, 8, 0, b"".join(b"\0" + row.tobytes() for row in np.full((48, 64), 128, np.uint8)), cicp(9, 8))
    assert (decode_image(data).pixels == 188).all()


@pytest.mark.parametrize("image_format", ["AVIF", "HEIF"])
def test_an_icc_profile_goes_before_nclx(image_format):
    options = {"quality": 100, "subsampling": "4:4:4"} if image_format == "AVIF" else {"quality": -1, "chroma": 444}
    plain = encode(picture(), image_format, **options)
    p3 = decode_image(with_nclx(plain, 12, 13)).pixels.astype(int)
    assert np.abs(p3 - rgb_to_srgb(decode_image(plain).pixels, DISPLAY_P3)).max() <= 1
    adobe = rgb_profile(ADOBE_RGB)
    data = encode(picture(), image_format, icc_profile=adobe, **options)
    both = with_nclx(data, 12, 13) if b"colrnclx" in data else data
    assert image_format == "HEIF" or both != data
    assert np.abs(decode_image(both).pixels.astype(int) - decode_image(data).pixels).max() == 0
    with pytest.raises(DecodeError, match="CICP primaries 10, transfer 13"):
        decode_image(with_nclx(plain, 10, 13))


def test_a_png_may_name_its_primaries():
    rows = b"".join(b"\0" + row.tobytes() for row in picture())
    white_and_p3 = [(0.3127, 0.3290), *DISPLAY_P3]
    for points, expected in [
        (white_and_p3, rgb_to_srgb(picture(), DISPLAY_P3)), ([(0.3127, 0.3290), *SRGB], picture()),
        ([(0.0, 0.0)] * 4, picture()), ([(0.3, 0.3)] * 4, picture()), ([(40_000.0, 1e-5)] * 4, picture()),  # nonsense
    ]:  # fmt: skip
        numbers = [round(value * 100_000) for point in points for value in point]
        data = png(64, 48, 8, 2, rows, png_chunk(b"cHRM", struct.pack(">8I", *numbers)))
        assert np.abs(decode_image(data).pixels.astype(int) - expected).max() <= 1

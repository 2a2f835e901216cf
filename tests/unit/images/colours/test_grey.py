"""Greys of every depth come as they are meant, and never black, negative or wrapped."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from pixelbrain.errors import DecodeError
from pixelbrain.images.decode import decode_image
from tests.hostile.case import encode

#: The largest sample of each kind: as a camera, a microscope or a calculation leaves it.
KINDS = {
    "i1": 100, "u1": 255, "u2": 65535, "i2": 30_000, "u4": 4_000_000_000, "i4": 2_000_000_000, "f4": 0.7, "f8": 1000.0,
}  # fmt: skip


def tiff(samples: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **{"photometric": "minisblack", **options})
    return buffer.getvalue()


def decoded(data: bytes) -> np.ndarray:
    pixels = decode_image(data).pixels
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0].astype(int)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_ramp_is_a_ramp(kind, photometric, order, compression):
    ramp = np.linspace(0, 1, 256).reshape(16, 16)
    samples = (ramp * KINDS[kind]).astype(kind)
    found = decoded(tiff(samples, photometric=photometric, byteorder=order, compression=compression))
    expected = samples.astype(float) / float(samples.max()) * 255
    assert np.abs(found - (expected if photometric == "minisblack" else 255 - expected)).max() < 1.01


def test_twelve_bits_are_scaled_whether_they_are_packed_or_not():
    ramp = np.linspace(0, 4095, 256).astype(np.uint16).reshape(16, 16)
    expected = ramp >> 4
    assert np.array_equal(decoded(tiff(ramp)), expected)  # 12 bits in 16, and no word of it
    assert np.array_equal(decoded(tiff(ramp, photometric="miniswhite")), 255 - expected)
    pairs = ramp.reshape(-1, 2).astype(int)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], axis=-1)
    for order in "<>":
        data = bytearray(tiff(packed.astype(np.uint8).reshape(16, 24), byteorder=order))
        for tag, kind, value in (256, 4, 16), (258, 3, 12):  # width and bits, of the kinds uint32 and uint16
            entry = data.index(np.array([tag, kind], f"{order}u2").tobytes()) + 8
            written = np.array([value], f"{order}u{4 if kind == 4 else 2}").tobytes()
            data[entry : entry + len(written)] = written
        assert np.array_equal(decoded(bytes(data)), expected), order


def test_sixteen_bits_have_the_white_that_is_declared():
    dark = np.array([[0, 1000, 16383]], np.uint16)
    assert decoded(tiff(dark)).tolist() == [[0, 3, 63]]  # above 4095, and nothing declared: 65535 is white
    assert decoded(tiff(dark, extratags=[(281, "H", 1, 16383)])).tolist() == [[0, 15, 255]]
    assert decoded(tiff(dark // 4, extratags=[(281, "H", 1, 65535)])).tolist() == [[0, 0, 15]]
    assert decoded(encode(Image.fromarray(dark // 4), "PNG")).tolist() == [[0, 0, 15]]  # of a PNG, always


def test_others_have_the_range_that_is_declared_or_found():
    values = np.array([[-np.inf, np.nan, -4.0, 0.0, 1.0, 2.0, np.inf]], np.float32)
    assert decoded(tiff(values)).tolist() == [[0, 0, 0, 0, 127, 255, 0]]
    assert decoded(tiff(values, photometric="miniswhite")).tolist() == [[0, 0, 255, 255, 128, 0, 0]]
    declared = [(340, "f", 1, -4.0), (341, "f", 1, 4.0)]
    assert decoded(tiff(values, extratags=declared)).tolist() == [[0, 0, 0, 127, 159, 191, 0]]
    nothing = [(340, "f", 1, 0.0), (341, "f", 1, 0.0)]
    assert decoded(tiff(values, extratags=nothing)).tolist() == [[0, 0, 0, 0, 127, 255, 0]]
    below = np.array([[-40, -20, -10]], np.int16)  # temperatures: nothing above 0
    assert decoded(tiff(below)).tolist() == [[0, 170, 255]]
    assert decoded(tiff(np.full((1, 2), -3, np.int32))).tolist() == [[0, 0]]


def test_what_is_not_read_is_named():
    half = tiff(np.zeros((4, 4), np.float16))
    colour = tiff(np.zeros((4, 4, 3), np.float32), photometric="rgb")
    for data in half, colour:
        with pytest.raises(DecodeError, match="samples are of a kind that is not read: save it with 8 or 16 bits"):
            decode_image(data)

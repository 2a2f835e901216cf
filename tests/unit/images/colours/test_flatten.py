"""Colours of any profile and depth come as 8-bit sRGB."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms

from pixelbrain.images.colours.flatten import _transform, flatten, to_srgb
from tests.hostile.case import picture
from tests.hostile.profiles import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    adobe_to_srgb,
    cmyk_profile,
    grey_profile,
    padded,
    rgb_profile,
)


@pytest.fixture(scope="module")
def colours() -> np.ndarray:
    """uint8 (64, 64, 3): 4,096 of all colours."""
    return np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_adobe_rgb_is_converted_as_its_definition_says(colours):
    converted = np.asarray(to_srgb(Image.fromarray(colours), rgb_profile(ADOBE_RGB)))
    off = np.abs(converted.astype(int) - adobe_to_srgb(colours))
    assert off.max() <= 2 and off.mean() < 0.1
    assert np.abs(converted.astype(int) - colours).mean() > 10  # it is not as if nothing had been done


def test_display_p3_is_converted_and_white_stays_white():
    pixels = np.array([[(255, 255, 255), (128, 128, 128), (0, 0, 0), (200, 100, 100)]], np.uint8)
    converted = np.asarray(to_srgb(Image.fromarray(pixels), rgb_profile(DISPLAY_P3)))
    assert (converted[0, 0] == 255).all() and (converted[0, 2] == 0).all()
    assert np.ptp(converted[0, 1].astype(int)) <= 1  # greys stay grey
    assert converted[0, 3, 0] > 205  # P3's reds are farther out


def test_srgb_in_its_editions_is_left_alone(colours):
    image = Image.fromarray(colours)
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    longer = padded(own, len(own) + 4000)
    for profile in (None, b"", own, longer):
        assert to_srgb(image, profile) is image
    assert to_srgb(image, rgb_profile(SRGB, ADOBE_GAMMA)) is not image  # its curve is not a power: dark tones differ


def test_what_does_not_fit_is_left_alone():
    image = Image.fromarray(picture())
    adobe = rgb_profile(ADOBE_RGB)
    for profile in (
        grey_profile(1.0), cmyk_profile(lambda inks: 50), adobe[:200], b"no profile", padded(adobe, 4_000_001),
        (1, 2, 3),
    ):  # fmt: skip
        assert to_srgb(image, profile) is image  # type: ignore[arg-type]
    grey = image.convert("L")
    assert np.array_equal(np.asarray(to_srgb(grey, adobe)), np.asarray(grey.convert("RGB")))


def test_a_profile_is_looked_at_once():
    image = Image.fromarray(picture())
    profile = rgb_profile(ADOBE_RGB, 1.9)
    to_srgb(image, profile)
    before = _transform.cache_info()
    for _ in range(5):
        to_srgb(image, bytes(bytearray(profile)))
    after = _transform.cache_info()
    assert (after.hits - before.hits, after.misses - before.misses) == (5, 0)
    assert after.maxsize * 4_000_000 < 100_000_000  # of memory, at the very most


def test_depths():
    wide = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    assert np.asarray(flatten(Image.fromarray(wide))).tolist() == [[0, 0, 1, 128, 255]]
    large = np.array([[-5, 0, 500, 1000]], np.int32)
    assert np.asarray(flatten(Image.fromarray(large))).tolist() == [[0, 0, 127, 255]]
    floats = np.array([[np.nan, -np.inf, np.inf, -1, 0, 0.25, 0.5]], np.float32)
    assert np.asarray(flatten(Image.fromarray(floats))).tolist() == [[0, 0, 0, 0, 0, 127, 255]]
    assert np.asarray(flatten(Image.fromarray(np.full((2, 2), -3, np.int32)))).tolist() == [[0, 0], [0, 0]]


def test_what_is_flat_is_not_copied():
    for mode in ("RGB", "L", "CMYK"):
        image = Image.new(mode, (4, 4))
        assert flatten(image) is image
    assert {flatten(Image.new(mode, (4, 4))).mode for mode in ("1", "LA", "I", "F", "I;16")} == {"L"}
    assert {flatten(Image.new(mode, (4, 4))).mode for mode in ("P", "RGBA", "PA", "YCbCr", "HSV")} == {"RGB"}

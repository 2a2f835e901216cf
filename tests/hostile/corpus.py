"""All hostile and odd images together, for tests of the decoder, of a worker, and of the command."""

from __future__ import annotations

import functools
import importlib.util

from tests.hostile.broken import bombs, broken_files, heic_header
from tests.hostile.case import Case, encode, exif_with, picture, turned, with_nclx
from tests.hostile.odd import odd_images
from tests.hostile.profiles import DISPLAY_P3, rgb_to_srgb

__all__ = ["corpus", "heic_images"]


@functools.cache
def corpus() -> list[Case]:
    """Every case once, in the order of its chapter; the names are all different."""
    return [*odd_images(), *broken_files(), *bombs(), *heic_images()]


def heic_images() -> list[Case]:
    """Decoded where pillow-heif is installed; where it is not, the error says how to install it."""
    headers = {"head.heic": heic_header(b"heic", b"mif1"), "head.heif": heic_header(b"mif1", b"heic")}
    if importlib.util.find_spec("pillow_heif") is None:
        return [
            Case(name=name, data=data, error="UnsupportedFormatError", message="pip install pillow-heif")
            for name, data in headers.items()
        ]
    from pillow_heif import register_heif_opener

    register_heif_opener()  # to write them
    pixels = picture()
    options = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}  # without loss
    lying = encode(turned(pixels, 6), "HEIF", exif=exif_with(6), **options)
    return [
        Case(name="plain.heic", data=encode(pixels, "HEIF", **options), format="HEIF", pixels=pixels, tolerance=1),
        Case(name="orientation-6.heic", data=lying, format="HEIF", pixels=pixels, tolerance=1),
        Case(
            name="nclx-p3.heic",
            data=with_nclx(encode(pixels, "HEIF", **options), 12, 13),
            format="HEIF",
            pixels=rgb_to_srgb(pixels, DISPLAY_P3),
            tolerance=3,
        ),  # fmt: skip
        Case(name="half.heic", data=lying[: len(lying) // 2], error="DecodeError"),
        *(Case(name=name, data=data, error="DecodeError") for name, data in headers.items()),
    ]

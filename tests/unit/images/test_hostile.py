"""Hostile and odd images: each decodes to what it shows, or fails with its error, and none takes much memory."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import AvifImagePlugin, Image, ImageFile

from pixelbrain.errors import DecodeError, ImageError, ImageTooLargeError, UnsupportedFormatError
from pixelbrain.images import encoded
from pixelbrain.images.decode import DecodeTarget, decode_image
from tests.hostile.broken import heic_header
from tests.hostile.case import Case, encode, picture
from tests.hostile.corpus import corpus
from tests.hostile.mutate import mutant

CORPUS_FLOOR = 170  # cases, so that none is lost unseen


def problem_of(case: Case) -> str | None:
    """What is wrong with the outcome of a case."""
    try:
        image = decode_image(case.data, image_id=case.name)
    except ImageError as error:
        if type(error).__name__ != case.error or case.message not in str(error):
            return f"{type(error).__name__}: {error}; expected {case.error or 'pixels'} {case.message}"
        text = str(error)
        return None if text.isprintable() and len(text) < 300 else f"the message is not one short line: {text!r}"
    if case.error:
        return f"decoded; expected {case.error}"
    assert case.pixels is not None
    if (image.format, image.pixels.shape) != (case.format, case.pixels.shape):
        return f"{image.format} {image.pixels.shape}; expected {case.format} {case.pixels.shape}"
    if (image.height, image.width) != image.pixels.shape[:2]:
        return f"{image.width} x {image.height} for pixels of {image.pixels.shape}"
    off = int(np.abs(image.pixels.astype(int) - case.pixels).max())
    return None if off <= case.tolerance else f"colours are off by {off}, at most {case.tolerance} expected"


def test_every_case_has_its_outcome():
    cases = corpus()
    assert len(cases) >= CORPUS_FLOOR and len({case.name for case in cases}) == len(cases)
    assert {case.name: problem for case in cases if (problem := problem_of(case))} == {}


def test_reduced_decoding_has_the_same_outcome():
    target = DecodeTarget(short_side_px=16)
    for case in corpus():
        try:
            image = decode_image(case.data, target=target)
        except ImageError as error:
            assert type(error).__name__ == case.error, case.name
            continue
        assert case.error is None and case.pixels is not None, case.name
        assert (image.height, image.width) == case.pixels.shape[:2], case.name
        if min(case.pixels.shape[:2]) >= 16:
            assert 16 <= min(image.pixels.shape[:2]) < 32, case.name
            for row, column in [(0, 0), (0, -1), (-1, 0), (-1, -1)]:  # upright, and of the right colours
                off = np.abs(image.pixels[row, column].astype(int) - case.pixels[row, column]).max()
                assert off <= case.tolerance + 1, case.name


def test_switches_that_other_libraries_move_change_nothing(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    for case in corpus():
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        if case.name != "bomb.webp":  # libwebp then refuses it by itself, with another error
            assert problem_of(case) is None, case.name


def test_no_other_parser_is_asked(monkeypatch):
    Image.init()  # as if another library had loaded all that Pillow can read
    assert "EPS" in Image.OPEN
    allowed = {"JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF"}
    for name, (_, accept) in list(Image.OPEN.items()):
        if name not in allowed:
            monkeypatch.setitem(Image.OPEN, name, (lambda *_: pytest.fail("asked"), accept))
    refused = [case for case in corpus() if case.message == "not an image"]
    assert len(refused) >= 16
    for case in refused:
        with pytest.raises(DecodeError, match="not an image"):
            decode_image(case.data)


@pytest.fixture
def fresh_plugins() -> Iterator[None]:
    """What was found installed is looked for again, before and after."""
    for found in (encoded._heif_is_here, encoded._avif_is_here):
        found.cache_clear()
    yield
    for found in (encoded._heif_is_here, encoded._avif_is_here):
        found.cache_clear()


@pytest.mark.usefixtures("fresh_plugins")
def test_without_their_packages_heic_and_avif_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(AvifImagePlugin, "SUPPORTED", False)
    for brands in [(b"heic", b"mif1"), (b"mif1", b"heic"), (b"msf1", b"hevc"), (b"heix",)]:
        with pytest.raises(UnsupportedFormatError, match="HEIC.*pip install pillow-heif"):
            decode_image(heic_header(*brands))
    for brands in [(b"avif", b"mif1"), (b"mif1", b"avif", b"miaf"), (b"avis",)]:
        with pytest.raises(UnsupportedFormatError, match="AVIF.*pip install 'pillow"):
            decode_image(heic_header(*brands))
    for brands in [(b"isom", b"mp42"), (b"qt  ",)]:  # films
        with pytest.raises(DecodeError, match="not an image"):
            decode_image(heic_header(*brands))


def test_the_limit_is_the_callers():
    data = encode(picture(100, 80))
    assert decode_image(data, max_pixels=8000).width == 100
    with pytest.raises(ImageTooLargeError, match="100 x 80 pixels; at most 7,999 are decoded"):
        decode_image(data, max_pixels=7999)


def test_memory_stays_small_and_nothing_is_said_about_it():
    code = """
from tests.hostile.corpus import corpus
from pixelbrain.errors import ImageError
from pixelbrain.images.decode import decode_image
from benchmarks._machine import peak_memory_mb

cases = corpus()
decode_image(cases[0].data)
before = peak_memory_mb()
for case in cases:
    try:
        decode_image(case.data)
    except ImageError:
        pass
print(len(cases), peak_memory_mb() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    count, grown_mb = done.stdout.split()
    assert int(count) == len(corpus())
    # 64 MB are Pillow's own limit for the texts of one PNG; the largest of the others has 3 MB of pixels
    assert float(grown_mb) < 120
    assert "Warning" not in done.stderr


def test_decoding_threads_leave_the_warning_filters_alone():
    import warnings

    cases = [case for case in corpus() if len(case.data) < 10_000]
    problem_of(cases[0])
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(problem_of, cases))
    assert warnings.filters == before


def test_bombs_are_small():
    bombs = [case for case in corpus() if case.name.startswith("bomb")]
    assert len(bombs) >= 14 and max(len(case.data) for case in bombs) < 500_000


def test_mutants_raise_nothing_but_named_errors():
    seed = secrets.randbelow(2**31)
    print(f"seed {seed}; again: python benchmarks/fuzz_decode.py --seed {seed} --only NUMBER")
    decoded = 0
    for number in range(2000):
        name, data = mutant(seed, number)
        try:
            image = decode_image(data, target=DecodeTarget(short_side_px=16) if number % 2 else DecodeTarget())
        except ImageError:
            continue
        except Exception as error:
            raise AssertionError(f"number {number}, made of {name}") from error
        decoded += 1
        assert image.pixels.dtype == np.uint8 and image.pixels.shape[2] == 3 and image.width >= image.pixels.shape[1]
    assert 200 < decoded < 1800  # most are damaged, and not all are lost at the first byte

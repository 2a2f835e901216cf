"""Damaged images without end: a number makes one, always the same."""

from __future__ import annotations

import functools
import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from tests.hostile.case import Case, encode, picture
from tests.hostile.corpus import corpus

__all__ = ["mutant", "seeds"]

#: Larger files are left out: their mutants take longer and reach no other code.
_MAX_SEED_BYTES = 8_000

#: Where parsers count wrong: limits of signed and unsigned numbers, and sizes that are nearly possible.
_EDGES = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def mutant(seed: int, number: int) -> tuple[str, bytes]:
    """The name of the image that was damaged, and the damaged bytes."""
    rng = random.Random(f"{seed}:{number}")  # of text: the same on every machine and Python
    case = rng.choice(seeds())
    data = bytearray(case.data)
    for _ in range(min(int(rng.expovariate(0.4)) + 1, 20)):
        rng.choice(_WAYS)(data, rng)
    if data.startswith(b"\x89PNG") and rng.random() < 0.8:
        _mend_checksums(data)  # else nothing behind the first checksum is ever reached
    return case.name, bytes(data)


@functools.cache
def seeds() -> list[Case]:
    """The small whole ones of the corpus, and more of what a TIFF and a JPEG may be inside."""
    cases = [case for case in corpus() if case.error is None and len(case.data) <= _MAX_SEED_BYTES]
    pixels = Image.fromarray(picture())
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        data = encode(pixels, "TIFF", compression=compression)
        cases.append(Case(name=f"{compression}.tif", data=data, format="TIFF"))
    fax = encode(pixels.convert("1"), "TIFF", compression="group4")
    cases.append(Case(name="group4.tif", data=fax, format="TIFF"))
    noise = np.random.default_rng(6).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for image_format, options in [
        ("JPEG", {"progressive": True}), ("JPEG", {"restart_marker_blocks": 1}), ("PNG", {}), ("GIF", {}),
        ("WEBP", {}), ("WEBP", {"lossless": True}), ("BMP", {}),
    ]:  # fmt: skip
        data = encode(noise, image_format, **options)
        cases.append(Case(name=f"noise-{'-'.join(options)}.{image_format.lower()}", data=data, format=image_format))
    return cases


def _place(data: bytearray, rng: random.Random) -> int:
    """Somewhere: half of the time in the head, where the decisions are made."""
    end = min(len(data), 200) if rng.random() < 0.5 else len(data)
    return rng.randrange(end) if end else 0


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _set(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_place(data, rng)] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256)))


def _number(data: bytearray, rng: random.Random) -> None:
    kind = rng.choice((">H", "<H", ">I", "<I"))
    value = (rng.choice(_EDGES) + rng.choice((0, 0, -1, 1))) % 2 ** (8 * struct.calcsize(kind))
    at = _place(data, rng)
    data[at : at + struct.calcsize(kind)] = struct.pack(kind, value)


def _noise(data: bytearray, rng: random.Random) -> None:
    at, size = _place(data, rng), rng.randrange(1, 32)
    data[at : at + size] = rng.randbytes(size)


def _remove(data: bytearray, rng: random.Random) -> None:
    at = _place(data, rng)
    del data[at : at + rng.randrange(1, 64)]


def _repeat(data: bytearray, rng: random.Random) -> None:
    at = _place(data, rng)
    data[at:at] = data[at : at + rng.randrange(1, 64)] * rng.choice((1, 1, 2, 50))


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[_place(data, rng) :]


def _move(data: bytearray, rng: random.Random) -> None:
    piece = data[_place(data, rng) :][: rng.randrange(1, 64)]
    at = _place(data, rng)
    data[at : at + len(piece)] = piece


def _graft(data: bytearray, rng: random.Random) -> None:
    other = rng.choice(seeds()).data
    data[_place(data, rng) :] = other[rng.randrange(len(other)) :]


_WAYS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _flip, _set, _set, _number, _number, _number, _noise, _remove, _repeat, _cut, _move, _graft,
)  # fmt: skip


def _mend_checksums(data: bytearray) -> None:
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            return
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4

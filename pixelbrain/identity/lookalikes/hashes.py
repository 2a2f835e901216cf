"""Pairs of perceptual hashes that differ in few bits, without comparing all pairs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

_BITS = 64
_CELLS = 1 << 22  # pairs that are compared at once: 32 MB

#: A mirrored photo has the other sign in each odd frequency across, which are every second bit of a row of eight.
MIRRORED = np.uint64(0x5555_5555_5555_5555)


def near_hashes(hashes: np.ndarray, bits: int, *, turned: np.uint64 | int = 0) -> tuple[np.ndarray, ...]:
    """Pairs of hashes that differ in `bits` bits at most.

    Cut into one piece more than bits may differ, two such hashes have one piece in common (Norouzi, Punjani and Fleet,
    "Fast search in Hamming space with multi-index hashing", 2012): only those are compared.

    Args:
        hashes: uint64 (n,), all different ones.
        bits: 0 to 63.
        turned: bits to turn of one of the two, such as `MIRRORED`.

    Returns:
        int64 (m,) twice, the places of each pair, the lower first, and uint8 (m,), how many bits differ.
    """
    other = hashes ^ np.uint64(turned)
    found = [np.empty((0, 3), np.int64)]
    cuts = np.linspace(0, _BITS, bits + 2).round().astype(int)
    for low, high in itertools.pairwise(cuts):
        shift, mask = np.uint64(low), np.uint64((1 << int(high - low)) - 1)
        for left, right in _cells((hashes >> shift) & mask, (other >> shift) & mask):
            rows = max(1, _CELLS // len(right))
            for start in range(0, len(left), rows):
                block = left[start : start + rows]
                differ = count_bits(hashes[block][:, None] ^ other[right][None, :])
                a, b = np.nonzero(differ <= bits)
                pairs = np.stack([block[a], right[b], differ[a, b].astype(np.int64)], axis=1)
                found.append(pairs[pairs[:, 0] < pairs[:, 1]])
    pairs = np.unique(np.concatenate(found), axis=0)
    return pairs[:, 0], pairs[:, 1], pairs[:, 2].astype(np.uint8)


def count_bits(values: np.ndarray) -> np.ndarray:
    """How many bits of each are set: uint8, of the shape of `values`, which are uint64."""
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(values)
    return count_bits_by_adding(values)  # NumPy 1


def count_bits_by_adding(values: np.ndarray) -> np.ndarray:
    """The same by sums of pairs, of fours and of bytes (Warren, "Hacker's Delight", section 5-1)."""
    one, two, four = (np.uint64(n) for n in (1, 2, 4))
    values = values - ((values >> one) & np.uint64(0x5555_5555_5555_5555))
    threes = np.uint64(0x3333_3333_3333_3333)
    values = (values & threes) + ((values >> two) & threes)
    values = (values + (values >> four)) & np.uint64(0x0F0F_0F0F_0F0F_0F0F)
    return ((values * np.uint64(0x0101_0101_0101_0101)) >> np.uint64(56)).astype(np.uint8)


def _cells(left: np.ndarray, right: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The places in both that hold the same, for each value that both hold."""
    if not len(left):
        return
    by_left, by_right = np.argsort(left, kind="stable"), np.argsort(right, kind="stable")
    values, starts = np.unique(left[by_left], return_index=True)
    ends = np.append(starts[1:], len(left))
    lows = np.searchsorted(right[by_right], values, "left")
    highs = np.searchsorted(right[by_right], values, "right")
    for start, end, low, high in zip(starts, ends, lows, highs, strict=True):
        if high > low:
            yield by_left[start:end], by_right[low:high]

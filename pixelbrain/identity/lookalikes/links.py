"""Which photos are copies of which, and which are one burst: pairs, and stars of pairs around the best."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pixelbrain.identity.lookalikes.hashes import MIRRORED, count_bits, near_hashes
from pixelbrain.identity.lookalikes.photos import NONE, Photos
from pixelbrain.identity.neighbours import nearest_neighbours

#: Of one burst: hashes of one scene whose people moved.
_BURST_BITS = 22
NO_LEASH = 64
_NEIGHBOURS = 8
#: Sides of a copy: it was scaled, and hardly cut.
_SAME_SHAPE = 1.06


#: A pair of photos, by place, and what makes it one: `how` is "near", "mirrored", "alike" or "burst"; `bits` of their
#: hashes differ (NONE: not by them), and `similarity` is the cosine of their vectors (nan: not by them).
LINK = np.dtype([("a", np.int64), ("b", np.int64), ("how", object), ("bits", np.int64), ("similarity", float)])


def by_photo(links: np.ndarray, n: int) -> Iterator[tuple[int, np.ndarray]]:
    """Each of n photos that has links, and these, in their order: what says more comes first."""
    ends = np.concatenate([links["a"], links["b"]])
    order = np.argsort(ends, kind="stable")
    counts = np.bincount(ends, minlength=n)
    stops = np.cumsum(counts)
    for photo in np.flatnonzero(counts).tolist():
        yield photo, links[np.sort(order[stops[photo] - counts[photo] : stops[photo]] % len(links))]


def copies(photos: Photos, rank: np.ndarray, *, bits: int, cut: tuple[float, int] | None) -> np.ndarray:
    """Photos that show the same picture: scaled, compressed again, in other tones, mirrored, slightly cut.

    Args:
        rank: of `best.Judge`; whoever is linked is so to the best of those with its hash.
        bits: of 64, that may differ.
        cut: the cosine of vectors from which on photos are taken for the same, cut, and in how many bits the hashes of
            these, where both have one, may differ; None: vectors are not looked at.

    Returns:
        `LINK` (m,).
    """
    order = np.argsort(np.where(photos.hashed, rank, len(photos)))[: int(photos.hashed.sum())]  # best first
    unique, first, inverse = np.unique(photos.hashes[order], return_index=True, return_inverse=True)
    members = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1]) if len(order) else []
    best = order[first]  # of those with a hash, as they stand best first
    found = [
        (best[number], one, "near", 0, np.nan)
        for number, some in enumerate(members)
        for one in order[some]
        if one != best[number]
    ]
    for how, turned in (("near", np.uint64(0)), ("mirrored", MIRRORED)):
        left, right, differ = near_hashes(unique, bits, turned=turned)
        found += [
            (one, other, how, bit, np.nan)
            for u, v, bit in zip(left.tolist(), right.tolist(), differ.tolist(), strict=True)
            for one, other in _star(best[u], order[members[u]], best[v], order[members[v]])
        ]
    if cut is not None and photos.vectors is not None:
        found += _alike(photos, *cut)
    links = np.array(found, LINK)
    ends = links["a"], links["b"]
    shapes = [photos.width[at] / np.maximum(photos.height[at], 1) for at in ends]
    ratio = np.maximum(*shapes) / np.minimum(*shapes)
    fits = (ratio < _SAME_SHAPE) | (links["how"] == "alike")
    return links[fits & ~_another_shot(photos, *ends)]


def bursts(photos: Photos, among: np.ndarray, rank: np.ndarray, *, seconds: float) -> np.ndarray:
    """Photos that one camera took of one scene, each within so many seconds of the next: each with the best of them.

    Returns:
        `LINK` (m,).
    """
    known = among[(photos.camera[among] != NONE) & (photos.taken_ms[among] != NONE)]
    known = known[np.lexsort((known, photos.taken_ms[known], photos.camera[known]))]
    before, after = known[:-1], known[1:]
    near = (photos.camera[before] == photos.camera[after]) & (
        photos.taken_ms[after] - photos.taken_ms[before] <= 1000 * seconds
    )
    near &= photos.hashed[before] & photos.hashed[after]
    near &= count_bits(photos.hashes[before] ^ photos.hashes[after]) <= _BURST_BITS
    found: list[tuple] = []
    for run in np.split(known, np.flatnonzero(~near) + 1):
        if len(run) > 1:
            best = run[np.argmin(rank[run])]
            found += [(best, other, "burst", NONE, np.nan) for other in run[run != best]]
    return np.array(found, LINK)


def _star(best: int, some: np.ndarray, other_best: int, others: np.ndarray) -> Iterator[tuple[int, int]]:
    """The best of each side with all of the other one: whoever is chosen is one of them."""
    yield from ((best, one) for one in others.tolist())
    yield from ((one, other_best) for one in some.tolist() if one != best)


def _alike(photos: Photos, similarity: float, bits: int) -> Iterator[tuple]:
    there = np.flatnonzero(photos.vectors.any(axis=1))  # type: ignore[union-attr]
    neighbour, cosine = nearest_neighbours(photos.vectors[there], _NEIGHBOURS)  # type: ignore[index]
    row, column = np.nonzero((neighbour >= 0) & (cosine >= similarity))
    a, b = there[row], there[neighbour[row, column]]
    both = photos.hashed[a] & photos.hashed[b]
    fits = ~both | (_bits_between(photos, a, b) <= bits)
    for one, other, alike in zip(a[fits], b[fits], cosine[row, column][fits], strict=True):
        yield one, other, "alike", NONE, alike


def _another_shot(photos: Photos, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether their cameras, or the clocks of these, say that they are two photos, however alike."""
    cameras = (photos.camera[a] != NONE) & (photos.camera[b] != NONE) & (photos.camera[a] != photos.camera[b])
    times = (photos.taken_ms[a] != NONE) & (photos.taken_ms[b] != NONE) & (photos.taken_ms[a] != photos.taken_ms[b])
    return cameras | times


def within(photos: Photos, a: int, b: int, bits: int) -> bool:
    """Whether the hashes of two photos differ in so many bits at most, of one of them mirrored or not."""
    if bits >= NO_LEASH:
        return True
    return bool(photos.hashed[a] and photos.hashed[b]) and bool(_bits_between(photos, [a], [b])[0] <= bits)


def _bits_between(photos: Photos, a: np.ndarray | list[int], b: np.ndarray | list[int]) -> np.ndarray:
    """In how many bits the hashes of pairs differ, of one of them mirrored or not."""
    both = photos.hashes[a] ^ photos.hashes[b]
    return np.minimum(count_bits(both), count_bits(both ^ MIRRORED))

"""What people said about faces: which never are one person's; held by every strategy."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from pixelbrain.errors import ConfigError

#: Nobody said anything: int64 (0, 2), see `read_apart`.
NONE_APART = np.empty((0, 2), np.int64)


def read_apart(ids: Sequence[str], cannot_link: np.ndarray | None) -> np.ndarray:
    """int64 (m, 2): pairs of rows that are never one, each pair once, the lower first.

    Args:
        ids: a unique name a row.
        cannot_link: int (m, 2), row numbers: the two are never one; None: no pair.

    Raises:
        ConfigError: pairs of another shape, of rows that are not there, or of a row with itself.
    """
    if cannot_link is None or not len(cannot_link):
        return NONE_APART
    pairs = np.asarray(cannot_link)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise ConfigError(f"cannot_link is {pairs.dtype} {pairs.shape}: give row numbers, two a pair: int (m, 2)")
    if not (pairs.min() >= 0 and pairs.max() < len(ids)):
        raise ConfigError(f"cannot_link names a row outside 0 to {len(ids) - 1}: give the numbers of rows of ids")
    if (same := pairs[:, 0] == pairs[:, 1]).any():
        raise ConfigError(f"cannot_link keeps {ids[pairs[same][0, 0]]} apart from itself: take that back")
    return distinct_pairs(pairs)


def distinct_pairs(pairs: np.ndarray) -> np.ndarray:
    """int64 (m, 2), each pair once, the lower first."""
    return np.unique(np.sort(pairs, axis=1), axis=0).astype(np.int64)


def first_points(labels: np.ndarray) -> np.ndarray:
    """Name each cluster by its first point: int64 (n,), of any labels (n,)."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def chained(size: int, pairs: np.ndarray) -> np.ndarray:
    """int64 (size,): the first of all points that a chain of `pairs`, int (m, 2), links each point to."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(pairs):
        return np.arange(size, dtype=np.int64)
    matrix = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    return first_points(connected_components(matrix, directed=False)[1])


class Enemies:
    """Which clusters must not merge, while clusters do."""

    def __init__(self, apart: np.ndarray) -> None:
        self._of: dict[int, set[int]] = {}
        for a, b in apart.tolist():
            self._of.setdefault(a, set()).add(b)
            self._of.setdefault(b, set()).add(a)

    def of(self, cluster: int) -> Collection[int]:
        """Those that `cluster` must not merge with."""
        return self._of.get(cluster, ())

    def merge(self, into: int, gone: int) -> None:
        """Cluster `gone` is part of `into` from now on."""
        for other in self._of.pop(gone, ()):
            self._of[other].remove(gone)
            self._of[other].add(into)
            self._of.setdefault(into, set()).add(other)


def chained_apart(size: int, apart: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whoever is linked by a chain of pairs, as far as the pairs before leave points that are apart so.

    Args:
        size: points.
        apart: see `read_apart`.
        first: int (pairs,), the one point of each pair, the pair that counts most first.
        second: int (pairs,), the other.

    Returns:
        int64 (size,): the first point of each point's cluster.
    """
    label = chained(size, np.stack([first, second], 1))
    torn = np.unique(label[apart[label[apart[:, 0]] == label[apart[:, 1]]]])
    if not len(torn):
        return label
    within = np.isin(label, torn)  # only these are chained again, pair by pair
    parent = np.where(within, np.arange(size), label).tolist()
    enemies = Enemies(apart)

    def root(point: int) -> int:
        while parent[point] != point:
            parent[point] = parent[parent[point]]
            point = parent[point]
        return point

    some = within[first]
    for a, b in zip(first[some].tolist(), second[some].tolist(), strict=True):
        a, b = sorted((root(a), root(b)))
        if a != b and b not in enemies.of(a):
            parent[b] = a
            enemies.merge(a, b)
    return np.array([root(point) for point in range(size)], np.int64)

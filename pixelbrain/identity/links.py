"""What people said about faces: which are one person's, and which never are; held by every strategy."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pixelbrain.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Links:
    """Over points 0 to n - 1, closed: what is one is one group, and groups apart are each a pair."""

    group: np.ndarray  # int64 (n,), the first point of those that are one with it; its own number: with none
    apart: np.ndarray  # int64 (m, 2), pairs of groups, each pair once, the lower first

    @classmethod
    def none(cls, size: int) -> Links:
        """Nobody said anything about `size` points."""
        return cls(np.arange(size, dtype=np.int64), np.empty((0, 2), np.int64))

    def of_points(self, point_of: np.ndarray, size: int) -> Links:
        """The same about `size` points, of which `point_of` (n,) is each of these's: two of a point are one."""
        group = chained(size, point_of[self.bonds])
        return Links(group, _pairs_of(group[point_of[self.apart]]))

    @property
    def bonds(self) -> np.ndarray:
        """int64 (m, 2): each point that is one with an earlier one, behind the first of its group."""
        tied = np.flatnonzero(self.group != np.arange(len(self.group)))
        return np.stack([self.group[tied], tied], axis=1)


def read_links(ids: Sequence[str], must_link: np.ndarray | None, cannot_link: np.ndarray | None) -> Links:
    """The links over rows whose names are `ids`.

    Args:
        ids: a unique name a row.
        must_link: int (m, 2), row numbers: the two are one; None: no pair.
        cannot_link: int (m, 2), row numbers: the two are never one.

    Raises:
        ConfigError: pairs of another shape, or of rows that are not there; or a pair that must be one, by itself or by
            a chain of others, and cannot be.
    """
    must, cannot = (
        _read_pairs(name, pairs, len(ids)) for name, pairs in (("must_link", must_link), ("cannot_link", cannot_link))
    )
    group = chained(len(ids), must)
    both = np.flatnonzero(group[cannot[:, 0]] == group[cannot[:, 1]])
    if len(both):
        a, b = (ids[row] for row in cannot[both[0]])
        how = "" if _has(must, cannot[both[0]]) else ", by a chain of others"
        raise ConfigError(f"{a} and {b} must be one{how}, and cannot be: take one of the two back")
    return Links(group, _pairs_of(group[cannot]))


def chained(size: int, pairs: np.ndarray) -> np.ndarray:
    """int64 (size,): the first of all points that a chain of `pairs`, int (m, 2), links each point to."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(pairs):
        return np.arange(size, dtype=np.int64)
    matrix = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    _, first, inverse = np.unique(
        connected_components(matrix, directed=False)[1], return_index=True, return_inverse=True
    )
    return first[inverse.reshape(-1)].astype(np.int64)


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


def chained_apart(links: Links, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whoever is linked by a chain of pairs, as far as the pairs before leave groups that are apart so.

    Args:
        links: what people said; its groups are one, by whatever pairs.
        first: int (pairs,), the one point of each pair, the pair that counts most first.
        second: int (pairs,), the other.

    Returns:
        int64 (n,): the first point of each point's cluster.
    """
    group = links.group
    label = chained(len(group), np.concatenate([np.stack([first, second], 1), links.bonds]))
    torn = np.unique(label[links.apart[label[links.apart[:, 0]] == label[links.apart[:, 1]]]])
    if not len(torn):
        return label
    within = np.isin(label, torn)  # only these are chained again, pair by pair
    parent = np.where(within, group, label).tolist()
    enemies = Enemies(links.apart)

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
    return np.array([root(point) for point in range(len(parent))], np.int64)


def _read_pairs(name: str, pairs: np.ndarray | None, rows: int) -> np.ndarray:
    read = np.empty((0, 2), np.int64) if pairs is None or not len(pairs) else np.asarray(pairs)
    if read.ndim != 2 or read.shape[1] != 2 or not np.issubdtype(read.dtype, np.integer):
        raise ConfigError(f"{name} is {read.dtype} {read.shape}: give row numbers, two a pair: int (m, 2)")
    if len(read) and not (read.min() >= 0 and read.max() < rows):
        raise ConfigError(f"{name} names a row outside 0 to {rows - 1}: give the numbers of rows of ids")
    return read.astype(np.int64)


def _pairs_of(groups: np.ndarray) -> np.ndarray:
    return np.unique(np.sort(groups, axis=1), axis=0).astype(np.int64)


def _has(pairs: np.ndarray, pair: np.ndarray) -> bool:
    return bool((np.sort(pairs, axis=1) == np.sort(pair)).all(axis=1).any())

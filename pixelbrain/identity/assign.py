"""Vectors to clusters, whatever they show: duplicates, neighbours, clusters, and a second look at what is left."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pixelbrain.config import STRATEGIES, Strategy, choose
from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.identity.cluster import (
    average_linkage,
    dbscan,
    neighbour_graph,
    pairwise,
    row_products,
    sum_rows,
)
from pixelbrain.identity.links import distinct_pairs, first_points, read_apart
from pixelbrain.identity.neighbours import nearest_neighbours
from pixelbrain.identity.second_look import join_singles, part_unsure
from pixelbrain.landing.derived import cluster_name as cluster_name

#: (unit vectors (n, d), k) -> row numbers (n, k) and cosine similarities (n, k), as `nearest_neighbours` returns.
Neighbours = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Assignment:
    """Which cluster each row belongs to."""

    cluster: np.ndarray  # int64 (n,), the row with the smallest id of its cluster; -1: none
    distance: np.ndarray  # float32 (n,), cosine distance to the direction of the cluster's mean, 0 to 2; nan: none
    late: np.ndarray  # bool (n,), joined by `pixelbrain.identity.second_look`

    @property
    def count(self) -> int:
        """Clusters."""
        return len(np.unique(self.cluster[self.cluster >= 0]))

    def names(self, ids: Sequence[str], word: str) -> np.ndarray:
        """object (n,), what each row's cluster is called; None: it is in none. `ids` are those that were assigned."""
        names = {row: cluster_name(word, ids[row]) for row in np.unique(self.cluster).tolist() if row >= 0}
        return np.array([names.get(row) for row in self.cluster.tolist()], object)


def assign(
    ids: Sequence[str],
    vectors: np.ndarray,
    *,
    threshold: float,
    strategy: Strategy = "average",
    photos: Sequence[str] | None = None,
    min_size: int = 2,
    k: int = 20,
    second_look: bool = True,
    neighbours: Neighbours = nearest_neighbours,
    cannot_link: np.ndarray | None = None,
    guests: np.ndarray | None = None,
) -> Assignment:
    """Cluster rows by cosine similarity. The result depends on what the rows are, and not on their order.

    Args:
        ids: a unique name a row; equals are decided by it.
        vectors: float32 (n, d), of any length.
        threshold: cosine similarity, see `pixelbrain.identity.thresholds`.
        strategy: see `pixelbrain.identity.cluster`.
        photos: the photo of each row; two rows of one photo are never merged directly.
        min_size: smaller clusters are none: their rows belong to nobody.
        k: neighbours a row.
        second_look: with "average", see `pixelbrain.identity.second_look`.
        neighbours: how they are found; all pairs are compared by default.
        cannot_link: int (m, 2), pairs of row numbers that never end in one cluster, also where their vectors are equal.
        guests: bool (n,), rows that link nobody, and only join by the second look, after all others. Where a third of
            data/people was covered by what was painted over the faces, in five ways, 112 of about 150 join so, one of
            them a wrong person; as rows like others they make up to three people more.

    Raises:
        ConfigError: a value that cannot work.
        StoreError: a vector that is not finite.
    """
    choose("strategy", strategy, STRATEGIES)
    if not -1 < threshold < 1:
        raise ConfigError(f"threshold is {threshold}: a cosine similarity between -1 and 1")
    if min_size < 1 or k < 1:
        raise ConfigError(f"min_size is {min_size} and k is {k}: both are 1 or more")
    n = len(ids)
    if n == 0:
        return Assignment(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, bool))
    said = read_apart(ids, cannot_link)
    order = np.array(sorted(range(n), key=ids.__getitem__))
    said = np.argsort(order)[said]  # in the order of ids, as all from here on
    unit = unit_rows(vectors[order], [ids[row] for row in order])  # the one copy: a million of 512 are 2 GB
    photo = np.unique([photos[row] for row in order], return_inverse=True)[1] if photos else np.arange(n)

    # Copies of one photo give the same vector over and over. As one point with a weight, they leave room among the k
    # neighbours for others, and who is whose neighbour is not left to chance among equals.
    # Copies that someone set apart from another stay points of their own.
    row = np.arange(n)
    points, point_of = _distinct_rows(unit, np.where(np.isin(row, said), row, -1))
    apart = distinct_pairs(point_of[said])
    weights = np.bincount(point_of)
    whole = unit if len(points) == n else unit[points]
    indices, similarities = neighbours(whole, k)
    guest = np.zeros(n, bool) if guests is None else guests[order]
    alone = guest[points]
    if alone.any():
        similarities = np.where(alone[:, None] | alone[indices], np.float32(-2), similarities)
        weights[alone] = 1  # copies of a guest are no more than one
    graph = neighbour_graph(indices, similarities, threshold=threshold, photos=photo[points])
    if strategy == "average":
        label = average_linkage(whole, weights, graph, apart)
    elif strategy == "dbscan":
        label = dbscan(graph, weights, apart=apart)
    else:
        label = pairwise(graph, apart)
    late = np.zeros(len(points), bool)
    if strategy == "average" and second_look:
        label = part_unsure(whole, label, np.ones_like(weights), threshold=threshold)
        joined = join_singles(whole, weights, label, indices, threshold=threshold, photos=photo[points], apart=apart)
        label, late = first_points(joined), joined != label

    cluster = points[label][point_of]  # a point is the first row of its copies, and a label is a cluster's first point
    small = (np.bincount(cluster, minlength=n) < min_size) | (np.bincount(cluster, ~guest, minlength=n) == 0)
    cluster[small[cluster]] = -1
    result = Assignment(np.full(n, -1, np.int64), np.full(n, np.nan, np.float32), np.zeros(n, bool))
    result.cluster[order] = np.where(cluster >= 0, order[cluster], -1)
    result.distance[order] = _distances(unit, cluster)
    result.late[order] = late[point_of] & (cluster >= 0)
    return result


def unit_rows(vectors: np.ndarray, ids: Sequence[str]) -> np.ndarray:
    """`vectors`, their rows made of length 1 in place if they are float32; a row of zeros stays one, like no other.

    Raises:
        StoreError: a row that is not finite.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))  # np.linalg.norm takes a copy of all
    if not np.isfinite(lengths).all():
        bad = ids[int(np.flatnonzero(~np.isfinite(lengths))[0])]
        raise StoreError(f"the vector of {bad} is not finite: extract that image again")
    lengths[lengths == 0] = 1
    unit = vectors.astype(np.float32, copy=False)
    unit /= lengths[:, None]
    return unit


def _distinct_rows(rows: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first of each set of rows equal in `keys`, too, in order, and for each row its first's place among those."""
    seen: dict[tuple[bytes, int], int] = {}
    digests = (hashlib.blake2b(row, digest_size=16).digest() for row in np.ascontiguousarray(rows))
    first = [seen.setdefault(equal, row) for row, equal in enumerate(zip(digests, keys.tolist(), strict=True))]
    points, place = np.unique(np.array(first), return_inverse=True)
    return points, place


def _distances(unit: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """The cosine distance of each row to its cluster's mean; nan without one."""
    distance = np.full(len(unit), np.nan, np.float32)
    member = np.flatnonzero(cluster >= 0)
    if not len(member):
        return distance
    clusters, place = np.unique(cluster[member], return_inverse=True)
    means = sum_rows(unit, place, len(clusters), member)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.float32(1e-12))
    distance[member] = np.clip(1 - row_products(unit, means, place, member), 0, 2)
    return distance

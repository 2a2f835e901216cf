"""Clusters on a neighbour graph: average linkage, and the predecessor's DBSCAN and pairwise beside it.

Points are numbered in the order of their ids, so that equals are decided by what they are and not by when they came.
All three return a label a point: the number of the first point in its cluster.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pixelbrain.identity.links import Enemies, Links, chained_apart

_PAIRS_AT_ONCE = 65_536  # made Python tuples together
_ROWS_AT_ONCE = 20_000  # of float32 temporaries


@dataclass(frozen=True, eq=False)
class NeighbourGraph:
    """Pairs of points that are neighbours, each pair once, the most similar first."""

    size: int  # points, with a neighbour or without
    threshold: float  # the least similarity of a pair
    first: np.ndarray  # int64 (pairs,), the lower point of each pair
    second: np.ndarray  # int64 (pairs,)
    similarity: np.ndarray  # float32 (pairs,), cosine


def neighbour_graph(
    indices: np.ndarray, similarities: np.ndarray, *, threshold: float, photos: np.ndarray | None = None
) -> NeighbourGraph:
    """Join each point with its neighbours of at least `threshold`.

    No pair below it is needed: where the mean similarity of two clusters reaches the threshold, so does that of at
    least one pair across them.

    Args:
        indices: int (n, k), as `nearest_neighbours` returns; below 0: no such neighbour.
        similarities: float32 (n, k).
        threshold: cosine similarity.
        photos: int (n,), the photo of each point; two points of one photo are two people, and are not joined.
    """
    size, k = indices.shape
    point = np.repeat(np.arange(size, dtype=np.int64), k)
    other = indices.reshape(-1).astype(np.int64)
    similarity = similarities.reshape(-1)
    kept = (similarity >= threshold) & (other >= 0)
    if photos is not None:
        kept &= photos[point] != photos[other]
    point, other, similarity = point[kept], other[kept], similarity[kept]
    first, second = np.minimum(point, other), np.maximum(point, other)
    # each pair once: that A is a neighbour of B does not make B one of A's, so most but not all pairs are here twice
    _, distinct = np.unique(first * size + second, return_index=True)
    first, second, similarity = first[distinct], second[distinct], similarity[distinct]
    order = np.lexsort((second, first, -similarity))
    return NeighbourGraph(size, threshold, first[order], second[order], similarity[order])


def average_linkage(
    vectors: np.ndarray, weights: np.ndarray, graph: NeighbourGraph, links: Links | None = None
) -> np.ndarray:
    """Merge the two clusters of the highest mean similarity, again and again, while it is at least the threshold.

    A cluster is a sum vector and a count, so the mean cosine over all pairs across two clusters, neighbours or not, is
    one product: sum_a . sum_b / (n_a n_b). The graph only says which clusters are compared. A pair's similarity is
    computed again when its turn comes: merging A and B leaves (A+B, C) at no more than the higher of (A, C) and (B, C),
    so what waits in the queue with an old value is not overtaken by what it should have come before.

    Args:
        vectors: float32 (n, d), rows of unit length.
        weights: int (n,), how many faces a point stands for.
        graph: see `neighbour_graph`.
        links: its groups are there from the start, whatever their similarity, and those apart never merge.

    Returns:
        int64 (n,), see the module.
    """
    links = links or Links.none(graph.size)
    sums = vectors * weights[:, None].astype(np.float32)
    counts: list[int] = weights.tolist()
    parent: list[int] = links.group.tolist()
    for first, tied in links.bonds.tolist():
        counts[first] += counts[tied]
        sums[first] += sums[tied]
    enemies = Enemies(links.apart)

    def root(point: int) -> int:
        while parent[point] != point:
            parent[point] = parent[parent[point]]
            point = parent[point]
        return point

    # Waiting pairs are -similarity, first, second, and the size of both together when it was computed: clusters only
    # grow, so the same size is the same clusters. The graph's own pairs wait in its order and need no heap.
    heap: list[tuple[float, int, int, int]] = []
    computed: dict[tuple[int, int], int] = {}
    pairs = _pairs(graph, weights.tolist())
    following = next(pairs, None)
    while heap or following is not None:
        if following is not None and (not heap or following <= heap[0]):
            (_, a, b, size), following = following, next(pairs, None)
        else:
            _, a, b, size = heapq.heappop(heap)
        a, b = root(a), root(b)
        if a > b:
            a, b = b, a
        if a == b or b in enemies.of(a):
            continue
        now = counts[a] + counts[b]
        if now == size:  # neither has grown since: the highest mean similarity there is
            parent[b] = a
            counts[a] = now
            sums[a] += sums[b]
            enemies.merge(a, b)
        elif computed.get((a, b)) != now:  # many pairs of points lie across the same two clusters
            computed[a, b] = now
            mean = float(sums[a] @ sums[b]) / (counts[a] * counts[b])
            if mean >= graph.threshold:
                heapq.heappush(heap, (-mean, a, b, now))
    return np.array([root(point) for point in range(graph.size)], dtype=np.int64)


def dbscan(graph: NeighbourGraph, weights: np.ndarray, min_samples: int = 3, links: Links | None = None) -> np.ndarray:
    """scikit-learn's DBSCAN: points with at least `min_samples` faces at the threshold or nearer, and what they reach.

    Args:
        graph: see `neighbour_graph`.
        weights: int (n,), how many faces a point stands for.
        min_samples: faces, the point's own among them.
        links: clusters that hold two of a group become one, and one that holds groups apart is chained again by its
            pairs, the most similar first, as far as they stay apart.

    Returns:
        int64 (n,), see the module; noise is a cluster of one.
    """
    from scipy.sparse import csr_matrix
    from sklearn.cluster import DBSCAN
    from sklearn.neighbors import sort_graph_by_row_values

    if graph.size == 0:
        return np.empty(0, np.int64)
    # An entry of 0 would be taken for no entry at all. Each point is its own neighbour: DBSCAN adds that if it is not
    # there, and sort_graph_by_row_values fails on rows without an entry.
    distance = np.maximum(1.0 - graph.similarity.astype(np.float64), 1e-9)
    points = np.arange(graph.size)
    values = np.concatenate([np.full(graph.size, 1e-10), distance, distance])
    rows = np.concatenate([points, graph.first, graph.second])
    columns = np.concatenate([points, graph.second, graph.first])
    matrix = csr_matrix((values, (rows, columns)), shape=(graph.size, graph.size))
    ordered = sort_graph_by_row_values(matrix, warn_when_not_sorted=False)
    model = DBSCAN(eps=1.0 - graph.threshold + 1e-6, min_samples=min_samples, metric="precomputed")
    labels = model.fit(ordered, sample_weight=weights).labels_.astype(np.int64)
    noise = np.flatnonzero(labels < 0)
    labels[noise] = graph.size + noise
    within = labels[graph.first] == labels[graph.second]  # a cluster is what its own pairs chain
    return chained_apart(links or Links.none(graph.size), graph.first[within], graph.second[within])


def pairwise(graph: NeighbourGraph, links: Links | None = None) -> np.ndarray:
    """Whoever is linked by a chain of pairs: int64 (n,), see the module; `links`: as of `dbscan`."""
    return chained_apart(links or Links.none(graph.size), graph.first, graph.second)


def first_points(labels: np.ndarray) -> np.ndarray:
    """Name each cluster by its first point: int64 (n,), of any labels (n,)."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return first[inverse.reshape(-1)].astype(np.int64)


def sum_rows(vectors: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """float32 (count, d): the sum of the rows of each group; `groups` int (n,), below `count`."""
    from scipy.sparse import csr_matrix

    n = len(vectors)
    members = csr_matrix((np.ones(n, np.float32), (groups, np.arange(n))), shape=(count, n))
    return members @ vectors


def row_products(vectors: np.ndarray, others: np.ndarray, which: np.ndarray) -> np.ndarray:
    """float32 (n,): of each row with `others[which]`, a block at a time."""
    products = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        products[some] = np.einsum("nd,nd->n", vectors[some], others[which[some]])
    return products


def _pairs(graph: NeighbourGraph, counts: list[int]) -> Iterator[tuple[float, int, int, int]]:
    """The graph's pairs in its order, as `average_linkage` queues them; `counts` are those of the points alone."""
    for start in range(0, len(graph.first), _PAIRS_AT_ONCE):
        some = slice(start, start + _PAIRS_AT_ONCE)
        first, second = graph.first[some].tolist(), graph.second[some].tolist()
        for a, b, similarity in zip(first, second, graph.similarity[some].tolist(), strict=True):
            yield -similarity, a, b, counts[a] + counts[b]

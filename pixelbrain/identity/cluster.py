"""Clusters on a neighbour graph: average linkage, and the predecessor's DBSCAN and pairwise beside it.

Points are numbered in the order of their ids, so that equals are decided by what they are and not by when they came.
All three return a label a point: the number of the first point in its cluster.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pixelbrain.identity.links import NONE_APART, chained_apart, first_points

_THRESHOLDS = 32  # from the highest similarity down
_ONE_BY_ONE = 20_000  # points; up to here linkage is the textbook's
_FAR_SMALLER = 1 / 8  # of the faces of a cluster
# Of the threshold's cosine distance, for two faces of one photo: nine in ten pairs of one person's photos (dlib, on
# data/people) are farther from each other, and so were all pairs of two people that we have met.
_ONE_IN_A_PHOTO = 0.4
_NEVER = -9.0  # below every cosine: a pair that is one cluster by now, or never will be
_ROWS_AT_ONCE = 20_000  # of float32 temporaries
_FEW_ROWS = 4_096  # are added up by NumPy, in less than the .3 s that SciPy takes to be imported: an edit's


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
        photos: int (n,), the photo of each point; two points of one photo are two people, and are not joined, unless
            they are far more alike than the threshold: a strip of a photo booth, a collage, a mirror.
    """
    size, k = indices.shape
    point = np.repeat(np.arange(size, dtype=np.int64), k)
    other = indices.reshape(-1).astype(np.int64)
    similarity = similarities.reshape(-1)
    kept = (similarity >= threshold) & (other >= 0)
    if photos is not None:
        kept &= (photos[point] != photos[other]) | (similarity >= 1 - _ONE_IN_A_PHOTO * (1 - threshold))
    point, other, similarity = point[kept], other[kept], similarity[kept]
    first, second = np.minimum(point, other), np.maximum(point, other)
    # each pair once: that A is a neighbour of B does not make B one of A's, so most but not all pairs are here twice
    _, distinct = np.unique(first * size + second, return_index=True)
    first, second, similarity = first[distinct], second[distinct], similarity[distinct]
    order = np.lexsort((second, first, -similarity))
    return NeighbourGraph(size, threshold, first[order], second[order], similarity[order])


def average_linkage(
    vectors: np.ndarray, weights: np.ndarray, graph: NeighbourGraph, apart: np.ndarray = NONE_APART
) -> np.ndarray:
    """Merge the two clusters of the highest mean similarity, again and again, while it is at least the threshold.

    A cluster is a sum vector and a count, so the mean cosine over all pairs across two clusters, neighbours or not, is
    one product: sum_a . sum_b / (n_a n_b). The graph only says which clusters are compared.

    Clusters that are each other's nearest merge all at once: merging A and B leaves (A+B, C) at no more than the higher
    of (A, C) and (B, C), so no other order gives another result. (Of more than `_ONE_BY_ONE` points, a cluster takes in
    far smaller ones together, too, whose nearest it is: one at a time, thousands of rounds give the same but for one
    pair in 2,000.) By the same bound a pair's old similarity will do until a falling threshold reaches it.

    Args:
        vectors: float32 (n, d), rows of unit length.
        weights: int (n,), how many faces a point stands for.
        apart: int (m, 2), pairs of points that never end in one cluster.

    Returns:
        int64 (n,), see the module.
    """
    n = graph.size
    clusters = _Clusters(vectors * weights[:, None].astype(np.float32), weights.astype(np.int64), np.arange(n), apart)
    first, second, similarity = graph.first.copy(), graph.second.copy(), graph.similarity.copy()
    size = weights[first] + weights[second]  # when the similarity was computed: the same size is the same clusters
    top = float(similarity[0]) if len(similarity) else graph.threshold
    for least in np.linspace(top, graph.threshold, _THRESHOLDS, dtype=np.float32):
        while len(pairs := np.flatnonzero(similarity >= least)):
            a, b = clusters.label[first[pairs]], clusters.label[second[pairs]]
            a, b = np.minimum(a, b), np.maximum(a, b)
            key = a * n + b
            _, once = np.unique(key, return_index=True)
            once = once[(a[once] != b[once]) & ~np.isin(key[once], clusters.rivals())]
            gone = np.ones(len(pairs), bool)
            gone[once] = False
            similarity[pairs[gone]] = _NEVER
            pairs, a, b, key = pairs[once], a[once], b[once], key[once]
            now = clusters.counts[a] + clusters.counts[b]
            old = np.flatnonzero(size[pairs] != now)
            similarity[pairs[old]] = clusters.mean_similarity(a[old], b[old])
            first[pairs], second[pairs], size[pairs] = a, b, now
            kept = similarity[pairs] >= least
            if not kept.any():
                break
            clusters.merge(*_to_merge(a[kept], b[kept], key[kept], similarity[pairs[kept]], clusters))
        waiting = similarity > _NEVER
        first, second, similarity, size = first[waiting], second[waiting], similarity[waiting], size[waiting]
    return first_points(clusters.label)


@dataclass(eq=False)
class _Clusters:
    """What `average_linkage` merges; a cluster has the number of one of its points."""

    sums: np.ndarray  # float32 (n, d)
    counts: np.ndarray  # int64 (n,), faces
    label: np.ndarray  # int64 (n,), the cluster of each point
    apart: np.ndarray  # int64 (m, 2), points

    def rivals(self) -> np.ndarray:
        """int64 (m,): the lower of two clusters that never merge, times n, and the higher."""
        pairs = np.sort(self.label[self.apart], axis=1)
        return pairs[:, 0] * len(self.label) + pairs[:, 1]

    def mean_similarity(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return row_products(self.sums, self.sums, b, a) / (self.counts[a] * self.counts[b]).astype(np.float32)

    def merge(self, gone: np.ndarray, into: np.ndarray) -> None:
        """Add clusters to others, of which none is `gone` itself."""
        grown, place = np.unique(into, return_inverse=True)
        self.sums[grown] += sum_rows(self.sums, place, len(grown), gone)
        np.add.at(self.counts, into, self.counts[gone])
        renamed = np.arange(len(self.label))
        renamed[gone] = into
        self.label = renamed[self.label]


def _to_merge(
    a: np.ndarray, b: np.ndarray, key: np.ndarray, similarity: np.ndarray, clusters: _Clusters
) -> tuple[np.ndarray, np.ndarray]:
    """Of pairs of clusters, those to merge at once: int64 (m,) clusters, and (m,) which each is added to."""
    n = len(clusters.label)
    best = np.full(n, _NEVER, np.float32)
    np.maximum.at(best, a, similarity)
    np.maximum.at(best, b, similarity)
    nearest = np.full(n, n * n)  # the key of each cluster's best pair, the lower among equals
    for end in (a, b):
        equal = similarity == best[end]
        np.minimum.at(nearest, end[equal], key[equal])
    larger = clusters.counts[a] >= clusters.counts[b]
    into, gone = np.where(larger, a, b), np.where(larger, b, a)
    is_nearest = nearest[gone] == key
    mutual = is_nearest & (nearest[into] == key)
    if n <= _ONE_BY_ONE:
        return gone[mutual], into[mutual]

    # Whatever is apart from another is left to mutual pairs, of which a cluster is in one at a time.
    free = np.ones(n, bool)
    free[clusters.label[clusters.apart]] = False
    counts = clusters.counts
    taken = is_nearest & (counts[gone] <= _FAR_SMALLER * counts[into]) & free[gone]
    mutual &= ~taken
    still = np.ones(n, bool)  # what takes others in is not itself merged in this round
    still[np.concatenate([a[mutual], b[mutual], gone[taken]])] = False
    some = np.flatnonzero(taken & still[into])
    some = some[np.lexsort((gone[some], -similarity[some], into[some]))]
    total = np.cumsum(counts[gone[some]])
    start = np.flatnonzero(np.diff(into[some], prepend=-1))
    before = np.repeat(total[start] - counts[gone[some[start]]], np.diff(start, append=len(some)))
    some = some[total - before <= _FAR_SMALLER * counts[into[some]]]  # all together are far smaller, too
    chosen = np.concatenate([np.flatnonzero(mutual), some])
    return gone[chosen], into[chosen]


def dbscan(
    graph: NeighbourGraph, weights: np.ndarray, min_samples: int = 3, apart: np.ndarray = NONE_APART
) -> np.ndarray:
    """scikit-learn's DBSCAN: points with at least `min_samples` faces at the threshold or nearer, and what they reach.

    Args:
        weights: int (n,), how many faces a point stands for.
        min_samples: faces, the point's own among them.
        apart: int (m, 2), points; a cluster that holds a pair of them is chained again by its own pairs, the most
            similar first, as far as they stay apart.

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
    return chained_apart(graph.size, apart, graph.first[within], graph.second[within])


def pairwise(graph: NeighbourGraph, apart: np.ndarray = NONE_APART) -> np.ndarray:
    """Whoever is linked by a chain of pairs: int64 (n,), see the module; `apart`: as of `dbscan`."""
    return chained_apart(graph.size, apart, graph.first, graph.second)


def sum_rows(
    vectors: np.ndarray,
    groups: np.ndarray,
    count: int,
    rows: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """float32 (count, d): the sum of the rows, or of `rows`, of each group, without a copy of them.

    Args:
        vectors: float32 (n, d).
        groups: int (m,), below `count`, of each of `rows`.
        count: groups.
        rows: int (m,), row numbers; None: all.
        weights: (m,), what each is multiplied with; None: 1.
    """
    rows = np.arange(len(vectors)) if rows is None else rows
    weights = np.ones(len(rows)) if weights is None else weights
    if len(rows) <= _FEW_ROWS:
        sums = np.zeros((count, vectors.shape[1]), np.float32)
        for at in np.argsort(rows, kind="stable").tolist():  # in SciPy's order, so that the sums are the same ones
            sums[groups[at]] += np.float32(weights[at]) * vectors[rows[at]]
        return sums
    from scipy.sparse import csr_matrix

    members = csr_matrix((weights.astype(np.float32), (groups, rows)), shape=(count, len(vectors)))
    return members @ vectors


def row_products(
    vectors: np.ndarray, others: np.ndarray, which: np.ndarray, rows: np.ndarray | None = None
) -> np.ndarray:
    """float32 (n,): of each row, or each of `rows`, with `others[which]`, a block at a time."""
    products = np.empty(len(which), np.float32)
    for start in range(0, len(which), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        of = vectors[some] if rows is None else vectors[rows[some]]
        products[some] = np.einsum("nd,nd->n", of, others[which[some]])
    return products

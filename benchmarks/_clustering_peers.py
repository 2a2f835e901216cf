"""What others do with the same neighbours: DBSCAN, HDBSCAN, Chinese whispers, connected components.

Thresholds were chosen by pairwise F on other faces: 100,000 of seed 1 (HDBSCAN: 8,000), of 0.45 to 0.8 by 0.05.
"""

from __future__ import annotations

import numpy as np

__all__ = ["PEERS"]

DBSCAN_THRESHOLD, DBSCAN_MIN_SAMPLES = 0.6, 5
COMPONENTS_THRESHOLD = 0.65
WHISPERS_THRESHOLD, WHISPERS_ROUNDS = 0.5, 20
HDBSCAN_MIN_CLUSTER, HDBSCAN_MIN_SAMPLES = 3, 3


def dbscan(indices: np.ndarray, similarities: np.ndarray) -> np.ndarray:
    """scikit-learn's, on the neighbours of at least the threshold; each returns int (n,), noise each alone."""
    from pixelbrain.identity.cluster import dbscan, neighbour_graph

    graph = neighbour_graph(indices, similarities, threshold=DBSCAN_THRESHOLD)
    return dbscan(graph, np.ones(graph.size, np.int64), DBSCAN_MIN_SAMPLES)


def connected_components(indices: np.ndarray, similarities: np.ndarray) -> np.ndarray:
    """SciPy's."""
    from pixelbrain.identity.cluster import neighbour_graph, pairwise

    return pairwise(neighbour_graph(indices, similarities, threshold=COMPONENTS_THRESHOLD))


def hdbscan(indices: np.ndarray, similarities: np.ndarray) -> np.ndarray:
    """scikit-learn's. It wants a connected graph: rows beside each other get a distance that no face has."""
    from scipy.sparse import csr_array
    from sklearn.cluster import HDBSCAN

    n, k = indices.shape
    point, other = np.repeat(np.arange(n), k)[indices.reshape(-1) >= 0], indices[indices >= 0]
    distance = np.maximum(1 - similarities[indices >= 0].astype(np.float64), 1e-9)
    chain = np.arange(n - 1)
    rows, columns = np.concatenate([point, other, chain, chain + 1]), np.concatenate([other, point, chain + 1, chain])
    values = np.concatenate([distance, distance, np.full(2 * n - 2, 2.0)])
    order = np.lexsort((values, columns, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    nearest = np.append(True, (np.diff(rows) != 0) | (np.diff(columns) != 0))
    graph = csr_array((values[nearest], (rows[nearest], columns[nearest])), shape=(n, n))
    model = HDBSCAN(
        min_cluster_size=HDBSCAN_MIN_CLUSTER, min_samples=HDBSCAN_MIN_SAMPLES, metric="precomputed", copy=True
    )
    labels = model.fit(graph).labels_
    return np.where(labels >= 0, labels, n + np.arange(n))


def chinese_whispers(indices: np.ndarray, similarities: np.ndarray) -> np.ndarray:
    """Each face takes the label that most of its neighbours have, by similarity; an eighth of all at a time."""
    from pixelbrain.identity.cluster import neighbour_graph
    from pixelbrain.identity.links import first_points

    graph = neighbour_graph(indices, similarities, threshold=WHISPERS_THRESHOLD)
    n = graph.size
    point, other = np.concatenate([graph.first, graph.second]), np.concatenate([graph.second, graph.first])
    weight, turn = np.tile(graph.similarity, 2), np.random.default_rng(0).integers(0, 8, n)
    labels = np.arange(n)
    for _ in range(WHISPERS_ROUNDS):
        before = labels.copy()
        for part in range(8):
            some = turn[point] == part
            pairs, place = np.unique(point[some] * n + labels[other[some]], return_inverse=True)
            votes = np.bincount(place.reshape(-1), weight[some], len(pairs))
            voter, label = np.divmod(pairs, n)
            order = np.lexsort((label, -votes, voter))
            most = order[np.flatnonzero(np.diff(voter[order], prepend=-1))]
            labels[voter[most]] = label[most]
        if np.array_equal(labels, before):
            break
    return first_points(labels)


PEERS = {
    "dbscan": dbscan,
    "hdbscan": hdbscan,
    "whispers": chinese_whispers,
    "components": connected_components,
}

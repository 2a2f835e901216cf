import numpy as np
import pytest

from pixelbrain.identity import cluster
from pixelbrain.identity.cluster import (
    NeighbourGraph,
    average_linkage,
    dbscan,
    neighbour_graph,
    pairwise,
    sum_rows,
)
from pixelbrain.identity.evaluate import score_clusters
from pixelbrain.identity.links import first_points
from pixelbrain.identity.neighbours import nearest_neighbours


def _graph(vectors: np.ndarray, threshold: float, photos: np.ndarray | None = None) -> NeighbourGraph:
    return neighbour_graph(*nearest_neighbours(vectors, len(vectors)), threshold=threshold, photos=photos)


def _link(vectors: np.ndarray, threshold: float, photos: np.ndarray | None = None) -> np.ndarray:
    return average_linkage(vectors, np.ones(len(vectors), int), _graph(vectors, threshold, photos))


def _fan(*degrees: float) -> np.ndarray:
    """Unit vectors in a plane, at these angles."""
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def _naive_average_linkage(vectors: np.ndarray, threshold: float) -> set[frozenset[int]]:
    """Merge the best pair of all, by all pairs' mean cosine, until none is left."""
    similarity = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    clusters = np.eye(len(vectors))  # a row each: whom it has
    while True:
        sizes = clusters.sum(axis=1)
        means = np.triu(clusters @ similarity @ clusters.T / np.outer(sizes, sizes) + 2, 1)  # above 0
        i, j = divmod(int(means.argmax()), len(clusters))
        if means[i, j] - 2 < threshold:
            return {frozenset(np.flatnonzero(cluster).tolist()) for cluster in clusters}
        clusters[i] += clusters[j]
        clusters = np.delete(clusters, j, axis=0)


def _sets(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


@pytest.mark.parametrize("threshold", [-0.5, 0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_average_linkage_is_the_textbook_one_on_a_whole_graph(threshold, seed):
    rows = np.random.default_rng(seed).standard_normal((40, 6)).astype(np.float32)
    vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert _sets(_link(vectors, threshold)) == _naive_average_linkage(vectors, threshold)


def test_many_points_take_in_far_smaller_ones_together_and_mean_the_same(monkeypatch, people):
    vectors = people(2, 500, noise=1.2)
    rounds = []
    to_merge = cluster._to_merge
    monkeypatch.setattr(cluster, "_to_merge", lambda *given: rounds.append(to_merge(*given)) or rounds[-1])
    one_by_one = _link(vectors, 0.35)
    assert np.bincount(one_by_one).max() > 450
    assert all(np.bincount(into).max() == 1 for _, into in rounds)
    rounds.clear()
    monkeypatch.setattr(cluster, "_ONE_BY_ONE", 0)
    together = _link(vectors, 0.35)
    assert score_clusters(one_by_one, together).pair_f > 0.99
    assert max(np.bincount(into).max() for _, into in rounds) > 3


def test_a_chain_is_one_for_pairwise_and_dbscan_and_not_for_average_linkage():
    chain = _fan(*range(0, 180, 10))  # each 10 degrees from the next, the ends look opposite ways
    graph = _graph(chain, 0.95)
    assert len(np.unique(pairwise(graph))) == 1
    assert len(np.unique(dbscan(graph, np.ones(18, int), 3))) == 1
    labels = _link(chain, 0.95)
    assert len(np.unique(labels)) > 4
    for members in _sets(labels):
        assert max(members) - min(members) == len(members) - 1 <= 3


def test_clusters_are_named_by_their_first_point():
    labels = _link(_fan(0, 90, 1, 91, 180), 0.9)
    assert labels.tolist() == [0, 1, 0, 1, 4]
    assert first_points(np.array([7, 3, 7, -1])).tolist() == [0, 1, 0, 3]


@pytest.mark.parametrize("strategy", ["average", "dbscan", "pairwise"])
def test_a_permutation_changes_nothing(people, strategy):
    vectors = people(6, 8, noise=1.0)
    order = np.random.default_rng(3).permutation(len(vectors))

    def cluster(rows: np.ndarray) -> np.ndarray:
        graph = neighbour_graph(*nearest_neighbours(rows, 10), threshold=0.4)
        ones = np.ones(len(rows), int)
        if strategy == "average":
            return average_linkage(rows, ones, graph)
        return dbscan(graph, ones) if strategy == "dbscan" else pairwise(graph)

    straight = _sets(cluster(vectors))
    shuffled = {frozenset(order[list(members)].tolist()) for members in _sets(cluster(vectors[order]))}
    assert shuffled == straight
    assert len(straight) > 1


def test_faces_of_one_photo_are_not_merged_directly_unless_far_more_alike_than_the_threshold():
    pair, copies = _fan(0, 20), _fan(0, 15)  # 0.060 and 0.034 apart; the threshold is 0.1
    one, another = np.array([5, 5]), np.array([5, 6])
    assert _link(pair, 0.9, photos=another).tolist() == [0, 0]
    assert _link(pair, 0.9, photos=one).tolist() == [0, 1]
    assert pairwise(_graph(pair, 0.9, one)).tolist() == [0, 1]
    assert _link(copies, 0.9, photos=one).tolist() == [0, 0]


def test_weights_count_as_so_many_faces():
    vectors = _fan(0, 30, 60)
    graph = _graph(vectors, 0.6)
    # equally far from both: the lower pair comes first, and then the mean decides
    assert average_linkage(vectors, np.array([1, 1, 1]), graph).tolist() == [0, 0, 0]
    assert average_linkage(vectors, np.array([50, 1, 1]), graph).tolist() == [0, 0, 2]


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_compare(n):
    vectors = _fan(*range(n)).reshape(n, 2)
    graph = neighbour_graph(np.empty((n, 0), np.int32), np.empty((n, 0), np.float32), threshold=0.5)
    ones = np.ones(n, int)
    for labels in (average_linkage(vectors, ones, graph), dbscan(graph, ones), pairwise(graph)):
        assert labels.dtype == np.int64
        assert labels.tolist() == list(range(n))


def test_all_identical():
    vectors = np.repeat(_fan(20), 50, axis=0)
    graph = neighbour_graph(*nearest_neighbours(vectors, 5), threshold=0.9)
    ones = np.ones(50, int)
    for labels in (average_linkage(vectors, ones, graph), dbscan(graph, ones), pairwise(graph)):
        assert np.array_equal(labels, np.zeros(50))


def test_the_graph_holds_each_pair_once_and_the_most_similar_first():
    graph = _graph(_fan(0, 10, 25, 90), 0.5)
    assert list(zip(graph.first, graph.second, strict=True)) == [(0, 1), (1, 2), (0, 2)]
    assert (np.diff(graph.similarity) <= 0).all()
    assert len(_graph(_fan(0, 10, 25, 90), 0.95).first) == 2


def test_dbscan_leaves_noise_alone():
    labels = dbscan(_graph(_fan(0, 1, 2, 90, 91), 0.9), np.ones(5, int), 3)
    assert labels.tolist() == [0, 0, 0, 3, 4]  # two are too few
    assert dbscan(_graph(_fan(0, 90), 0.9), np.array([3, 1]), 3).tolist() == [0, 1]


def test_few_rows_are_added_up_as_many_are(monkeypatch):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((90, 16), dtype=np.float32)
    groups, rows, weights = rng.integers(0, 7, 60), rng.permutation(90)[:60], rng.integers(1, 9, 60)
    few = sum_rows(vectors, groups, 8, rows, weights)
    monkeypatch.setattr(cluster, "_FEW_ROWS", 0)
    np.testing.assert_allclose(few, sum_rows(vectors, groups, 8, rows, weights), rtol=1e-5)
    np.testing.assert_allclose(few[3], (vectors[rows] * weights[:, None])[groups == 3].sum(axis=0), rtol=1e-4)
    assert not few[7].any()

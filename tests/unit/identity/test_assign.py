import numpy as np
import pytest

from benchmarks.synthetic_faces import make_faces
from pixelbrain.config import STRATEGIES
from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.identity.assign import assign
from pixelbrain.identity.evaluate import count_mixed, score_clusters
from pixelbrain.identity.neighbours import nearest_neighbours


def _names(n: int) -> list[str]:
    return [f"file:///photo-{row:04}.jpg#0" for row in range(n)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_people_are_found(people, strategy):
    result = assign(_names(40), people(5, 8), threshold=0.5, strategy=strategy)
    assert result.cluster.tolist() == np.repeat(np.arange(0, 40, 8), 8).tolist()
    assert result.count == 5
    assert (result.distance > 0).all() and (result.distance < 0.4).all()
    assert not result.late.any()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_order_of_the_rows_does_not_matter(people, strategy):
    vectors = people(5, 8, noise=0.9)
    names = _names(40)
    straight = assign(names, vectors, threshold=0.5, strategy=strategy, k=6)
    order = np.random.default_rng(1).permutation(40)
    shuffled = assign([names[row] for row in order], vectors[order], threshold=0.5, strategy=strategy, k=6)
    back = np.where(shuffled.cluster >= 0, order[shuffled.cluster], -1)
    assert np.array_equal(back, straight.cluster[order])
    assert np.allclose(shuffled.distance, straight.distance[order], atol=1e-6, equal_nan=True)


def test_twice_is_the_same(people):
    vectors = people(5, 8, noise=1.0)
    first, second = (assign(_names(40), vectors, threshold=0.4) for _ in range(2))
    assert np.array_equal(first.cluster, second.cluster)
    assert np.array_equal(first.distance, second.distance, equal_nan=True)


def test_length_does_not_matter(people):
    vectors = people(3, 4)
    lengths = np.linspace(0.1, 9, 12, dtype=np.float32)[:, None]
    assert np.array_equal(
        assign(_names(12), vectors * lengths, threshold=0.5).cluster, assign(_names(12), vectors, threshold=0.5).cluster
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_rows_and_one_row(strategy):
    none = assign([], np.empty((0, 1), np.float32), threshold=0.5, strategy=strategy)
    assert len(none.cluster) == 0 and none.count == 0
    one = assign(["a"], np.ones((1, 4), np.float32), threshold=0.5, strategy=strategy)
    assert one.cluster.tolist() == [-1] and one.count == 0 and np.isnan(one.distance).all()
    kept = assign(["a"], np.ones((1, 4), np.float32), threshold=0.5, strategy=strategy, min_size=1)
    assert kept.cluster.tolist() == [0]
    assert kept.distance.tolist() == pytest.approx([0], abs=1e-6)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_copies_are_one_cluster_however_many(strategy):
    """Copies beyond k neighbours would fall apart, and would hide the others from each other."""
    vectors = np.concatenate([np.tile([1.0, 0.0], (50, 1)), np.tile([0.99, 0.1], (50, 1))]).astype(np.float32)
    result = assign(_names(100), vectors, threshold=0.9, strategy=strategy, k=3)
    assert result.cluster.tolist() == [0] * 100


def _spread(vectors: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    """The same, each moved by about `noise` of its length in a direction of its own."""
    moved = vectors + np.random.default_rng(seed).standard_normal(vectors.shape) * noise / np.sqrt(vectors.shape[1])
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


def _table(people) -> dict[str, tuple[np.ndarray, list[str] | None, list[int]]]:
    """What collections hold besides photos of one person each: vectors, photos, and whose they are; -1: nobody's."""
    two = people(2, 6)
    thousand = np.concatenate([np.tile(two[:1], (1000, 1)), two[1:]])
    burst = np.concatenate([_spread(np.tile(two[:1], (60, 1)), 0.02), two[1:]])
    # each of two clusters is as near to the last row, and it is nobody's: no order decides
    tie = np.concatenate([_turned(*[0.0] * 3), _turned(*[60.0] * 3), _turned(30)])
    # the nearest faces of twins are alike enough, and the mean over all pairs is not
    twins = _spread(np.repeat(_turned(0, 33), 8, axis=0), 0.13)
    pairs = np.tile(two[[0, 6]], (30, 1))
    return {
        "a thousand copies": (thousand, None, [0] * 1005 + [1005] * 6),
        "a burst of more than k": (burst, None, [0] * 65 + [65] * 6),
        "a tie": (tie, None, [0, 0, 0, 3, 3, 3, -1]),
        "twins": (twins, None, [0] * 8 + [8] * 8),
        "copies of a couple": (pairs, [f"p{row // 2}" for row in range(60)], [0, 1] * 30),
    }


@pytest.mark.parametrize(
    "case", ["a thousand copies", "a burst of more than k", "a tie", "twins", "copies of a couple"]
)
def test_what_collections_hold_in_any_order(people, case):
    vectors, photos, whose = _table(people)[case]
    n, threshold = len(vectors), {"a tie": 0.88, "twins": 0.86}.get(case, 0.5)
    names = _names(n)
    assert assign(names, vectors, threshold=threshold, photos=photos, k=20).cluster.tolist() == whose
    order = np.random.default_rng(1).permutation(n)
    shuffled = assign(
        [names[row] for row in order],
        vectors[order],
        threshold=threshold,
        photos=[photos[row] for row in order] if photos else None,
        k=20,
    )
    assert np.where(shuffled.cluster >= 0, order[shuffled.cluster], -1).tolist() == np.array(whose)[order].tolist()


def test_a_guest_links_nobody_and_joins_who_is_clearly_nearest(people):
    vectors = people(3, 4)
    guests = np.zeros(12, bool)
    guests[[3, 8, 9, 10, 11]] = True  # one of four, and a person whose faces are all guests, two of them equal
    vectors[9] = vectors[8]
    result = assign(_names(12), vectors, threshold=0.5, guests=guests)
    assert result.cluster.tolist() == [0] * 4 + [4] * 4 + [-1] * 4
    assert np.flatnonzero(result.late).tolist() == [3]
    assert assign(_names(12), vectors, threshold=0.5, guests=guests, min_size=1).cluster[8:].tolist() == [-1] * 4
    bridge = np.concatenate([_turned(0, 1, 2), _turned(40, 41, 42), _turned(19, 21, 23)])
    chained = assign(_names(9), bridge, threshold=0.9, strategy="pairwise")
    apart = assign(_names(9), bridge, threshold=0.9, strategy="pairwise", guests=np.arange(9) > 5)
    assert (chained.count, apart.count) == (1, 2)


def test_rows_of_zeros_are_like_nothing():
    vectors = np.array([[0, 0], [0, 0], [1, 0], [1, 0.01]], np.float32)
    result = assign(["a", "b", "c", "d"], vectors, threshold=0.5)
    assert result.cluster.tolist() == [0, 0, 2, 2]  # equal, so one; and nobody else


def test_faces_of_one_photo_stay_apart(people):
    vectors = people(1, 2)
    assert assign(["p#0", "p#1"], vectors, threshold=0.5, photos=["p", "p"]).count == 0
    assert assign(["p#0", "q#0"], vectors, threshold=0.5, photos=["p", "q"]).count == 1


def _turned(*degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def test_a_single_row_joins_the_cluster_that_is_clearly_nearest():
    # linkage at cosine 0.9: the last is at 1 - cos(27 degrees) = 0.109 from the three, the threshold at 0.1
    near = _turned(0, 0.1, 0.2, 27.1)
    assert assign(list("abcd"), near, threshold=0.9, second_look=False).cluster.tolist() == [0, 0, 0, -1]
    found = assign(list("abcd"), near, threshold=0.9)
    assert found.cluster.tolist() == [0, 0, 0, 0]
    assert found.late.tolist() == [False, False, False, True]

    far = _turned(0, 0.1, 0.2, 29.1)
    assert assign(list("abcd"), far, threshold=0.9).cluster.tolist() == [0, 0, 0, -1]
    between = _turned(0, 0.1, 0.2, 27.1, 54.0, 54.1, 54.2)
    assert assign(list("abcdefg"), between, threshold=0.9).cluster.tolist() == [0, 0, 0, -1, 4, 4, 4]
    two = _turned(0, 0.1, 27.1)
    assert assign(list("abc"), two, threshold=0.9).cluster.tolist() == [0, 0, -1]
    of_one_photo = assign(list("abcd"), near, threshold=0.9, photos=["1", "2", "3", "1"])
    assert of_one_photo.cluster.tolist() == [0, 0, 0, -1]


def test_a_small_cluster_of_faces_that_are_hardly_alike_falls_apart():
    # at a threshold of 0.9 a pair is to be within 0.085: 23.8 degrees
    assert assign(list("ab"), _turned(0, 23.7), threshold=0.9).cluster.tolist() == [0, 0]
    assert assign(list("ab"), _turned(0, 23.9), threshold=0.9).cluster.tolist() == [-1, -1]
    assert assign(list("ab"), _turned(0, 23.9), threshold=0.9, second_look=False).cluster.tolist() == [0, 0]
    # copies say nothing more of how alike two are, and stay together
    copies = assign(list("abcd"), _turned(0, 0, 23.9, 23.9), threshold=0.9)
    assert copies.cluster.tolist() == [0, 0, 2, 2]


def test_few_people_found_among_synthetic_faces_are_mixed():
    faces = make_faces(4000, seed=5)
    good = np.flatnonzero(~faces.blurred)

    def mixed(second_look: bool) -> tuple[int, int]:
        found = assign(_names(len(good)), faces.vectors[good], threshold=0.45, second_look=second_look)
        return count_mixed(faces.person[good], np.where(found.cluster >= 0, found.cluster, np.arange(len(good))))

    (people, wrong), (unsure, more) = mixed(True), mixed(False)
    assert wrong / people < 0.01 < 0.03 < more / unsure


def test_a_cluster_is_named_by_its_smallest_id_also_when_that_one_came_late():
    found = assign(list("dcba"), _turned(0, 0.1, 0.2, 27.1), threshold=0.9)
    assert found.cluster.tolist() == [3, 3, 3, 3]


def test_synthetic_faces_of_two_thousand():
    faces = make_faces(2000, seed=1)
    good = np.flatnonzero(~faces.blurred)
    found = assign(_names(len(good)), faces.vectors[good], threshold=0.45)
    cluster = np.where(found.cluster >= 0, found.cluster, np.arange(len(good)))
    scores = score_clusters(faces.person[good], cluster)
    assert scores.pair_f > 0.97 and scores.pair_p > 0.99
    assert scores.bcubed_f > 0.97
    chained = assign(_names(len(good)), faces.vectors[good], threshold=0.45, strategy="pairwise")
    cluster = np.where(chained.cluster >= 0, chained.cluster, np.arange(len(good)))
    assert score_clusters(faces.person[good], cluster).pair_f < scores.pair_f


def test_other_neighbours_may_be_given(people):
    asked, vectors = [], people(1, 3)

    def find(rows, k):
        asked.append((rows, k))
        return nearest_neighbours(rows, k)

    result = assign(["c", "b", "a"], vectors, threshold=0.5, k=2, neighbours=find)
    assert result.count == 1
    ((rows, k),) = asked
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert k == 2 and np.allclose(rows, unit[::-1])  # in the order of their ids


@pytest.mark.parametrize(
    "settings", [{"threshold": 1.5}, {"threshold": 0.5, "min_size": 0}, {"threshold": 0.5, "strategy": "kmeans"}]
)
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(ConfigError):
        assign(["a"], np.ones((1, 2), np.float32), **settings)


def test_a_vector_that_is_not_finite_is_named():
    vectors = np.array([[1, 0], [np.nan, 0]], np.float32)
    with pytest.raises(StoreError, match="of b is not finite"):
        assign(["a", "b"], vectors, threshold=0.5)

import numpy as np
import pytest

from benchmarks.synthetic_faces import make_faces
from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.identity.assign import assign
from pixelbrain.identity.cluster import sum_rows
from pixelbrain.identity.evaluate import score_clusters
from pixelbrain.identity.growth import grow


def _turned(*degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def _names(n: int) -> list[str]:
    return [f"face-{row:05}" for row in range(n)]


def test_new_faces_join_whom_they_touch_or_each_other_or_nobody():
    sums, counts = _turned(0, 90, 300) * np.array([[10], [1], [4]], np.float32), np.array([10, 1, 4])
    grown = grow(list("abcdef"), _turned(5, 95, 180, 181, 230, 26.5), sums, counts, threshold=0.9)
    # rows: three known, then a to f; b makes a person of the one face at 90; f is a little beyond, and late
    assert grown.cluster.tolist() == [0, 1, 2, 0, 1, 5, 5, -1, 0]
    assert grown.late.tolist() == [False] * 5 + [True]
    assert grown.touched.tolist() == [0, 1]


def test_what_is_apart_stays_apart():
    sums, counts = _turned(0, 40), np.array([1, 1])
    free = grow(["a", "b"], _turned(1, 2), sums, counts, threshold=0.9)
    assert free.cluster.tolist() == [0, 1, 0, 0]
    held = grow(["a", "b"], _turned(1, 2), sums, counts, threshold=0.9, cannot_link=np.array([[0, 3], [2, 3], [1, 2]]))
    assert held.cluster.tolist() == [0, 1, 0, -1]
    of_one_photo = grow(["a", "b"], _turned(70, 90), sums, counts, threshold=0.9, photos=["p", "p"])
    assert of_one_photo.cluster.tolist() == [0, 1, -1, -1]


def test_growing_is_nearly_what_assigning_all_again_is_in_any_order():
    faces = make_faces(3000, 128, seed=4)
    good = np.flatnonzero(~faces.blurred)
    vectors, truth, old = faces.vectors[good], faces.person[good], len(good) - 300
    first = assign(_names(old), vectors[:old], threshold=0.45)
    known, number = np.unique(np.where(first.cluster >= 0, first.cluster, np.arange(old)), return_inverse=True)
    sums, counts = sum_rows(vectors[:old], number, len(known)), np.bincount(number)
    grown = grow(_names(300), vectors[old:], sums, counts, threshold=0.45)
    found = np.concatenate([grown.cluster[number], grown.cluster[len(known) :]])
    found = np.where(found >= 0, found, len(known) + 300 + np.arange(len(found)))
    whole = assign(_names(len(good)), vectors, threshold=0.45)
    again = np.where(whole.cluster >= 0, whole.cluster, np.arange(len(good)))
    assert score_clusters(truth, found).pair_f > score_clusters(truth, again).pair_f - 0.02
    assert score_clusters(again, found).pair_f > 0.97
    assert 0 < len(grown.touched) < len(known) / 2

    order = np.random.default_rng(0).permutation(300)
    other = grow([_names(300)[row] for row in order], vectors[old:][order], sums, counts, threshold=0.45)
    assert np.array_equal(other.touched, grown.touched)
    p = len(known)
    assert np.array_equal(other.cluster[p:] < p, grown.cluster[p:][order] < p)
    assert score_clusters(other.cluster[p:], grown.cluster[p:][order]).pair_f == 1.0


def test_nobody_known_and_nobody_new():
    nobody = grow(["a", "b", "c"], _turned(0, 1, 90), np.empty((0, 2), np.float32), np.empty(0, int), threshold=0.9)
    assert nobody.cluster.tolist() == [0, 0, -1]
    nothing = grow([], np.empty((0, 2), np.float32), _turned(0, 1), np.array([1, 1]), threshold=0.9)
    assert nothing.cluster.tolist() == [0, 1] and len(nothing.touched) == 0


def test_what_cannot_work_is_refused():
    with pytest.raises(StoreError, match="of b is not finite"):
        grow(["a", "b"], np.array([[1, 0], [np.nan, 0]], np.float32), _turned(0), np.array([1]), threshold=0.9)
    with pytest.raises(ConfigError, match="one of each a row"):
        grow(["a"], _turned(0), _turned(0), np.array([1, 2]), threshold=0.9)

from dataclasses import astuple

import numpy as np
import pytest

from pixelbrain.identity.evaluate import count_mixed, score_clusters


def test_scores_counted_by_hand():
    truth = np.array(["a", "a", "a", "b", "b", "c"])
    found = np.array([0, 0, 1, 1, 2, 3])
    scores = score_clusters(truth, found)
    # pairs found: (0,1), (2,3), of which the first is right; pairs true: 3 of a and 1 of b
    assert scores.pair_p == 1 / 2
    assert scores.pair_r == 1 / 4
    assert scores.pair_f == pytest.approx(1 / 3)
    # per face: 1, 1, 1/2, 1/2, 1, 1 of its cluster are its own; 2/3, 2/3, 1/3, 1/2, 1/2, 1 of its own are there
    assert scores.bcubed_p == pytest.approx(5 / 6)
    assert scores.bcubed_r == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1 / 2 + 1 / 2 + 1) / 6)
    assert scores.bcubed_f == pytest.approx(2 * scores.bcubed_p * scores.bcubed_r / (scores.bcubed_p + scores.bcubed_r))


def test_names_of_clusters_do_not_matter():
    truth = np.array([0, 0, 1, 1, 2])
    assert set(astuple(score_clusters(truth, np.array([9, 9, 4, 4, 7])))) == {1.0}


def test_everything_in_one_and_everything_apart():
    truth = np.repeat(np.arange(10), 10)
    together = score_clusters(truth, np.zeros(100, int))
    assert (together.pair_r, together.bcubed_r) == (1.0, 1.0)
    assert together.pair_p == pytest.approx(10 * 45 / 4950)
    assert together.bcubed_p == pytest.approx(0.1)
    apart = score_clusters(truth, np.arange(100))
    assert (apart.pair_p, apart.pair_r, apart.pair_f) == (1.0, 0.0, 0.0)
    assert apart.bcubed_r == pytest.approx(0.1)


def test_no_faces():
    assert set(astuple(score_clusters(np.array([]), np.array([])))) == {1.0}


def test_large_clusters_do_not_overflow():
    same = np.zeros(100_000, np.int32)
    assert score_clusters(same, same).pair_f == 1.0


@pytest.mark.parametrize("found", [np.zeros(3), np.zeros((2, 2))])
def test_shapes_that_do_not_match_are_refused(found):
    with pytest.raises(ValueError, match="shape"):
        score_clusters(np.zeros(2), found)


def test_mixed_people_are_counted():
    truth = np.array(["a", "a", "b", "b", "c", "d", "e"])
    assert count_mixed(truth, np.array([0, 0, 0, 1, 5, 5, 6])) == (2, 2)
    assert count_mixed(truth, np.array([0, 0, 1, 1, 2, 3, 4])) == (2, 0)
    assert count_mixed(truth[:0], np.array([], int)) == (0, 0)

"""What people said holds, whatever the strategy, on random faces with random corrections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pixelbrain.config import STRATEGIES
from pixelbrain.errors import ConfigError
from pixelbrain.identity import cluster
from pixelbrain.identity.assign import assign

ALIKE = np.tile(np.array([[1.0, 0.0]], np.float32), (8, 1))


def _names(n: int) -> list[str]:
    return [f"photo-{row:03}" for row in range(n)]


def _random_case(seed: int) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray]:
    """60 faces in 20 photos, many alike and some equal; pairs that contradict each other are left out."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((6, 8))
    vectors = (centres[rng.integers(0, 6, 60)] + 0.4 * rng.standard_normal((60, 8))).astype(np.float32)
    vectors[rng.integers(0, 60, 15)] = vectors[rng.integers(0, 60, 15)]
    must, cannot = rng.integers(0, 60, (12, 2)), rng.integers(0, 60, (40, 2))
    group = np.arange(60)
    for a, b in must:
        group[group == group[b]] = group[a]
    return (
        vectors,
        [f"{photo}" for photo in rng.integers(0, 20, 60)],
        must,
        cannot[group[cannot[:, 0]] != group[cannot[:, 1]]],
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("seed", range(12))
def test_they_hold_on_any_faces_in_any_order(monkeypatch, strategy, seed):
    monkeypatch.setattr(cluster, "_ONE_BY_ONE", 20_000 * (seed % 2))  # and where many merge at once
    vectors, photos, must, cannot = _random_case(seed)
    settings: dict[str, Any] = {"threshold": 0.6, "strategy": strategy, "k": 8, "min_size": 4}
    result = assign(_names(60), vectors, photos=photos, must_link=must, cannot_link=cannot, **settings)
    assert (result.cluster[must[:, 0]] == result.cluster[must[:, 1]]).all()
    assert (result.cluster[must[must[:, 0] != must[:, 1]]] >= 0).all()
    known = (result.cluster[cannot] >= 0).all(axis=1)
    assert known.any() and (result.cluster[cannot[known, 0]] != result.cluster[cannot[known, 1]]).all()

    order = np.random.default_rng(seed).permutation(60)
    place = np.argsort(order)
    again = assign(
        [_names(60)[row] for row in order],
        vectors[order],
        photos=[photos[row] for row in order],
        must_link=place[must[::-1, ::-1]],
        cannot_link=place[cannot[::-1, ::-1]],
        **settings,
    )
    assert np.array_equal(np.where(again.cluster >= 0, order[again.cluster], -1), result.cluster[order])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_nobody_spoke_of_stays_as_it_was(strategy):
    vectors, photos, _, _ = _random_case(3)
    far = np.array([[0] * 8 + [1], [0] * 7 + [1, 9], [0] * 7 + [1, 8]], np.float32)  # three more, like nobody else
    whole = np.concatenate([np.pad(vectors, ((0, 0), (0, 1))), far])
    settings: dict[str, Any] = {"threshold": 0.6, "strategy": strategy, "photos": [*photos, *"xyz"], "k": 62}
    free = assign(_names(63), whole, **settings)
    held = assign(_names(63), whole, cannot_link=np.array([[60, 61]]), **settings)
    assert free.cluster[60:].tolist() == [60, 60, 60]
    assert held.cluster[60] != held.cluster[61] == held.cluster[62] == 61  # the nearest two stay
    assert np.array_equal(free.cluster[:60], held.cluster[:60])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_opposite_of_each_other_in_one_photo_alone(strategy):
    opposite = np.array([[1, 0], [-1, 0], [0, 1]], np.float32)
    result = assign(
        _names(3),
        opposite,
        threshold=0.9,
        strategy=strategy,
        photos=["p"] * 3,
        min_size=9,
        must_link=np.array([[2, 1]]),
    )
    assert result.cluster.tolist() == [-1, 1, 1]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equal_vectors_are_kept_apart(strategy):
    result = assign(_names(8), ALIKE, threshold=0.9, strategy=strategy, min_size=1, cannot_link=np.array([[5, 2]]))
    assert result.cluster[5] != result.cluster[2]
    assert result.count == 2
    # and the chain: 0 is 1, 6 is 7, and neither of the two is the other
    must, cannot = np.array([[0, 1], [6, 7]]), np.array([[1, 7], [0, 3]])
    result = assign(_names(8), ALIKE, threshold=0.9, strategy=strategy, min_size=1, must_link=must, cannot_link=cannot)
    assert result.cluster[0] == result.cluster[1] != result.cluster[6] == result.cluster[7]
    assert result.cluster[3] != result.cluster[0]


def test_a_second_look_keeps_apart_too():
    def turned(*degrees: float) -> np.ndarray:
        angle = np.radians(degrees)
        return np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1).astype(np.float32)

    # the last two are near enough to the three, on either side, and alone
    vectors = turned(0, 0.1, 0.2, 27.1, -26.7)
    assert assign(_names(5), vectors, threshold=0.9).cluster.tolist() == [0] * 5
    found = assign(_names(5), vectors, threshold=0.9, cannot_link=np.array([[0, 4]]))
    assert found.cluster.tolist() == [0, 0, 0, 0, -1]
    # of two that are apart, or of one photo, the nearer joins
    for apart, photos in ((np.array([[3, 4]]), None), (None, list("abcdd"))):
        found = assign(_names(5), vectors, threshold=0.9, cannot_link=apart, photos=photos)
        assert found.cluster.tolist() == [0, 0, 0, -1, 0]


def test_what_someone_said_is_one_does_not_fall_apart_in_a_small_cluster():
    angle = np.radians([0, 25, 60])  # at a threshold of 0.9: the first two are hardly one
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    assert assign(_names(3), vectors, threshold=0.9).cluster.tolist() == [-1, -1, -1]
    said = assign(_names(3), vectors, threshold=0.9, must_link=np.array([[0, 1]]))
    assert said.cluster.tolist() == [0, 0, -1]
    far = assign(_names(3), vectors, threshold=0.7, must_link=np.array([[0, 2]]))
    assert far.cluster.tolist() == [0, 0, 0]  # 1 is near both, however far they are from each other


@pytest.mark.parametrize(
    ("must", "cannot", "match"),
    [
        ([[1, 2]], [[2, 1]], "photo-002 and photo-001 must be one, and cannot be"),
        ([[1, 2], [2, 3]], [[1, 3]], "photo-001 and photo-003 must be one, by a chain of others"),
        ([], [[4, 4]], "photo-004 and photo-004"),
        ([[0, 8]], [], "must_link names a row outside 0 to 7"),
        ([], [[-1, 0]], "cannot_link names a row"),
        ([[0, 1, 2]], [], "must_link is int64"),
        ([[0.0, 1.0]], [], "must_link is float64"),
    ],
)
def test_what_contradicts_itself_or_is_no_pair_is_refused(must, cannot, match):
    with pytest.raises(ConfigError, match=match):
        assign(_names(8), ALIKE, threshold=0.9, must_link=np.array(must), cannot_link=np.array(cannot))

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


def _random_case(seed: int) -> tuple[np.ndarray, list[str], np.ndarray]:
    """60 faces in 20 photos, many alike and some equal; pairs of a face with itself are left out."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((6, 8))
    vectors = (centres[rng.integers(0, 6, 60)] + 0.4 * rng.standard_normal((60, 8))).astype(np.float32)
    vectors[rng.integers(0, 60, 15)] = vectors[rng.integers(0, 60, 15)]
    cannot = rng.integers(0, 60, (40, 2))
    return vectors, [f"{photo}" for photo in rng.integers(0, 20, 60)], cannot[cannot[:, 0] != cannot[:, 1]]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("seed", range(12))
def test_they_hold_on_any_faces_in_any_order(monkeypatch, strategy, seed):
    monkeypatch.setattr(cluster, "_ONE_BY_ONE", 20_000 * (seed % 2))  # and where many merge at once
    vectors, photos, cannot = _random_case(seed)
    settings: dict[str, Any] = {"threshold": 0.6, "strategy": strategy, "k": 8, "min_size": 4}
    result = assign(_names(60), vectors, photos=photos, cannot_link=cannot, **settings)
    known = (result.cluster[cannot] >= 0).all(axis=1)
    assert known.any() and (result.cluster[cannot[known, 0]] != result.cluster[cannot[known, 1]]).all()

    order = np.random.default_rng(seed).permutation(60)
    place = np.argsort(order)
    again = assign(
        [_names(60)[row] for row in order],
        vectors[order],
        photos=[photos[row] for row in order],
        cannot_link=place[cannot[::-1, ::-1]],
        **settings,
    )
    assert np.array_equal(np.where(again.cluster >= 0, order[again.cluster], -1), result.cluster[order])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_nobody_spoke_of_stays_as_it_was(strategy):
    vectors, photos, _ = _random_case(3)
    far = np.array([[0] * 8 + [1], [0] * 7 + [1, 9], [0] * 7 + [1, 8]], np.float32)  # three more, like nobody else
    whole = np.concatenate([np.pad(vectors, ((0, 0), (0, 1))), far])
    settings: dict[str, Any] = {"threshold": 0.6, "strategy": strategy, "photos": [*photos, *"xyz"], "k": 62}
    free = assign(_names(63), whole, **settings)
    held = assign(_names(63), whole, cannot_link=np.array([[60, 61]]), **settings)
    assert free.cluster[60:].tolist() == [60, 60, 60]
    assert held.cluster[60] != held.cluster[61] == held.cluster[62] == 61  # the nearest two stay
    assert np.array_equal(free.cluster[:60], held.cluster[:60])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equal_vectors_are_kept_apart(strategy):
    result = assign(_names(8), ALIKE, threshold=0.9, strategy=strategy, min_size=1, cannot_link=np.array([[5, 2]]))
    assert result.cluster[5] != result.cluster[2]
    assert result.count == 2


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


def test_what_is_hardly_alike_falls_apart_in_a_small_cluster():
    angle = np.radians([0, 25, 60])  # at a threshold of 0.9: the first two are hardly one
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    assert assign(_names(3), vectors, threshold=0.9).cluster.tolist() == [-1, -1, -1]
    assert assign(_names(3), vectors, threshold=0.9, second_look=False).cluster.tolist() == [0, 0, -1]


@pytest.mark.parametrize(
    ("cannot", "match"),
    [
        ([[1, 2], [4, 4]], "cannot_link keeps photo-004 apart from itself"),
        ([[0, 8]], "cannot_link names a row outside 0 to 7"),
        ([[-1, 0]], "cannot_link names a row"),
        ([[0, 1, 2]], "cannot_link is int64"),
        ([[0.0, 1.0]], "cannot_link is float64"),
    ],
)
def test_what_contradicts_itself_or_is_no_pair_is_refused(cannot, match):
    with pytest.raises(ConfigError, match=match):
        assign(_names(8), ALIKE, threshold=0.9, cannot_link=np.array(cannot))

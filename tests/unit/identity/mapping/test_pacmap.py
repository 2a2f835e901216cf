"""Points of a plane for vectors: what is alike lies together, and nothing is too little or too equal to be shown."""

from __future__ import annotations

import numpy as np
import pytest

from pixelbrain.identity.mapping.pacmap import STEPS, lay_out


def clusters(count: int, each: int, dim: int = 32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    of = np.repeat(np.arange(count), each)
    return (rng.normal(size=(count, dim))[of] + 0.3 * rng.normal(size=(len(of), dim))).astype(np.float32), of


def test_what_is_alike_lies_together_and_the_same_seed_is_the_same_map():
    vectors, of = clusters(6, 40)
    told: list[tuple[int, int]] = []
    points = lay_out(vectors, progress=lambda *one: told.append(one))
    assert told[-1] == (STEPS, STEPS) and len(told) == STEPS
    assert points.shape == (240, 2) and points.dtype == np.float32 and np.abs(points.mean(axis=0)).max() < 1e-3
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    nearest = np.argsort(distance, axis=1)[:, 1:6]
    assert (of[nearest] == of[:, None]).mean() > 0.99
    spread = np.sqrt(4 * np.pi * np.prod(points.std(axis=0)) / len(points))
    assert np.sort(distance, axis=1)[:, 1].min() > 0.25 * spread  # each can be seen
    middle = np.stack([points[of == one].mean(axis=0) for one in range(6)])
    apart = np.linalg.norm(middle[:, None] - middle, axis=2)[~np.eye(6, dtype=bool)].min()
    assert apart > max(np.linalg.norm(points[of == one] - middle[one], axis=1).mean() for one in range(6))
    assert (lay_out(vectors) == points).all()
    assert not np.allclose(lay_out(vectors, seed=1), points)
    assert (lay_out(vectors * 2) == points).all()  # directions count alone


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7, 30])
@pytest.mark.parametrize("kind", ["random", "equal", "zero", "line", "pairs"])
def test_few_vectors_and_those_that_hardly_differ(count: int, kind: str):
    rng = np.random.default_rng(0)
    vectors = {
        "random": rng.normal(size=(count, 16)),
        "equal": np.tile(rng.normal(size=16), (count, 1)),
        "zero": np.zeros((count, 16)),
        "line": np.stack([np.arange(count), np.ones(count)], axis=1),
        "pairs": np.repeat(rng.normal(size=(-(-count // 2), 16)), 2, axis=0)[:count],
    }[kind]
    points = lay_out(vectors.astype(np.float32))
    assert points.shape == (count, 2) and np.isfinite(points).all()
    if kind != "pairs":  # each can be seen
        assert len(np.unique(points.round(3), axis=0)) == count

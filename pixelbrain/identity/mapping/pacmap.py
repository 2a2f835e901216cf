"""PaCMAP: vectors as points of a plane, so that what is alike lies together and what is not lies apart.

After Wang, Huang, Rudin and Shaposhnik, "Understanding How Dimension Reduction Tools Work", JMLR 22 (2021), whose
numbers these are: each point is pulled by its nearest neighbours, by a few that are near in the middle of things, and
pushed by a few of all others; the middle ones first, so that the whole comes out before its parts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.spatial import KDTree

from pixelbrain.identity.neighbours import nearest_neighbours

#: Of each point: near ones, those of the middle, and far ones.
NEIGHBOURS, _MIDDLE, _FAR = 10, 5, 20
_SPARE = 20  # neighbours of which the near ones are chosen
_DIRECTIONS = 100  # of the vectors, along which they differ most: in these they are laid out
STEPS = 450
_FIRST, _SECOND = 100, 200  # where the phases end
_RATE, _BETA1, _BETA2, _EPSILON = 1.0, 0.9, 0.999, 1e-7  # Adam's
_ROOM = 0.55  # of each, of what all would have if they were spread evenly
_BESIDE, _PUSHES = 6, 60
_ROWS = 8192  # together, so that no other copy of all vectors is made
_TURN = np.pi * (3 - np.sqrt(5))  # the golden angle


def lay_out(vectors: np.ndarray, *, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> np.ndarray:
    """Points of a plane for vectors, the same for the same vectors and seed.

    Args:
        vectors: float32 (n, d), finite; compared by their directions.
        seed: of what is drawn by chance.
        progress: hears (done, total) steps.

    Returns:
        float32 (n, 2), around 0. Equal vectors lie close together; where there is nothing to tell apart, as of two and
        of all equal ones, all are in a spiral, in their order.
    """
    if len(vectors) < 3:
        return _spiral(len(vectors))
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    main = _directions(unit)
    if not main.any():
        return _spiral(len(vectors))
    rng = np.random.default_rng(seed)
    near = _near(unit)
    pairs = [_Pairs(near), _Pairs(_middle(main, rng)), _Pairs(_far(len(unit), rng))]
    points = rng.normal(0, 1e-4, (len(unit), 2)).astype(np.float32)  # of vectors in one line, the way out of it
    points[:, : main.shape[1]] += 0.01 * main[:, :2]
    mean, spread = np.zeros_like(points), np.zeros_like(points)
    for step in range(STEPS):
        (near_pairs, middle, far), (a, b, c) = pairs, _weights(step)
        slope = a * near_pairs.slope(points, 10) - c * far.slope(points, 1)
        if b:
            slope += b * middle.slope(points, 10_000)
        mean += (1 - _BETA1) * (slope - mean)
        spread += (1 - _BETA2) * (np.square(slope) - spread)
        rate = _RATE * np.sqrt(1 - _BETA2 ** (step + 1)) / (1 - _BETA1 ** (step + 1))
        points -= np.float32(rate) * mean / (np.sqrt(spread) + np.float32(_EPSILON))
        if progress is not None:
            progress(step + 1, STEPS)
    points = _apart(points, rng)
    return points - points.mean(axis=0)


def _apart(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same, those that lie on one another pushed aside, so that each can be seen; else small groups are dots.

    What is far from all others stays where it is.
    """
    n, area = len(points), 4 * np.pi * np.prod(points.std(axis=0) + 1e-3)
    room = _ROOM * np.sqrt(area / n)
    found = points + rng.normal(0, 1e-3 * room, points.shape)  # what is equal has no direction
    for _ in range(_PUSHES):
        distance, other = KDTree(found).query(found, k=_BESIDE + 1, distance_upper_bound=room, workers=-1)
        distance, other = np.maximum(distance[:, 1:], 1e-9), np.minimum(other[:, 1:], n - 1)
        push = np.maximum(room - distance, 0) / (4 * distance)  # none of those too far away, which are infinitely so
        if push.max() < 1e-2:
            break
        found += push.sum(axis=1)[:, None] * found - (push[:, :, None] * found[other]).sum(axis=1)
    return found.astype(np.float32)


def _spiral(n: int) -> np.ndarray:
    far, turned = np.sqrt(np.arange(n)), _TURN * np.arange(n)
    return (far[:, None] * np.stack([np.cos(turned), np.sin(turned)], axis=1)).astype(np.float32)


def _weights(step: int) -> tuple[float, float, float]:
    """Of near, middle and far pairs."""
    if step < _FIRST:
        along = step / _FIRST
        return 2.0, 1000 * (1 - along) + 3 * along, 1.0
    return (3.0, 3.0, 1.0) if step < _SECOND else (1.0, 0.0, 1.0)


def _directions(unit: np.ndarray) -> np.ndarray:
    """float32 (n, up to 100): the vectors along the directions in which they differ most."""
    mean, spread = unit.mean(axis=0), np.zeros((unit.shape[1],) * 2)
    parts = [slice(start, start + _ROWS) for start in range(0, len(unit), _ROWS)]
    for part in parts:
        centred = (unit[part] - mean).astype(np.float64)
        spread += centred.T @ centred
    values, vectors = np.linalg.eigh(spread)
    order = np.argsort(values)[::-1][:_DIRECTIONS]
    order = order[values[order] > 1e-9 * max(values[-1], len(unit))]
    chosen = vectors[:, order]
    chosen *= np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])])  # else by chance
    return np.concatenate([(unit[part] - mean) @ chosen.astype(np.float32) for part in parts])


def _near(unit: np.ndarray) -> np.ndarray:
    """int64 (n, k): of the nearest of each, those that are near for both; so no crowd is everybody's neighbour."""
    found, cosine = nearest_neighbours(unit, NEIGHBOURS + _SPARE)
    squared = np.maximum(2 - 2 * cosine, 0)
    scale = np.maximum(np.sqrt(squared[:, 3:6] if squared.shape[1] > 3 else squared).mean(axis=1), 1e-10)
    scaled = np.where(found < 0, np.inf, squared / scale[:, None] / scale[found])
    few = min(NEIGHBOURS, max(3, round(np.sqrt(len(unit)))))  # of a dozen, ten were nearly all
    order = np.argsort(scaled, axis=1, kind="stable")[:, :few]
    chosen = np.take_along_axis(found, order, axis=1).astype(np.int64)
    return np.where(chosen < 0, np.arange(len(unit))[:, None], chosen)  # with itself a pair says nothing


def _middle(main: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int64 (n, 5): of six that are drawn, the second nearest, each time."""
    n = len(main)
    found = np.empty((n, _MIDDLE), np.int64)
    for start in range(0, n, _ROWS):
        some = slice(start, min(start + _ROWS, n))
        rows = np.arange(some.start, some.stop)
        for column in range(_MIDDLE):
            drawn = rng.integers(0, n, (len(rows), 6))
            squared = np.square(main[drawn] - main[rows][:, None]).sum(axis=2)
            squared[drawn == rows[:, None]] = np.inf
            second = np.argsort(squared, axis=1, kind="stable")[:, 1]
            found[some, column] = drawn[np.arange(len(rows)), second]
    return found


def _far(n: int, rng: np.random.Generator) -> np.ndarray:
    """int64 (n, 20): of all others; a neighbour among them does no harm."""
    return (np.arange(n)[:, None] + rng.integers(1, n, (n, min(_FAR, n - 1)))) % n


class _Pairs:
    """Pairs of rows, each row with as many others. The slope of a potential of their distances."""

    def __init__(self, others: np.ndarray) -> None:
        n, k = others.shape
        self._others = others.astype(np.int32)
        starts = np.arange(0, n * k + 1, k)
        self._matrix = sparse.csr_matrix((np.zeros(n * k, np.float32), self._others.ravel(), starts), shape=(n, n))

    def slope(self, points: np.ndarray, c: float) -> np.ndarray:
        """float32 (n, 2): of the sum of d / (c + d) over all pairs, where d is 1 + their squared distance.

        Less 1, and without the sign, 1 / (1 + d) is the same for c = 1.
        """
        x, y = points[:, 0].copy(), points[:, 1].copy()
        d = np.square(x[self._others] - x[:, None])
        d += np.square(y[self._others] - y[:, None])
        d += 1
        strength = np.float32(2 * c) / np.square(np.float32(c) + d)
        self._matrix.data[:] = strength.ravel()
        ends = np.ones(len(points), np.float32)
        total = strength.sum(axis=1) + self._matrix.T @ ends
        return total[:, None] * points - self._matrix @ points - self._matrix.T @ points

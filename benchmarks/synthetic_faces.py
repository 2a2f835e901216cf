"""Made-up face vectors with what makes clustering hard: people of all sizes, strangers, look-alikes, blur.

A person is a direction, and a face is that direction and noise. Directions are drawn with a falling spectrum, as real
embeddings fill few of their dimensions. On average the cosine of two faces of one person is 0.62 +- 0.12, of two people
0 +- 0.11, and of two look-alikes half of one person's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["SyntheticFaces", "make_faces"]

STRANGERS_ARE_ONE_IN = 5  # faces: people who are seen once
LOOK_ALIKE_PART = 0.15  # of the people are moved towards another one, half way
BLURRED_PART = 0.04  # of the faces are moved towards one direction that all blurred faces share

_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True, eq=False)
class SyntheticFaces:
    """n faces, in random order."""

    vectors: np.ndarray  # float32 (n, dim), rows of unit length
    person: np.ndarray  # int64 (n,), who it truly is; a stranger is a person of one face
    blurred: np.ndarray  # bool (n,), what a quality gate should keep from joining people


def make_faces(n: int, dim: int = 512, seed: int = 0) -> SyntheticFaces:
    """`n` faces; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    variance = np.arange(1, dim + 1) ** -0.8
    scale = np.sqrt(variance / variance.sum()).astype(np.float32)

    def directions(count: int) -> np.ndarray:
        return _unit(rng.standard_normal((count, dim), dtype=np.float32) * scale)

    person = _people(rng, n)
    centres = directions(int(person.max()) + 1)
    odd = 2 * rng.choice(len(centres) // 2, int(LOOK_ALIKE_PART * len(centres)), replace=False) + 1
    centres[odd] = _unit(0.5 * centres[odd - 1] + 0.87 * centres[odd])
    blur = _unit(rng.standard_normal(dim).astype(np.float32) * scale)

    vectors = np.empty((n, dim), np.float32)
    blurred = rng.random(n) < BLURRED_PART
    for start in range(0, n, _ROWS_AT_ONCE):
        some = slice(start, min(start + _ROWS_AT_ONCE, n))
        count = some.stop - start
        noise = directions(count)
        # most faces are near their person's direction, a few (profiles, odd light) far from it
        spread = np.clip(np.exp(rng.normal(np.log(0.72), 0.33, count)), 0.25, 2).astype(np.float32)
        shift = np.where(blurred[some], 1.1, 0).astype(np.float32)
        vectors[some] = _unit(centres[person[some]] + spread[:, None] * noise + shift[:, None] * blur)
    order = rng.permutation(n)
    return SyntheticFaces(vectors[order], person[order], blurred[order])


def _people(rng: np.random.Generator, n: int) -> np.ndarray:
    """The person of each face: most have a handful of faces, a few have thousands, and the last fifth have one."""
    known = n - n // STRANGERS_ARE_ONE_IN
    sizes: list[int] = []
    total = 0
    while total < known:
        sizes.append(int(min(2 + rng.pareto(1.1) * 4, 3000, max(20, n // 20))))
        total += sizes[-1]
    people = np.repeat(np.arange(len(sizes)), sizes)[:known]
    return np.concatenate([people, len(sizes) + np.arange(n - known)])


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

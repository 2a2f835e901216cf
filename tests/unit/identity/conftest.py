"""Made-up faces, and a database of them that holds them in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pixelbrain.schema import ModelInfo
from pixelbrain.stores.vectors import Match, VectorBatch
from tests.unit.landed_out import land_faces


class VectorTable:
    """What `pixelbrain.identity` asks of a `Database`, over a few vectors; the landing is a real one."""

    def __init__(self, out: Path, ids: list[str], vectors: np.ndarray, metadata: list[dict[str, Any]], model: str):
        self.landing = land_faces(out, ids)
        self.ids, self.vectors, self.metadata = ids, vectors, metadata
        self._model = ModelInfo(model=model, weights_sha256="0" * 64, dim=vectors.shape[1])
        self.stored: list[str] = []
        self.where, self.remote_vectors = str(out), True
        self.mongo_connection = SimpleNamespace(folder=out / "db" / "mongo", shared=True)

    def vector_model(self, collection: str) -> ModelInfo:
        return self._model

    def iter_vectors(self, collection: str, batch: int = 7) -> Iterator[VectorBatch]:
        for start in range(0, len(self.ids), batch):
            rows = slice(start, start + batch)
            yield VectorBatch(ids=self.ids[rows], vectors=self.vectors[rows], metadata=self.metadata[rows])

    def query_vector_field(
        self, collection: str, vectors: np.ndarray, n_results: int = 20, where: Any = None
    ) -> list[list[Match]]:
        distances = 1 - vectors @ self.vectors.T
        order = np.argsort(distances, axis=1, kind="stable")[:, :n_results]
        return [
            [Match(id=self.ids[row], distance=float(line[row]), metadata=self.metadata[row]) for row in rows]
            for line, rows in zip(distances, order, strict=True)
        ]

    def require_in_step(self, collection: str) -> None:
        """It always is."""

    def behind(self, collection: str) -> None:
        """Never."""

    def store_derived(self, name: str, among: Sequence[str] | None = None, *, since: str | None = None) -> None:
        self.stored.append(name)


@pytest.fixture
def people() -> Callable[..., np.ndarray]:
    """`people(3, 5)`: five vectors of each of three people, in order; one person's have a cosine of about 0.8."""

    def make(count: int, faces: int, *, dim: int = 64, noise: float = 0.5, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        centres = np.linalg.qr(rng.standard_normal((dim, count)))[0].T  # at right angles
        spread = rng.standard_normal((count * faces, dim)) * noise / np.sqrt(dim)
        rows = np.repeat(centres, faces, axis=0) + spread
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    return make

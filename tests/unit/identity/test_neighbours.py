import numpy as np
import pytest

from pixelbrain.identity import neighbours
from pixelbrain.identity.neighbours import nearest_from_index, nearest_neighbours, neighbours_in

from .conftest import VectorTable


def _brute_force(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    similarity = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    np.fill_diagonal(similarity, -2)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(similarity, order, axis=1)


def _random_rows(n: int, dim: int = 32, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("block_cells", [2**26, 900])
def test_equal_brute_force(monkeypatch, block_cells):
    monkeypatch.setattr(neighbours, "_BLOCK_CELLS", block_cells)  # 900: blocks of three rows
    vectors = _random_rows(300)
    indices, similarities = nearest_neighbours(vectors, 10)
    expected, expected_similarities = _brute_force(vectors, 10)
    assert (indices.dtype, similarities.dtype) == (np.int32, np.float32)
    assert np.array_equal(indices, expected)
    assert np.allclose(similarities, expected_similarities, atol=1e-6)


def test_in_reduced_precision_they_still_equal_brute_force(monkeypatch):
    monkeypatch.setattr(neighbours, "_REDUCED_PRECISION_FROM", 100)
    monkeypatch.setattr("pixelbrain.modules.inference._cpu_multiplies_bfloat16", lambda: True)
    vectors = _random_rows(500)
    indices, similarities = nearest_neighbours(vectors, 10)
    expected, expected_similarities = _brute_force(vectors, 10)
    assert np.array_equal(indices, expected)
    assert np.allclose(similarities, expected_similarities, atol=1e-6)


def test_a_row_is_not_its_own_neighbour_even_among_copies():
    vectors = np.repeat(_random_rows(1), 6, axis=0)
    indices, similarities = nearest_neighbours(vectors, 5)
    assert np.array_equal(indices, [[other for other in range(6) if other != row] for row in range(6)])
    assert np.allclose(similarities, 1)


@pytest.mark.parametrize(("n", "k", "columns"), [(0, 5, 0), (1, 5, 0), (2, 5, 1), (4, 5, 3)])
def test_fewer_rows_than_neighbours(n, k, columns):
    indices, similarities = nearest_neighbours(_random_rows(n), k)
    assert indices.shape == similarities.shape == (n, columns)


def test_the_index_gives_the_same_neighbours(tmp_path, monkeypatch):
    vectors = _random_rows(60)
    ids = [f"file:///{row}.jpg#0" for row in range(60)]
    table = VectorTable(tmp_path, ids, vectors, [{}] * 60, "dlib")
    expected, expected_similarities = nearest_neighbours(vectors, 10)
    monkeypatch.setattr(neighbours, "_INDEX_BATCH", 7)
    indices, similarities = nearest_from_index(table, "faces", ids, vectors, 10)
    assert np.array_equal(indices, expected)
    assert np.allclose(similarities, expected_similarities, atol=1e-6)

    monkeypatch.setattr(neighbours, "EXACT_LIMIT", 10)
    assert np.array_equal(neighbours_in(table, "faces", ids, vectors, 10)[0], expected)


def test_what_the_index_holds_beside_is_passed_over(tmp_path):
    vectors = _random_rows(60)
    ids = [f"{row:02}" for row in range(60)]
    table = VectorTable(tmp_path, ids, vectors, [{}] * 60, "dlib")
    indices, similarities = nearest_from_index(table, "faces", ids[:8], vectors[:8], 10)
    assert indices.shape == (8, 10)
    assert (indices < 8).all()
    assert (indices != np.arange(8)[:, None]).all()
    assert np.array_equal(similarities == -1, indices == -1)
    assert (indices == -1).any(axis=1).all()  # there are seven others

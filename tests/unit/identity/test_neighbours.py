import functools
import pickle
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.synthetic_faces import make_faces
from pixelbrain.engine.shards import in_threads
from pixelbrain.identity import cells, neighbours
from pixelbrain.identity.neighbours import nearest_neighbours


def _brute_force(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    similarity = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    np.fill_diagonal(similarity, -2)
    some = np.argpartition(-similarity, k, axis=1)[:, :k]
    alike = np.take_along_axis(similarity, some, axis=1)
    order = np.argsort(-alike, axis=1)
    return np.take_along_axis(some, order, axis=1), np.take_along_axis(alike, order, axis=1)


@functools.cache
def _faces_and_nearest(n: int) -> tuple[np.ndarray, ...]:
    vectors = make_faces(n, 64, seed=3).vectors
    return vectors, *_brute_force(vectors, 10)


def _random_rows(n: int, dim: int = 32, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(autouse=True, params=["few", "many"])
def few(request, monkeypatch):
    """Each test by NumPy, if it has few rows, and by torch."""
    if request.param == "many":
        monkeypatch.setattr(neighbours, "_FEW", 0)


def test_few_are_compared_without_torch():
    program = (
        "import sys; import numpy as np; from pixelbrain.identity.neighbours import nearest_neighbours\n"
        "nearest_neighbours(np.eye(9, dtype=np.float32), 3); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


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


@pytest.mark.parametrize("n", [40, 3000])
def test_cells_find_nearly_all_that_comparing_all_pairs_does(n, monkeypatch, caplog):
    vectors, expected, alike = _faces_and_nearest(n)
    monkeypatch.setattr(neighbours, "EXACT_LIMIT", n - 1)
    monkeypatch.setattr(cells, "_NEAR", 32)  # of 375
    monkeypatch.setattr(cells, "_SIMILARITIES_AT_ONCE", 4000)  # so that a cell of many rows is taken in parts
    with caplog.at_level("INFO"):
        indices, similarities = nearest_neighbours(vectors, 10)
    assert (indices != np.arange(n)[:, None]).all()
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in indices)
    assert np.allclose(
        similarities, np.where(indices < 0, -1, np.einsum("nd,nkd->nk", vectors, vectors[indices])), atol=1e-6
    )
    assert (np.diff(similarities, axis=1) <= 0).all()

    hits = (indices[:, None] == expected[:, :, None]).any(axis=2)
    assert hits[alike >= 0.5].mean() > 0.95
    said = float(caplog.messages[-1].split("neighbours ")[1].split(" %")[0]) / 100
    assert said == pytest.approx(hits.mean(), abs=0.02)

    again, _ = nearest_neighbours(vectors, 10)
    assert np.array_equal(again, indices)


def test_cells_of_copies_hold_them_all():
    vectors = np.repeat(_random_rows(3), 700, axis=0)
    indices, similarities = nearest_neighbours(vectors, 5, exact=False)
    assert (indices >= 0).all() and (indices // 700 == np.arange(2100)[:, None] // 700).all()
    assert np.allclose(similarities, 1)


@pytest.mark.parametrize("few", ["many"], indirect=True)
@pytest.mark.parametrize("exact", [True, False])
def test_the_rows_are_the_same_in_any_number_of_shards_wherever(exact, monkeypatch):
    vectors = make_faces(600, 64, seed=1).vectors
    monkeypatch.setattr(neighbours, "_REDUCED_PRECISION_FROM", 100)
    monkeypatch.setattr("pixelbrain.modules.inference._cpu_multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(neighbours, "_BLOCK_CELLS", 600 * 7)  # of seven rows
    monkeypatch.setattr(neighbours, "_ELSEWHERE_FROM", 600)
    asked = []

    def elsewhere(function, shared, shards):
        """The last one first, and all of it pickled, as it goes to other processes."""
        asked.append(len(shards))
        sent = pickle.dumps((function, shared), protocol=5)
        done = [next(in_threads(*pickle.loads(sent), [shard])) for shard in reversed(shards)]
        return reversed([pickle.loads(pickle.dumps(one)) for one in done])

    here = nearest_neighbours(vectors, 10, exact=exact)
    for count in (1, 3, 1000):
        monkeypatch.setattr(cells, "SHARDS", count)
        found = nearest_neighbours(vectors, 10, exact=exact, over=elsewhere)
        assert asked.pop() <= count and np.array_equal(found[0], here[0]) and np.array_equal(found[1], here[1])
    assert asked == [] if exact else len(asked) == 12  # three rounds of k-means, and which cell each row is in

    monkeypatch.setattr(neighbours, "_ELSEWHERE_FROM", 601)
    nearest_neighbours(vectors, 10, exact=exact, over=lambda *_: pytest.fail("little work goes nowhere"))

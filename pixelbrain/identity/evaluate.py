"""How well found people match the true ones: pairwise and BCubed precision, recall and F, and who is mixed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class ClusterScores:
    """Each 0 to 1, 1 the best.

    Pairwise: of the pairs of faces put together, how many belong together (precision); of those that belong together,
    how many were put together (recall). Large people dominate it. BCubed: the same for each face's own cluster, as the
    mean over faces (Bagga and Baldwin, 1998), so that every face counts alike.
    """

    pair_p: float
    pair_r: float
    pair_f: float
    bcubed_p: float
    bcubed_r: float
    bcubed_f: float


def score_clusters(truth: np.ndarray, found: np.ndarray) -> ClusterScores:
    """Compare two partitions of the same faces.

    Args:
        truth: (n,), the true person of each face, of any type that numpy sorts.
        found: (n,), the person found for it. A face that was given to nobody is a person of its own: number it apart.

    Raises:
        ValueError: they are not one-dimensional and of one length.
    """
    from sklearn.metrics.cluster import contingency_matrix

    if np.ndim(truth) != 1 or np.shape(truth) != np.shape(found):
        raise ValueError(f"truth has the shape {np.shape(truth)} and found {np.shape(found)}: give one of each a face")
    if len(truth) == 0:
        return ClusterScores(pair_p=1.0, pair_r=1.0, pair_f=1.0, bcubed_p=1.0, bcubed_r=1.0, bcubed_f=1.0)
    table = contingency_matrix(truth, found, sparse=True, dtype=np.float64).tocoo()
    shared = table.data  # faces with the same truth and the same finding
    true_sizes, found_sizes = (np.asarray(table.sum(axis=axis)).reshape(-1) for axis in (1, 0))
    true_pairs, found_pairs, both_pairs = (
        float((sizes * (sizes - 1) / 2).sum()) for sizes in (true_sizes, found_sizes, shared)
    )
    # where no pair was claimed (or exists) none was wrong (or missed)
    pair_p = both_pairs / found_pairs if found_pairs else 1.0
    pair_r = both_pairs / true_pairs if true_pairs else 1.0
    bcubed_p = float((shared**2 / found_sizes[table.col]).sum() / len(truth))
    bcubed_r = float((shared**2 / true_sizes[table.row]).sum() / len(truth))
    return ClusterScores(
        pair_p=pair_p,
        pair_r=pair_r,
        pair_f=_harmonic_mean(pair_p, pair_r),
        bcubed_p=bcubed_p,
        bcubed_r=bcubed_r,
        bcubed_f=_harmonic_mean(bcubed_p, bcubed_r),
    )


def count_mixed(truth: np.ndarray, found: np.ndarray) -> tuple[int, int]:
    """How many people of two faces or more were found, and how many of these mix different ones.

    A small wrong person is what a user sees first, and pairs hide it. Arguments: as of `score_clusters`.
    """
    numbers = [np.unique(labels, return_inverse=True)[1] for labels in (found, truth)]
    of_several = np.bincount(np.unique(np.stack(numbers), axis=1)[0]) > 1
    return int((np.bincount(numbers[0]) > 1).sum()), int(of_several.sum())


def _harmonic_mean(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0

"""Nearest neighbours by cosine: exact in blocks up to a quarter of a million vectors, the vector index above."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import torch

    from pixelbrain.stores.database import Database


logger = logging.getLogger(__name__)

#: Up to this many vectors every pair is compared. On 2 cores 100k x 512 take about 45 s, and the time grows with the
#: square; the index answers some 3,000 queries a second whatever its size, so the two cross at a few hundred thousand.
EXACT_LIMIT = 250_000
_EXACT_LIMIT_CUDA = 4_000_000  # 8 GB of 512 float32 on the device

# Similarities held at once: 2 ** 26 float32 are 256 MiB. More gain nothing, fewer slow the matrix product down.
_BLOCK_CELLS = 2**26

# From this many vectors on, the product is taken in bfloat16 where the hardware multiplies it (two to eight times as
# fast). That rounds a similarity by up to 0.004, so spare candidates are kept, and ranked by their float32 similarity.
_REDUCED_PRECISION_FROM = 16_384
_SPARE_CANDIDATES = 12

_INDEX_BATCH = 1000  # queries sent to the index at once


def nearest_neighbours(vectors: np.ndarray, k: int, *, device: str = "auto") -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest other rows of every row, by comparing all pairs.

    Args:
        vectors: float32 (n, d), rows of unit length.
        k: neighbours a row; at most n - 1 are returned.
        device: "cpu", "cuda", or "auto" for cuda where there is one.

    Returns:
        int32 (n, k) row numbers and float32 (n, k) cosine similarities, nearest first, the lower row number first
        among equals. A row is not its own neighbour. Beside the vectors and the result some 400 MB are used.
    """
    import torch

    from pixelbrain.modules.inference import choose_dtype

    n = len(vectors)
    k = min(k, n - 1)
    if k < 1:
        return np.empty((n, 0), np.int32), np.empty((n, 0), np.float32)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.inference_mode():
        rows = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32)).to(device)
        if n >= _REDUCED_PRECISION_FROM and choose_dtype("auto", device) is torch.bfloat16:
            found = _best_columns(rows.bfloat16(), min(k + _SPARE_CANDIDATES, n - 1))
        else:
            found = _best_columns(rows, k)
        indices, similarities = _rank(rows, found, k)
    return indices.cpu().numpy(), similarities.cpu().numpy()


def neighbours_in(
    db: Database, collection: Literal["faces", "images"], ids: Sequence[str], vectors: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The neighbours among vectors of `db` as they are best found: by `nearest_neighbours` or `nearest_from_index`."""
    import torch

    if len(ids) <= (_EXACT_LIMIT_CUDA if torch.cuda.is_available() else EXACT_LIMIT):
        return nearest_neighbours(vectors, k)
    logger.info("%d vectors: their neighbours are asked of the vector index", len(ids))
    return nearest_from_index(db, collection, ids, vectors, k)


def nearest_from_index(
    db: Database, collection: Literal["faces", "images"], ids: Sequence[str], vectors: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest other rows of every row, as the database's vector index finds them (approximate).

    Args:
        db: its `collection` holds `ids`, and may hold others (gated faces), which are passed over.
        collection: faces or images.
        ids: the name of each row.
        vectors: float32 (n, d), rows of unit length.
        k: neighbours a row.

    Returns:
        int32 (n, k) row numbers, -1 where the index found fewer, and float32 (n, k) cosine similarities (of the vectors
        themselves, not the index's distances).
    """
    row_of = {name: row for row, name in enumerate(ids)}
    indices = np.full((len(ids), k), -1, np.int32)
    similarities = np.empty(indices.shape, np.float32)
    for start in range(0, len(ids), _INDEX_BATCH):
        stop = min(start + _INDEX_BATCH, len(ids))
        answers = db.query_vector_field(collection, vectors[start:stop], n_results=k + 1 + _SPARE_CANDIDATES)
        for row, matches in enumerate(answers, start):
            known = [row_of[match.id] for match in matches if match.id in row_of]
            others = [other for other in known if other != row][:k]
            indices[row, : len(others)] = others
        similarities[start:stop] = np.einsum("nd,nkd->nk", vectors[start:stop], vectors[indices[start:stop]])
        logger.debug("neighbours of %d of %d %s", stop, len(ids), collection)
    similarities[indices < 0] = -1.0
    return indices, similarities


def _best_columns(rows: torch.Tensor, k: int) -> torch.Tensor:
    """int64 (n, k), each row's best other rows, a block of rows against all at a time."""
    import torch

    n = len(rows)
    best = torch.empty((n, k), dtype=torch.int64, device=rows.device)
    step = max(1, min(_BLOCK_CELLS // n, n))
    for start in range(0, n, step):
        similarity = rows[start : start + step] @ rows.T
        similarity[:, start:].fill_diagonal_(-2.0)  # itself: below every cosine
        best[start : start + step] = similarity.topk(k, dim=1).indices
    return best


def _rank(rows: torch.Tensor, found: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The best `k` of the found rows by their float32 similarity, equals by row number."""
    import torch

    found = found.sort(dim=1).values  # so that a stable sort leaves equals in the order of their row numbers
    indices = torch.empty((len(rows), k), dtype=torch.int32, device=rows.device)
    similarities = torch.empty((len(rows), k), device=rows.device)
    step = 1024  # 1,024 rows x 32 candidates x 512 float32 are 64 MiB
    for start in range(0, len(rows), step):
        some = found[start : start + step]
        exact = torch.bmm(rows[some], rows[start : start + step].unsqueeze(2)).squeeze(2)
        exact, order = exact.sort(dim=1, descending=True, stable=True)
        similarities[start : start + step] = exact[:, :k].clamp(-1.0, 1.0)
        indices[start : start + step] = some.gather(1, order)[:, :k].to(torch.int32)
    return indices, similarities

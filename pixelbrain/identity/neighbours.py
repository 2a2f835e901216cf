"""Nearest neighbours by cosine: exact in blocks up to a quarter of a million vectors, by cells above."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pixelbrain.engine.shards import OverShards, Shared, in_threads
from pixelbrain.identity.cells import Cells, parts

if TYPE_CHECKING:
    import torch


logger = logging.getLogger(__name__)

#: Up to this many vectors every pair is compared. On 2 cores 100k x 512 take about 45 s, and the time grows with the
#: square; by cells 100k take 20 s, and the time grows a little faster than their number.
EXACT_LIMIT = 250_000
_EXACT_LIMIT_CUDA = 4_000_000  # 8 GB of 512 float32 on the device
_RECALL_SAMPLE = 1000  # rows that are compared with all others, to say how many of their neighbours the cells found

# So few are compared by NumPy, in less than the 2 s that torch takes to be imported.
_FEW = 1_000

# Similarities held at once by a thread: 2 ** 26 of bfloat16 are 128 MiB. Fewer slow the matrix product down.
_BLOCK_CELLS = 2**26
_BLOCKS = 8  # at the least, so that few rows are several threads' work, too

# From so many vectors on, several machines are quicker than one: Ray and torch take 15 s to start there.
_ELSEWHERE_FROM = 50_000

# From this many vectors on, the product is taken in bfloat16 where the hardware multiplies it (two to eight times as
# fast). That rounds a similarity by up to 0.004, so spare candidates are kept, and ranked by their float32 similarity.
_REDUCED_PRECISION_FROM = 16_384
_SPARE_CANDIDATES = 12


def nearest_neighbours(
    vectors: np.ndarray, k: int, *, exact: bool | None = None, over: OverShards = in_threads
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest other rows of every row.

    Args:
        vectors: float32 (n, d), rows of unit length.
        k: neighbours a row; at most n - 1 are returned.
        exact: compare all pairs; None: up to `EXACT_LIMIT` vectors (4 million on a GPU). Otherwise those in the cells
            nearest to each row are, see `pixelbrain.identity.cells`, and the log says what part of the neighbours of a
            sample they found.
        over: where the work is done, such as `engine.shards.on_ray`; little of it, and a GPU's, is done here. The rows
            are the same wherever, and however many do it, on processors of one kind.

    Returns:
        int32 (n, k) row numbers, -1 where the cells hold fewer, and float32 (n, k) cosine similarities (-1 there),
        nearest first, the lower row number first among equals. A row is not its own neighbour. Beside the vectors and
        the result some 200 MB a thread are used, and half as much as the vectors.
    """
    n = len(vectors)
    k = min(k, n - 1)
    if k < 1:
        return np.empty((n, 0), np.int32), np.empty((n, 0), np.float32)
    if n <= min(_FEW, EXACT_LIMIT) and exact is not False:
        return _of_few(vectors, k)

    import torch

    from pixelbrain.modules.inference import choose_dtype

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if exact is None:
        exact = n <= (_EXACT_LIMIT_CUDA if device == "cuda" else EXACT_LIMIT)
    if device == "cuda" or n < _ELSEWHERE_FROM:
        over = in_threads
    indices, similarities = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
    with torch.inference_mode():
        rows = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32)).to(device)
        reduced = n >= _REDUCED_PRECISION_FROM and choose_dtype("auto", device) is torch.bfloat16
        compared = rows.bfloat16() if reduced else rows
        among = _All(compared) if exact else Cells(compared, over)
        del compared
        search = _Search(rows, among, k, min(k + _SPARE_CANDIDATES, n - 1) if reduced else k)
        done: Iterator[list[_Ranked]] = over(_search, search, parts(among.units))
        for numbers, found, alike in itertools.chain.from_iterable(done):
            indices[numbers], similarities[numbers] = found, alike
        if not exact:
            logger.info(
                "%d vectors: not all pairs are compared; of a sample's neighbours %.1f %% are found",
                n,
                100 * recall(rows, torch.from_numpy(indices).to(device)),
            )
    return indices, similarities


#: int64 (m,), which rows they are, int32 (m, k), and float32 (m, k), see `nearest_neighbours`.
_Ranked = tuple[np.ndarray, np.ndarray, np.ndarray]


class _Search(Shared):
    """The `k` best of all rows, of so many candidates that are found among all, or in cells."""

    def __init__(self, rows: torch.Tensor, among: _All | Cells, k: int, candidates: int) -> None:
        self.rows, self.among, self.k, self.candidates = rows, among, k, candidates


def _search(of: _Search, units: range) -> list[_Ranked]:
    """By block of a shard."""
    import torch

    with torch.inference_mode():
        blocks = of.among.blocks(units, of.candidates)
        ranked = ((numbers, *_rank(of.rows[numbers], of.rows, found, of.k)) for numbers, found in blocks)
        return [(which.cpu().numpy(), found.cpu().numpy(), alike.cpu().numpy()) for which, found, alike in ranked]


class _All(Shared):
    """Each row is to be compared with all others, a block of rows at a time."""

    def __init__(self, rows: torch.Tensor) -> None:
        self.rows = rows

    @property
    def units(self) -> range:
        """The first row of each block."""
        n = len(self.rows)
        return range(0, n, max(1, min(_BLOCK_CELLS // n, -(-n // _BLOCKS))))

    def blocks(self, starts: range, count: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Of each block, as `Cells.blocks`."""
        import torch

        n = len(self.rows)
        space = self.rows.new_empty((starts.step, n))
        for start in starts:
            numbers = torch.arange(start, min(start + starts.step, n), device=self.rows.device)
            similarity = torch.mm(self.rows[start : start + starts.step], self.rows.T, out=space[: len(numbers)])
            similarity[:, start:].fill_diagonal_(-2.0)  # itself: below every cosine
            yield numbers, similarity.topk(count, dim=1).indices


def _of_few(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    similarity = np.einsum("id,jd->ij", vectors, vectors, dtype=np.float32)  # in a product, copies may differ a little
    np.fill_diagonal(similarity, -2.0)  # itself: below every cosine
    found = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return found.astype(np.int32), np.take_along_axis(similarity, found, axis=1).clip(-1.0, 1.0)


def nearest_among(vectors: np.ndarray, others: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` of `others` (m, d), of any length, with the highest product with each of `vectors` (n, d), all compared.

    Returns:
        int32 (n, k) row numbers of `others` and float32 (n, k) products, the highest first; k is m, if that is less.
    """
    import torch

    from pixelbrain.modules.inference import choose_dtype

    k = min(k, len(others))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.inference_mode():
        rows, columns = (torch.from_numpy(np.ascontiguousarray(of, np.float32)).to(device) for of in (vectors, others))
        dtype = choose_dtype("auto", device) if len(others) >= _REDUCED_PRECISION_FROM else torch.float32
        reduced, step = columns.to(dtype).T, max(1, _BLOCK_CELLS // max(1, len(others)))
        candidates = min(k + _SPARE_CANDIDATES, len(others))
        found = [(some.to(dtype) @ reduced).topk(candidates, dim=1).indices for some in rows.split(step)]
        indices, products = _rank(rows, columns, torch.cat(found), k)
    return indices.cpu().numpy(), products.cpu().numpy()


def recall(rows: torch.Tensor, indices: torch.Tensor, sample: int = _RECALL_SAMPLE) -> float:
    """The part, 0 to 1, of the nearest other rows of a sample that is among `indices`, int (n, k), of all rows."""
    import torch

    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:sample].to(rows.device)
    hits = 0
    for some in chosen.split(max(1, _BLOCK_CELLS // len(rows))):
        similarity = rows[some] @ rows.T
        similarity[torch.arange(len(some)), some] = -2.0
        nearest = similarity.topk(indices.shape[1], dim=1).indices
        hits += int((nearest[:, :, None] == indices[some][:, None, :]).any(dim=2).sum())
    return hits / (len(chosen) * indices.shape[1])


def _rank(rows: torch.Tensor, others: torch.Tensor, found: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The best `k` of the found others, -1: none, by their float32 similarity, equals by row number."""
    import torch

    found = found.sort(dim=1).values  # so that a stable sort leaves equals in the order of their row numbers
    indices = torch.empty((len(rows), k), dtype=torch.int32, device=rows.device)
    similarities = torch.empty((len(rows), k), device=rows.device)
    step = 256  # rows x 32 candidates x 512 float32 are 16 MiB: what is larger is taken from the system each time
    for start in range(0, len(rows), step):
        some = found[start : start + step]
        exact = torch.bmm(others[some.clamp(min=0)], rows[start : start + step].unsqueeze(2)).squeeze(2)
        exact[some < 0] = -1.0
        exact, order = exact.sort(dim=1, descending=True, stable=True)
        similarities[start : start + step] = exact[:, :k].clamp(-1.0, 1.0)
        indices[start : start + step] = some.gather(1, order)[:, :k].to(torch.int32)
    return indices, similarities

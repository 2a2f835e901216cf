"""Nearest neighbours of many vectors: those in the cells nearest to each, so that most pairs are never compared.

What faiss calls an inverted file (IVF), for all rows at once: the rows of a cell are multiplied with those of the cells
near it, so that all work is a few thousand matrix products, in bfloat16 where there is hardware for it, or on a GPU.

faiss itself (faiss-cpu 1.15.1) answers each row by itself, without matrix products, and takes longer for equal recall.
Of 288,000 made-up faces, seconds of one core and recall of the neighbours at a cosine of .45 or more: here 132 and .96;
IVF with 2,146 cells and nprobe 16, 32 and 64: 230, 397 and 645, and .92, .94 and .96. With 4-bit product quantization
(PQ128x4fsr, the best 84 rescored) nprobe 16 and 128 find .75 and .79.
"""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Of 96,000 made-up faces (see `benchmarks/synthetic_faces.py`) 64 near cells find 98 % of the neighbours that linkage
# would use. More and smaller cells follow people better; as many as there are rows take as long as all pairs.
_CELLS_A_ROOT = 16  # cells: so many times the square root of the number of rows
_NEAR = 128  # cells that a row is compared with, its own among them
_TRAINING_ROWS = 8  # a cell
_ROUNDS = 3  # of k-means
_ROWS_AT_ONCE = 2048
_SIMILARITIES_AT_ONCE = 2**24  # a thread
# oneDNN keeps 0.7 MB for each shape of a product, of the last thousand, and makes a program of it: few are met twice.
_HEIGHT, _WIDTH = 32, 1024  # products are of multiples of these


def best_in_cells(rows: torch.Tensor, count: int) -> torch.Tensor:
    """int64 (n, count): the other rows that are most similar, of those in the cells nearest to each row; -1: none.

    Args:
        rows: (n, d), of unit length, on any device; bfloat16 where that multiplies faster.
        count: rows wanted.
    """
    import torch

    n = len(rows)
    cells = max(1, min(int(_CELLS_A_ROOT * n**0.5), n // _TRAINING_ROWS))
    centres = _centres(rows, cells)
    cell = _nearest(rows, centres)
    sizes = torch.bincount(cell, minlength=cells).tolist()
    order = cell.sort(stable=True).indices
    ordered = rows[order]
    vectors, numbers = ordered.split(sizes), order.split(sizes)  # by cell
    begin = [0, *itertools.accumulate(sizes)]
    near = (centres @ centres.T).fill_diagonal_(2.0).topk(min(_NEAR, cells), dim=1).indices  # its own first
    best = torch.full((n, count), -1, dtype=torch.int64, device=rows.device)
    of_thread = threading.local()

    def search(own: int, others: list[int]) -> None:
        if not sizes[own]:
            return
        known = torch.cat([numbers[other] for other in others])
        wide = -(-len(known) // _WIDTH) * _WIDTH
        space = getattr(of_thread, "space", rows[:0])  # kept: memory that is new each time takes as long as the product
        if len(space) < wide:
            of_thread.space = space = rows.new_empty((wide, rows.shape[1]))
        torch.cat([vectors[other] for other in others], out=space[: len(known)])
        at_once = max(1, _SIMILARITIES_AT_ONCE // len(known))
        with torch.inference_mode():
            for start in range(0, sizes[own], at_once):
                high, first = min(at_once, sizes[own] - start), begin[own] + start
                some = ordered[first : first + -(-high // _HEIGHT) * _HEIGHT]
                similarity = (some @ space[:wide].T)[:high, : len(known)]  # beyond are others' rows, or nothing's
                similarity[:, start:].fill_diagonal_(-2.0)  # itself: below every cosine
                found = similarity.topk(min(count, len(known) - 1), dim=1).indices
                best[numbers[own][start : start + at_once], : found.shape[1]] = known[found]

    # A thread a cell: many threads at one small product wait for each other, and burn ten times the work on a busy
    # machine. The products are the same ones whichever thread takes them.
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(search, range(cells), near.tolist()))
    torch.set_num_threads(threads)
    return best


def _centres(rows: torch.Tensor, cells: int) -> torch.Tensor:
    """(cells, d): directions by spherical k-means on a sample, the same for the same rows."""
    import torch

    chance = torch.Generator().manual_seed(0)
    sample = rows[torch.randperm(len(rows), generator=chance)[: cells * _TRAINING_ROWS].to(rows.device)]
    centres = sample[:cells].clone()
    for _ in range(_ROUNDS):
        nearest = _nearest(sample, centres)
        sums = torch.zeros(centres.shape, device=rows.device).index_add_(0, nearest, sample.float())
        met = sums.norm(dim=1) > 0  # a cell without a row stays where it is
        centres[met] = torch.nn.functional.normalize(sums[met]).to(rows.dtype)
    return centres


def _nearest(rows: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """int64 (n,): the number of each row's nearest centre."""
    import torch

    space = rows.new_empty((_ROWS_AT_ONCE, len(centres)))  # one, as memory that is new each time costs as much again
    products = (torch.mm(some, centres.T, out=space[: len(some)]) for some in rows.split(_ROWS_AT_ONCE))
    return torch.cat([product.max(dim=1).indices for product in products])  # argmax takes four times as long

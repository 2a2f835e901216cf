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
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pixelbrain.engine.shards import OverShards, Shared

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
#: How many shards work is cut into, that so many workers have something to do.
SHARDS = 128
# oneDNN keeps 0.7 MB for each shape of a product, of the last thousand, and makes a program of it: few are met twice.
_HEIGHT, _WIDTH = 32, 1024  # products are of multiples of these


class Cells(Shared):
    """Rows by cell, each to be compared with those of the cells nearest to its own.

    Args:
        rows: (n, d), of unit length, on any device; bfloat16 where that multiplies faster.
        over: where the work is done.
    """

    def __init__(self, rows: torch.Tensor, over: OverShards) -> None:
        import torch

        n = len(rows)
        count = max(1, min(int(_CELLS_A_ROOT * n**0.5), n // _TRAINING_ROWS))
        centres = _centres(rows, count, over)
        cell = _nearest(rows, centres, over)
        self.order = cell.sort(stable=True).indices  # int64 (n,): which row each of `ordered` is
        self.ordered = rows[self.order]
        self.begin = [0, *itertools.accumulate(torch.bincount(cell, minlength=count).tolist())]  # of each cell
        near = (centres @ centres.T).fill_diagonal_(2.0).topk(min(_NEAR, count), dim=1).indices  # its own first
        self.near = near.cpu().numpy()

    @property
    def units(self) -> range:
        """What a shard holds some of."""
        return range(len(self.near))

    def blocks(self, cells: range, count: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Of the rows of each cell: int64 (m,), which they are, and (m, count), the rows most similar to each, of those
        in the cells nearest to its own; -1: none."""
        import torch

        space = self.ordered[:0]  # kept: memory that is new each time takes as long as the product
        for own in cells:
            first, last = self.begin[own : own + 2]
            others = [slice(*self.begin[other : other + 2]) for other in self.near[own].tolist()]
            if first == last:
                continue
            known = torch.cat([self.order[other] for other in others])
            wide = -(-len(known) // _WIDTH) * _WIDTH
            if len(space) < wide:
                space = self.ordered.new_empty((wide, self.ordered.shape[1]))
            torch.cat([self.ordered[other] for other in others], out=space[: len(known)])
            at_once = max(1, _SIMILARITIES_AT_ONCE // len(known))
            for start in range(first, last, at_once):
                high = min(at_once, last - start)
                some = self.ordered[start : start + -(-high // _HEIGHT) * _HEIGHT]
                similarity = (some @ space[:wide].T)[:high, : len(known)]  # beyond are others' rows, or nothing's
                similarity[:, start - first :].fill_diagonal_(-2.0)  # itself: below every cosine
                best = similarity.topk(min(count, len(known) - 1), dim=1).indices
                found = torch.full((high, count), -1, dtype=torch.int64, device=space.device)
                found[:, : best.shape[1]] = known[best]
                yield self.order[start : start + high], found


class _Nearest(Shared):
    """Rows, and centres of which each is to have the nearest."""

    def __init__(self, rows: torch.Tensor, centres: torch.Tensor) -> None:
        self.rows, self.centres = rows, centres


def _nearest(rows: torch.Tensor, centres: torch.Tensor, over: OverShards) -> torch.Tensor:
    """int64 (n,): the number of each row's nearest centre."""
    import torch

    found = over(_nearest_of, _Nearest(rows, centres), parts(range(0, len(rows), _ROWS_AT_ONCE)))
    return torch.from_numpy(np.concatenate(list(found))).to(rows.device)


def _nearest_of(of: _Nearest, starts: range) -> np.ndarray:
    import torch

    # one, as memory that is new each time costs as much again
    space = of.rows.new_empty((_ROWS_AT_ONCE, len(of.centres)))
    with torch.inference_mode():
        blocks = (of.rows[start : start + _ROWS_AT_ONCE] for start in starts)
        products = (torch.mm(some, of.centres.T, out=space[: len(some)]) for some in blocks)
        return (
            torch.cat([product.max(dim=1).indices for product in products]).cpu().numpy()
        )  # argmax takes 4 times that


def _centres(rows: torch.Tensor, cells: int, over: OverShards) -> torch.Tensor:
    """(cells, d): directions by spherical k-means on a sample, the same for the same rows."""
    import torch

    chance = torch.Generator().manual_seed(0)
    sample = rows[torch.randperm(len(rows), generator=chance)[: cells * _TRAINING_ROWS].to(rows.device)]
    centres = sample[:cells].clone()
    for _ in range(_ROUNDS):
        nearest = _nearest(sample, centres, over)
        sums = torch.zeros(centres.shape, device=rows.device).index_add_(0, nearest, sample.float())
        met = sums.norm(dim=1) > 0  # a cell without a row stays where it is
        centres[met] = torch.nn.functional.normalize(sums[met]).to(rows.dtype)
    return centres


def parts(units: range) -> Sequence[range]:
    """The units in `SHARDS` shards or fewer, each some that follow on each other."""
    size = -(-len(units) // SHARDS)
    return [units[start : start + size] for start in range(0, len(units), max(1, size))]

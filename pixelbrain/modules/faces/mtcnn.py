"""facenet-pytorch's MTCNN over photos of any sizes at once: the same faces, in about half of the time.

Its own time goes, for a photo of 1024 px on one core, into resizing (68 of 207 ms: the photo to eleven sizes, and some
190 crops, one by one), and into networks that are given their input in an order of memory that is slow to convolve.
Here a photo is summed up once, and the mean of any of its rectangles is then four numbers out of a table, which is what
resizing by area takes: every size of the photo and all crops come out of few calls, equal to the last bit or two.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from pixelbrain.images.torchvision import import_torchvision

_AT_ONCE_PX = 2**20  # of photos, whose sums take 12 bytes a pixel, and five times that for a moment
_PNET_PX = 2**19  # of resized ones that go through the first network together: 40 bytes each, and 80 for a moment
_STRIDE, _CELL = 2, 12  # of the first network, in pixels: it says of each square of 12 px, every 2 px, if it is a face


class Detected(NamedTuple):
    """The faces of one photo, in its pixels."""

    boxes: np.ndarray  # float32 (n, 4): x1, y1, x2, y2; may reach over the edges
    scores: np.ndarray  # float32 (n,): detection probabilities
    points: np.ndarray  # float32 (n, 5, 2): eyes, nose, corners of the mouth


class Mtcnn:
    """The three networks, whose weights come in facenet-pytorch's wheel."""

    def __init__(self, min_face_px: int, device: str = "cpu") -> None:
        """Load them; no face smaller than `min_face_px` is looked for."""
        import_torchvision()
        from facenet_pytorch import MTCNN

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # older torch: on its own torch.load of its own files
            net = MTCNN(keep_all=True, min_face_size=min_face_px, select_largest=False, device=device)
        self.net = net.eval()
        _widen(self.net.pnet)
        _widen(self.net.rnet)
        self.net.to(memory_format=torch.channels_last)
        self.device = torch.device(device)

    @torch.inference_mode()
    def find(self, photos: Sequence[np.ndarray]) -> list[Detected]:
        """The faces of each photo, uint8 (H, W, 3), RGB; one smaller than the smallest face has none."""
        found: list[Detected] = [_NOTHING] * len(photos)
        chunk: list[int] = []
        pixels = 0
        for index in sorted(range(len(photos)), key=lambda index: photos[index].shape):
            size = photos[index].shape[0] * photos[index].shape[1]
            if chunk and pixels + size > _AT_ONCE_PX:
                self._find(photos, chunk, found)
                chunk, pixels = [], 0
            chunk.append(index)
            pixels += size
        self._find(photos, chunk, found)
        return found

    def _find(self, photos: Sequence[np.ndarray], chunk: list[int], found: list[Detected]) -> None:
        """Put into `found` what the photos of these indices show; those of the same shape follow each other."""
        from facenet_pytorch.models.utils.detect_face import bbreg, nms_numpy, rerec

        sums: list[Tensor] = []  # of each photo of the chunk
        proposals, whose = [], []
        for _, same in groupby(chunk, key=lambda index: photos[index].shape):
            group = _sum_up(np.stack([photos[index] for index in same]), self.device)
            for boxes, one in self._propose(group):
                proposals.append(boxes)
                whose.append(one + len(sums))
            sums += group
        if not sum(map(len, proposals)):
            return
        boxes, owner = torch.cat(proposals), torch.cat(whose)
        pick = _suppress(boxes, owner)
        boxes, owner = boxes[pick], owner[pick]
        size = (boxes[:, 2:4] - boxes[:, :2]).repeat(1, 2)
        boxes = rerec(torch.cat([boxes[:, :4] + boxes[:, 5:] * size, boxes[:, 4:5]], dim=1))

        moves, chances = self._look(self.net.rnet, sums, boxes, owner, 24)
        score = chances[:, 1]
        sure = score > self.net.thresholds[1]
        if not sure.any():  # the next network, given nothing, would fail
            return
        boxes, owner, moves = torch.cat([boxes[sure, :4], score[sure, None]], dim=1), owner[sure], moves[sure]
        pick = _suppress(boxes, owner)
        boxes, owner = rerec(bbreg(boxes[pick], moves[pick])), owner[pick]

        moves, points, chances = self._look(self.net.onet, sums, boxes, owner, 48)
        score = chances[:, 1]
        sure = score > self.net.thresholds[2]
        boxes, owner, moves = torch.cat([boxes[sure, :4], score[sure, None]], dim=1), owner[sure], moves[sure]
        extent = boxes[:, 2:4] - boxes[:, :2] + 1
        points = points[sure].view(-1, 2, 5).transpose(1, 2) * extent[:, None] + boxes[:, None, :2] - 1
        rows, at, of = (values.cpu().numpy() for values in (bbreg(boxes, moves), points, owner))
        for place, index in enumerate(chunk):
            mine = np.flatnonzero(of == place)
            if len(mine):
                mine = mine[nms_numpy(rows[mine, :4], rows[mine, 4], 0.7, "Min")]
                found[index] = Detected(rows[mine, :4], rows[mine, 4], at[mine])

    def _propose(self, sums: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """What the first network takes for faces in photos of one size, by size that it looks at them in.

        Float (n, 9), a box, its score and how far to move its sides, in shares of its size; and int64 (n,), whose it
        is.
        """
        from torchvision.ops import batched_nms

        width, height = (side - 1 for side in sums.shape[2:])
        for scale in self._scales(min(width, height)):
            to = (int(width * scale + 1), int(height * scale + 1))
            windows = [
                _windows(torch.tensor([side]), n, self.device) for side, n in zip((width, height), to, strict=True)
            ]
            many = max(1, _PNET_PX // (to[0] * to[1]))
            for first in range(0, len(sums), many):
                score, moves, (whose, y, x) = self._first_network(_shrink(sums[first : first + many], windows))
                cells = torch.stack([x, y], dim=1) * _STRIDE
                corners = torch.cat([cells + 1, cells + _CELL], dim=1).float().div(scale).floor()
                pick = batched_nms(corners, score, whose, 0.5)
                yield torch.cat([corners, score[:, None], moves], dim=1)[pick], whose[pick] + first

    def _scales(self, short_px: int) -> Iterator[float]:
        scale = _CELL / self.net.min_face_size
        short = short_px * scale
        while short >= _CELL:
            yield scale
            scale, short = scale * self.net.factor, short * self.net.factor

    def _first_network(self, photos: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Scores (n,), moves (n, 4) and cells (photo, y, x) of what it takes for faces; moves are of these alone."""
        net = self.net.pnet
        seen = net.pool1(net.prelu1(net.conv1(photos)))
        seen = net.prelu3(net.conv3(net.prelu2(net.conv2(seen)))).permute(0, 2, 3, 1)
        chances, moves = net.conv4_1, net.conv4_2  # of 1 px: products of a matrix with each cell
        odds = seen @ (chances.weight[1] - chances.weight[0])[:, 0, 0] + (chances.bias[1] - chances.bias[0])
        score = odds.sigmoid()
        cells = (score >= self.net.thresholds[0]).nonzero(as_tuple=True)
        return score[cells], seen[cells] @ moves.weight[:, :, 0, 0].T + moves.bias, cells

    def _look(self, net: Any, sums: Sequence[Tensor], boxes: Tensor, owner: Tensor, side_px: int) -> tuple[Tensor, ...]:
        """What a network says of boxes, at most 512 at a time, as a crowd has thousands."""
        from facenet_pytorch.models.utils.detect_face import fixed_batch_process

        crops = torch.empty((len(boxes), 3, side_px, side_px), device=self.device)
        crops = crops.contiguous(memory_format=torch.channels_last)
        for index, table in enumerate(sums):
            mine = (owner == index).nonzero()[:, 0]
            if len(mine):
                crops[mine] = _crop(table, boxes[mine, :4], side_px)
        return fixed_batch_process(crops, net)


def _widen(net: Any) -> None:
    """Let the first convolution have 16 or 32 channels, the new ones zeros: as before, by a tenth quicker on a CPU."""
    first, slopes, second = net.conv1, net.prelu1, net.conv2
    more = -first.out_channels % 16
    for owner, name, sides in (
        (first, "weight", (0, 0, 0, 0, 0, 0, 0, more)),
        (first, "bias", (0, more)),
        (slopes, "weight", (0, more)),
        (second, "weight", (0, 0, 0, 0, 0, more)),
    ):
        setattr(owner, name, nn.Parameter(pad(getattr(owner, name).detach(), sides), requires_grad=False))
    first.out_channels = slopes.num_parameters = second.in_channels = first.out_channels + more


_NOTHING = Detected(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))


def _sum_up(photos: np.ndarray, device: torch.device) -> Tensor:
    """Of each pixel's corner the sum of all pixels above and to the left: int32 (N, 3, W + 1, H + 1).

    Args:
        photos: uint8 (N, H, W, 3). Sums of more than 8 megapixels run over, which their differences undo.
    """
    pixels = torch.from_numpy(photos).to(device).permute(0, 3, 1, 2).contiguous().int()
    # Sums along the last axis, which lies together in memory, take a tenth of the time of those along another; and
    # rows of 1,024 numbers, which share places in the cache, take ten times as long to transpose as those of 1,025.
    rows = pad(pixels.cumsum(3, dtype=torch.int32), (1, 0)).transpose(2, 3).contiguous()
    return pad(rows.cumsum(3, dtype=torch.int32), (1, 0))


def _windows(sizes: Tensor, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where the `count` parts begin and end that sizes (n,) are resized to: int64 (n, count), as `interpolate` does."""
    steps, sizes = torch.arange(count, device=device), sizes.to(device)[:, None]
    return steps * sizes // count, -(-(steps + 1) * sizes // count)


def _shrink(sums: Tensor, windows: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Photos at a smaller size, as the networks see them: float32 (N, 3, h, w)."""
    (left, right), (top, bottom) = ((begin[0], end[0]) for begin, end in windows)
    columns = sums.index_select(2, right).sub_(sums.index_select(2, left))
    # along the last axis `gather` takes a quarter of the time of `index_select`
    above, below = (columns.gather(3, rows.expand(*columns.shape[:3], -1)) for rows in (top, bottom))
    total = below.sub_(above).transpose(2, 3)
    return _normalise(total, (bottom - top)[:, None] * (right - left)).contiguous(memory_format=torch.channels_last)


def _crop(sums: Tensor, boxes: Tensor, side_px: int) -> Tensor:
    """Boxes (n, 4) of a photo, as far as they are inside it, as the networks see them: float32 (n, 3, side, side).

    One wholly outside keeps a pixel, of which facenet-pytorch makes an IndexError; that is no face to any network.
    """
    edge = torch.tensor(sums.shape[1:], device=sums.device) - 1  # width, height
    begin = torch.minimum(boxes[:, :2].trunc().long().clamp(min=1), edge)
    end = torch.maximum(torch.minimum(boxes[:, 2:].trunc().long(), edge), begin)
    begin -= 1
    (left, right), (top, bottom) = (_windows((end - begin)[:, axis], side_px, sums.device) for axis in (0, 1))
    left, right = (values + begin[:, :1] for values in (left, right))
    top, bottom = (values + begin[:, 1:] for values in (top, bottom))
    flat, stride = sums.flatten(1), sums.shape[2]

    def at(x: Tensor, y: Tensor) -> Tensor:
        places = x[:, None, :] * stride + y[:, :, None]
        return flat.gather(1, places.flatten().expand(3, -1)).view(3, *places.shape)

    total = at(right, bottom) - at(left, bottom) - at(right, top) + at(left, top)
    return _normalise(total, (bottom - top)[:, :, None] * (right - left)[:, None, :]).transpose(0, 1)


def _suppress(boxes: Tensor, owner: Tensor) -> Tensor:
    """Which of boxes (n, 5), a score the last, stay of those that overlap, of each photo the best first.

    One photo at a time: among others, `batched_nms` rounds coordinates, and takes another of two equal scores.
    """
    from torchvision.ops import nms

    kept = []
    for one in owner.unique():
        mine = (owner == one).nonzero()[:, 0]
        kept.append(mine[nms(boxes[mine, :4], boxes[mine, 4], 0.7)])
    return torch.cat(kept)


def _normalise(total: Tensor, area: Tensor) -> Tensor:
    return total.div(area).sub_(127.5).mul_(0.0078125)

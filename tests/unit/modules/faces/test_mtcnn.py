"""The detector over batches: what facenet-pytorch finds in each photo alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from facenet_pytorch import MTCNN
from PIL import Image

from pixelbrain.modules.faces.mtcnn import Mtcnn


def resized(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def test_photos_of_any_sizes_have_the_faces_that_facenet_pytorch_finds_in_each(photo: Callable) -> None:
    astronaut, coffee, cat = (photo(name).pixels for name in ("astronaut.png", "coffee.png", "chelsea.png"))
    crowd = np.tile(resized(astronaut, 201, 190), (4, 5, 1))
    photos = [
        coffee,
        astronaut,
        crowd,
        np.ascontiguousarray(astronaut[75:400, 190:500]),  # a face over the edge
        resized(astronaut, 512, 512)[:, ::-1].copy(),  # of a size that another has
        cat,
        resized(astronaut, 97, 131),
        np.zeros((19, 300, 3), np.uint8),
    ]
    theirs = MTCNN(keep_all=True, select_largest=False).eval()
    found = Mtcnn(20).find(photos)
    assert len(found) == len(photos)
    for pixels, (boxes, scores, points) in zip(photos, found, strict=True):
        expected = theirs.detect(pixels, landmarks=True) if min(pixels.shape[:2]) >= 20 else [None]
        if expected[0] is None:
            assert len(boxes) == len(scores) == len(points) == 0
            continue
        assert len(boxes) == len(expected[0])
        nearest = np.abs(expected[0][:, None] - boxes).max(axis=2).argmin(axis=1)
        assert sorted(nearest) == list(range(len(boxes)))
        for mine, reference, atol in zip((boxes, scores, points), expected, (0.5, 1e-3, 0.5), strict=True):
            np.testing.assert_allclose(mine[nearest], reference.astype(np.float32), atol=atol)
    assert len(found[2].boxes) >= 20 and len(found[1].boxes) == len(found[4].boxes) == 1


def test_more_photos_than_go_together_are_done_in_parts(photo: Callable, monkeypatch) -> None:
    pixels = photo("astronaut.png").pixels
    photos = [pixels, pixels[:, ::-1].copy(), np.zeros((300, 300, 3), np.uint8), pixels]
    together = Mtcnn(20).find(photos)
    assert Mtcnn(20).find([]) == []
    monkeypatch.setattr("pixelbrain.modules.faces.mtcnn._AT_ONCE_PX", 1)
    monkeypatch.setattr("pixelbrain.modules.faces.mtcnn._PNET_PX", 1)
    for one, other in zip(together, Mtcnn(20).find(photos), strict=True):
        assert len(one.boxes) == len(other.boxes)
        np.testing.assert_allclose(one.boxes, other.boxes, atol=0.5)
    assert [len(one.boxes) for one in together] == [1, 1, 0, 1]

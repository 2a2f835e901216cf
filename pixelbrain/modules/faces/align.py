"""A face out of its photo: turned, scaled and moved so that its landmarks are where models look for them."""

from __future__ import annotations

import numpy as np
from PIL import Image

CHIP_PX = 112
#: Eyes, nose and corners of the mouth in a chip: what InsightFace trains and publishes ArcFace's models with
#: (insightface/utils/face_align.py).
CHIP_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


def align(photo: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Of a photo, uint8 (H, W, 3), RGB, the face whose landmarks, (5, 2) in its pixels, these are: uint8 (112, 112, 3).

    Black is outside.
    """
    # from the chip's pixels to the photo's; Pillow counts from a pixel's corner, and landmarks are of its middle
    matrix = similarity(CHIP_POINTS + 0.5, landmarks + 0.5)
    factor = max(1, int(np.hypot(*matrix[:, 0])))  # most pixels of a large face would not be looked at: reduced first
    corners = np.array([[0, 0], [CHIP_PX, 0], [0, CHIP_PX], [CHIP_PX, CHIP_PX]]) @ matrix[:, :2].T + matrix[:, 2]
    x1, y1 = np.clip(np.floor(corners.min(axis=0)).astype(int) - factor, 0, None).tolist()
    x2, y2 = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + factor, photo.shape[1::-1]).tolist()
    if x1 >= x2 or y1 >= y2:
        return np.zeros((CHIP_PX, CHIP_PX, 3), np.uint8)
    part = Image.fromarray(photo[y1:y2, x1:x2]).reduce(factor)
    matrix = np.column_stack([matrix[:, :2], matrix[:, 2] - (x1, y1)]) / factor
    how = Image.Transform.AFFINE
    return np.asarray(part.transform((CHIP_PX, CHIP_PX), how, tuple(matrix.ravel()), Image.Resampling.BILINEAR))


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(2, 3): the turn, scale and shift that bring points (n, 2) nearest to others, by least squares (Umeyama 1991)."""
    middle, to = source.mean(axis=0), target.mean(axis=0)
    x, y = (source - middle).T
    u, v = (target - to).astype(np.float64).T
    # turn and scale together are one complex number, which least squares of complex numbers gives
    a, b = np.array([x @ u + y @ v, x @ v - y @ u]) / (x @ x + y @ y)
    turn = np.array([[a, -b], [b, a]])
    return np.column_stack([turn, to - turn @ middle])


def turn_back(points: np.ndarray, turn: int, width: float, height: float) -> np.ndarray:
    """Points (..., 2) in a picture that was turned clockwise by `turn` degrees, in it as it is shown, of this size."""
    x, y = points[..., 0], points[..., 1]
    shown = {0: (x, y), 90: (y, height - x), 180: (width - x, height - y), 270: (width - y, x)}[turn]
    return np.stack(shown, axis=-1)

"""How a face looks: whether it is upright, and whether its eyes and its mouth are to be seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

_ONET_PX = 48  # of the square that MTCNN's last network sees
#: Below these, hidden. Of 109 faces on data/people and the samples, covered by what was painted over them: a pair of
#: dark glasses makes the light parts of the eyes (the upper quartile) darker than half the cheeks, 96 % (of tinted ones
#: 95 %), and bare eyes of one face, in the shade; skin and fingers before an eye leave it less contrast than 0.11 of
#: the cheeks' light, 75 %, and bare eyes at least 0.13; a hand or a mask before the mouth leaves no lips, of which the
#: rows of pixels differ by 0.06 of the cheeks' light or more: 87 % and 97 %.
_EYE_LIGHT, _EYE_CONTRAST, _MOUTH_CONTRAST = 0.5, 0.11, 0.045


def measure_visible(chip: np.ndarray) -> float:
    """How well both eyes and the mouth are to be seen; below 1 one of them is covered, or not in the picture.

    Of a face as `modules.faces.align` aligns it, each by the grey levels there beside those of the cheeks, whatever the
    skin.

    Args:
        chip: uint8 (112, 112, 3), RGB.
    """
    grey = np.asarray(Image.fromarray(chip).convert("L"), np.float32)
    cheeks = max(1.0, float(np.median(grey[60:80, np.r_[30:46, 66:82]])))
    eyes = [grey[44:60, x - 10 : x + 10] for x in (38, 74)]
    mouth = grey[80:106, 44:68]
    measured = (
        min(float(np.percentile(eye, 75)) for eye in eyes) / _EYE_LIGHT,
        min(float(eye.std()) for eye in eyes) / _EYE_CONTRAST,
        float(mouth.mean(axis=1).std()) / _MOUTH_CONTRAST,
    )
    return min(measured) / cheeks


def measure_turns(onet: Any, photo: Image.Image, boxes: np.ndarray, device: Any = "cpu") -> np.ndarray:
    """How sure MTCNN's last network is of faces, turned clockwise by 0, 90, 180 and 270 degrees.

    It was shown upright faces alone when it was trained, and also takes a face upside down for one; but turned upright
    it is surer of it.

    Args:
        onet: the network.
        photo: RGB.
        boxes: float (n, 4), x1, y1, x2, y2 in its pixels.

    Returns:
        float32 (n, 4), log odds, the mean with the mirrored face.
    """
    import torch

    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = np.maximum(1, (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2)
    squares = np.round(np.hstack([middle - half, middle + half])).astype(int)
    # as `torch.nn.functional.interpolate` by area, which it was trained behind
    crops = [np.asarray(photo.crop(tuple(s)).resize((_ONET_PX, _ONET_PX), Image.Resampling.BOX)) for s in squares]
    turned = [np.rot90(one, -k) for crop in crops for one in (crop, crop[:, ::-1]) for k in range(4)]
    if not turned:
        return np.empty((0, 4), np.float32)
    found = []
    with torch.inference_mode():
        for start in range(0, len(turned), 512):
            pixels = torch.from_numpy(np.stack(turned[start : start + 512])).to(device).permute(0, 3, 1, 2).float()
            found.append(onet((pixels - 127.5) * 0.0078125)[2][:, 1].double().cpu().numpy())
    sure = np.clip(np.concatenate(found), 1e-7, 1 - 1e-7)
    odds = np.log(sure / (1 - sure)).reshape(-1, 2, 4)
    # what was mirrored, and then turned to the right, is the mirror image of what was turned to the left
    return ((odds[:, 0] + odds[:, 1][:, [0, 3, 2, 1]]) / 2).astype(np.float32)

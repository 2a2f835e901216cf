"""Find every face of a photo: box, landmarks, detection probability, sharpness, and its pixels for an embedder."""

from __future__ import annotations

import dataclasses
import logging
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from pixelbrain.errors import ConfigError
from pixelbrain.images.decode import DecodedImage
from pixelbrain.images.preprocess import FacePreprocessor
from pixelbrain.images.torchvision import import_torchvision
from pixelbrain.modules.weights.find import fetch_weights
from pixelbrain.modules.weights.table import WEIGHTS

logger = logging.getLogger(__name__)
_WEIGHTS = ("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet")
_PREPROCESSOR = FacePreprocessor()


@dataclass(frozen=True, kw_only=True, eq=False)
class Face:
    """One face of one photo."""

    box: np.ndarray  # float32 (4,): x1, y1, x2, y2 in the upright original's pixels, inside it
    landmarks: np.ndarray  # float32 (5, 2): eyes, nose, corners of the mouth, likewise
    score: float  # detection probability, 0 to 1
    sharpness: float  # see `measure_sharpness`
    square: np.ndarray  # uint8 (160, 160, 3), RGB: the box, stretched
    photo: np.ndarray  # uint8 (H, W, 3), RGB: the whole photo as it was decoded
    photo_box: np.ndarray  # float32 (4,): the box in that one's pixels, may reach over its edges


@dataclass(kw_only=True, eq=False)
class FaceDetector:
    """facenet-pytorch's MTCNN, whose weights come in its wheel; they are loaded by `setup`.

    Raises:
        ConfigError: a value that cannot work.
    """

    detect_max_side_px: int = 1024  # detect on a copy no longer than this: the time goes with its area
    min_face_px: int = 20  # the smallest face to look for, in pixels of that copy; MTCNN sees 12 or more
    #: The least detection probability. MTCNN itself lets boxes from 0.7 on through: on 96 photos, 92 of them of
    #: people, all nine from 0.7 to 0.9 were hands, wheels, ornaments and the like.
    min_score: float = 0.9

    def __post_init__(self) -> None:
        if self.min_face_px < 12:
            raise ConfigError(f"min_face_px is {self.min_face_px}; MTCNN's smallest face is 12 px")
        if self.detect_max_side_px < self.min_face_px:
            raise ConfigError(
                f"detect_max_side_px is {self.detect_max_side_px}, less than min_face_px, {self.min_face_px}"
            )
        if not 0 <= self.min_score <= 1:
            raise ConfigError(f"min_score is {self.min_score}; a probability is 0 to 1")

    def settings(self) -> dict[str, object]:
        """What decides the result, as JSON."""
        sha256 = [WEIGHTS[name].sha256 for name in _WEIGHTS]
        return {"detector": "mtcnn", "detector_sha256": sha256, **dataclasses.asdict(self)}

    def prepare(self) -> None:
        """Check the weights. Raises `WeightsError` for others than this was measured with."""
        for name in _WEIGHTS:
            fetch_weights(name)

    def setup(self, device: str = "cpu") -> None:
        """Load the three networks."""
        import_torchvision()
        from facenet_pytorch import MTCNN

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # older torch: on its own torch.load of its own files
            net = MTCNN(keep_all=True, min_face_size=self.min_face_px, select_largest=False, device=device)
        self._mtcnn = net.eval()
        self._detect_face = _tolerant_detect_face()

    def detect(self, image: DecodedImage) -> list[Face]:
        """All faces of a photo, ordered by position: top to bottom, then left to right.

        A photo that is smaller than the smallest face has none.
        """
        photo = image.pil()
        copy = self._shrink(photo)
        boxes, scores, landmarks = self._detect(np.asarray(copy))
        to_photo = np.array([photo.width / copy.width, photo.height / copy.height], dtype=np.float32)
        to_original = to_photo * np.array([image.width / photo.width, image.height / photo.height], dtype=np.float32)
        limit = np.array([image.width, image.height], dtype=np.float32)
        faces = []
        for box, score, points in zip(boxes, scores, landmarks, strict=True):
            if score < self.min_score:
                continue
            photo_box = box * np.tile(to_photo, 2)
            square = _PREPROCESSOR.crop(photo, photo_box)
            if square is None:
                logger.debug("%s: a box wholly outside the photo is dropped: %s", image.image_id, photo_box)
                continue
            faces.append(
                Face(
                    box=np.clip(box * np.tile(to_original, 2), 0, np.tile(limit, 2)),
                    landmarks=np.clip(points * to_original, 0, limit),
                    score=float(score),
                    sharpness=measure_sharpness(square),
                    square=square,
                    photo=image.pixels,
                    photo_box=photo_box,
                )
            )
        return sorted(faces, key=lambda face: (face.box[1], face.box[0], *face.box[2:], -face.score))

    def _shrink(self, photo: Image.Image) -> Image.Image:
        scale = self.detect_max_side_px / max(photo.size)
        if scale >= 1:
            return photo
        size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
        return photo.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)

    def _detect(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """MTCNN's boxes (n, 4), scores (n,) and landmarks (n, 5, 2), float32, in the pixels given."""
        import torch

        height, width = pixels.shape[:2]
        if min(height, width) * (12.0 / self.min_face_px) < 12:
            # no scale is left to look at, of which facenet-pytorch makes an error
            return np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32)
        net = self._mtcnn
        with torch.inference_mode():
            boxes, landmarks = self._detect_face(
                pixels, net.min_face_size, net.pnet, net.rnet, net.onet, net.thresholds, net.factor, net.device
            )
        found = np.asarray(boxes[0], dtype=np.float32).reshape(-1, 5)
        return found[:, :4], found[:, 4], np.asarray(landmarks[0], dtype=np.float32).reshape(-1, 5, 2)


def _tolerant_detect_face() -> Callable[..., Any]:
    """facenet-pytorch's `detect_face`, for which a candidate wholly outside the image is no error.

    Its own skips such a candidate's pixels and not its row, and then raises IndexError for the whole image. This is
    the same code with another `pad`, which leaves every candidate a pixel; that is no face to the next network.
    """
    from facenet_pytorch.models.utils import detect_face as theirs

    def pad(boxes: Any, width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        y1, y2, x1, x2 = theirs.pad(boxes, width, height)
        y1, x1 = np.minimum(y1, height), np.minimum(x1, width)
        return y1, np.maximum(y2, y1), x1, np.maximum(x2, x1)

    return types.FunctionType(theirs.detect_face.__code__, {**vars(theirs), "pad": pad}, "detect_face")


def measure_sharpness(square: np.ndarray) -> float:
    """The variance of the Laplacian (4 neighbours) of a face's grey 160 px square, in squared grey levels.

    Low: blurred, or enlarged from few pixels. On a fixed size, so that faces near and far compare.

    Args:
        square: uint8 (160, 160, 3), RGB.
    """
    grey = np.asarray(Image.fromarray(square).convert("L"), dtype=np.float32)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return float(laplacian.var())

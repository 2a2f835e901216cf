"""Find every face of a photo: box, landmarks, detection probability, sharpness, and its pixels for an embedder."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from pixelbrain.config import TURNS, choose
from pixelbrain.errors import ConfigError
from pixelbrain.images.decode import DecodedImage
from pixelbrain.images.preprocess import FacePreprocessor
from pixelbrain.modules.faces.align import align, turn_back
from pixelbrain.modules.faces.looks import measure_turns, measure_visible
from pixelbrain.modules.weights.find import fetch_weights
from pixelbrain.modules.weights.table import WEIGHTS

logger = logging.getLogger(__name__)
_WEIGHTS = ("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet")
_PREPROCESSOR = FacePreprocessor()
_CLOCKWISE = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
# The long side of the copy in which a photo without faces is tried in other turns. The people of 46 photos are all
# found at 192 px and more, and in 28 photos without people nothing. At 256 a face is to be a twelfth of the side, and
# the three looks take 0.08 s, where the look at the whole photo took 0.12; at 384, 0.15.
_GLANCE_PX = 256
_SURE = 0.95  # the detection probability of a face for whose sake a photo is turned


@dataclass(frozen=True, kw_only=True, eq=False)
class Face:
    """One face of one photo."""

    box: np.ndarray  # float32 (4,): x1, y1, x2, y2 in the upright original's pixels, inside it
    landmarks: np.ndarray  # float32 (5, 2): eyes, nose, corners of the mouth, likewise
    score: float  # detection probability, 0 to 1
    sharpness: float  # see `measure_sharpness`
    upright: float  # see `measure_upright`
    visible: float  # see `modules.faces.looks.measure_visible`
    turn: int  # 0, 90, 180 or 270: clockwise degrees by which the photo was turned, all of whose faces have the same
    square: np.ndarray  # uint8 (160, 160, 3), RGB: the box, stretched
    photo: np.ndarray  # uint8 (H, W, 3), RGB: the whole photo as it was decoded, turned
    photo_box: np.ndarray  # float32 (4,): the box in that one's pixels, may reach over its edges
    photo_landmarks: np.ndarray  # float32 (5, 2): the landmarks, likewise


class _Found(NamedTuple):
    """A face in a picture of any size."""

    box: np.ndarray  # float32 (4,): x1, y1, x2, y2, as shares of the width and the height
    score: float
    points: np.ndarray  # float32 (5, 2), likewise
    odds: np.ndarray  # float32 (4,), see `measure_turns`


@dataclass(kw_only=True, eq=False)
class FaceDetector:
    """facenet-pytorch's MTCNN, whose weights come in its wheel; they are loaded by `setup`.

    Raises `ConfigError` of a value that cannot work.
    """

    detect_max_side_px: int = 1024  # detect on a copy no longer than this: the time goes with its area
    min_face_px: int = 20  # the smallest face to look for, in pixels of that copy; MTCNN sees 12 or more
    #: The least detection probability. MTCNN itself lets boxes from 0.7 on through: on 96 photos, 92 of them of
    #: people, all nine from 0.7 to 0.9 were hands, wheels, ornaments and the like.
    min_score: float = 0.9
    #: auto: a photo without a face that looks upright is tried in the other three turns.
    turns: str = "auto"

    def __post_init__(self) -> None:
        if self.min_face_px < 12:
            raise ConfigError(f"min_face_px is {self.min_face_px}; MTCNN's smallest face is 12 px")
        if self.detect_max_side_px < self.min_face_px:
            raise ConfigError(
                f"detect_max_side_px is {self.detect_max_side_px}, less than min_face_px, {self.min_face_px}"
            )
        if not 0 <= self.min_score <= 1:
            raise ConfigError(f"min_score is {self.min_score}; a probability is 0 to 1")
        choose("turns", self.turns, TURNS)

    def settings(self) -> dict[str, object]:
        """What decides the result, as JSON."""
        sha256 = [WEIGHTS[name].sha256 for name in _WEIGHTS]
        settings = {"detector": "mtcnn", "detector_sha256": sha256, **dataclasses.asdict(self)}
        if self.turns == "never":
            del settings["turns"]  # as it was before there were turns: the same result, and the same work
        return settings

    def prepare(self) -> None:
        """Check the weights. Raises `WeightsError` for others than this was measured with."""
        for name in _WEIGHTS:
            fetch_weights(name)

    def setup(self, device: str = "cpu") -> None:
        """Load the three networks."""
        from pixelbrain.modules.faces.mtcnn import Mtcnn

        self._mtcnn = Mtcnn(self.min_face_px, device)

    def detect_all(self, images: Sequence[DecodedImage]) -> list[list[Face]]:
        """The faces of each photo, ordered by position: top to bottom, then left to right.

        Photos have any sizes; one that is smaller than the smallest face has none.
        """
        seen = self._look_around([self._shrink(image.pil(), self.detect_max_side_px) for image in images])
        return [self._cut_out(image, turn, found) for image, (turn, found) in zip(images, seen, strict=True)]

    def _cut_out(self, image: DecodedImage, turn: int, found: Sequence[_Found]) -> list[Face]:
        """What was found in a photo, as `Face`s, ordered."""
        photo = image.pil()
        turned = np.ascontiguousarray(np.rot90(image.pixels, -turn // 90))
        upright = Image.fromarray(turned) if turn else photo  # a copy of all pixels
        size = np.array(turned.shape[1::-1], np.float32)
        shown = np.array([photo.width, photo.height], np.float32)
        to_original = np.array([image.width, image.height], np.float32) / shown
        faces = []
        for box, score, points, odds in found:
            box, points = box * np.tile(size, 2), points * size
            square = _PREPROCESSOR.crop(upright, box.tolist())
            if square is None:
                logger.debug("%s: a box wholly outside the photo is dropped: %s", image.image_id, box)
                continue
            corners = turn_back(np.stack([box[:2], box[2:]]), turn, *shown)
            corners = np.stack([corners.min(axis=0), corners.max(axis=0)])
            limit = np.array([image.width, image.height], np.float32)
            faces.append(
                Face(
                    box=np.clip(corners * to_original, 0, limit).ravel().astype(np.float32),
                    landmarks=np.clip(turn_back(points, turn, *shown) * to_original, 0, limit).astype(np.float32),
                    score=score,
                    sharpness=measure_sharpness(square),
                    upright=measure_upright(odds),
                    visible=measure_visible(align(turned, points)),
                    turn=turn,
                    square=square,
                    photo=turned,
                    photo_box=box,
                    photo_landmarks=points,
                )
            )
        return sorted(faces, key=lambda face: (face.box[1], face.box[0], *face.box[2:], -face.score))

    def _look_around(self, copies: Sequence[Image.Image]) -> list[tuple[int, list[_Found]]]:
        """Of each photo its faces, and the turn that shows most upright ones; 0 where they are no more in others."""
        found = self._find(copies)
        seen = [(0, faces) for faces in found]
        if self.turns == "never":
            return seen
        turns: dict[int, int] = {}  # that are worth a look, by photo
        empty = [index for index, faces in enumerate(found) if not faces]
        for index, faces in enumerate(found):
            if faces and 2 * sum(measure_upright(one.odds) >= 0 for one in faces) < len(faces):
                # which way up its faces are says which
                turns[index] = 90 * int(np.argmax(np.sum([one.odds for one in faces], axis=0)))
        small = [self._shrink(copies[index], _GLANCE_PX) for index in empty]
        glances = iter(self._find([_turned(one, turn) for one in small for turn in _CLOCKWISE]))
        for index in empty:
            good = {turn: _good(next(glances)) for turn in _CLOCKWISE}
            best = max(good, key=good.__getitem__)
            turns[index] = best if good[best] else 0
        turns = {index: turn for index, turn in turns.items() if turn}
        others = self._find([_turned(copies[index], turn) for index, turn in turns.items()])
        for (index, turn), faces in zip(turns.items(), others, strict=True):
            if _good(faces) > _good(found[index]):
                seen[index] = turn, faces
        return seen

    def _find(self, copies: Sequence[Image.Image]) -> list[list[_Found]]:
        """Faces of at least the least score; boxes and landmarks as shares of the width and the height."""
        found = []
        for copy, (boxes, scores, points) in zip(copies, self._mtcnn.find([*map(np.array, copies)]), strict=True):
            sure = scores >= self.min_score
            odds = measure_turns(self._mtcnn.net.onet, copy, boxes[sure], self._mtcnn.device) if sure.any() else ()
            size = np.array(copy.size, np.float32)
            found.append(
                [
                    _Found(box / np.tile(size, 2), float(score), landmarks / size, one)
                    for box, score, landmarks, one in zip(boxes[sure], scores[sure], points[sure], odds, strict=True)
                ]
            )
        return found

    @staticmethod
    def _shrink(photo: Image.Image, side_px: int) -> Image.Image:
        scale = side_px / max(photo.size)
        if scale >= 1:
            return photo
        size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
        return photo.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def _turned(photo: Image.Image, turn: int) -> Image.Image:
    return photo.transpose(_CLOCKWISE[turn])


def _good(faces: Sequence[_Found]) -> int:
    """How many are surely faces, and upright."""
    return sum(one.score >= _SURE and measure_upright(one.odds) >= 0 for one in faces)


def measure_upright(odds: np.ndarray) -> float:
    """How much surer the detector is of a face than of the same turned by 90, 180 or 270 degrees, in log odds.

    Args:
        odds: float (4,), see `modules.faces.looks.measure_turns`.
    """
    return float(odds[0] - odds[1:].max())


def measure_sharpness(square: np.ndarray) -> float:
    """The variance of the Laplacian (4 neighbours) of a face's grey 160 px square, in squared grey levels.

    Low: blurred, or enlarged from few pixels. On a fixed size, so that faces near and far compare.

    Args:
        square: uint8 (160, 160, 3), RGB.
    """
    grey = np.asarray(Image.fromarray(square).convert("L"), dtype=np.float32)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return float(laplacian.var())

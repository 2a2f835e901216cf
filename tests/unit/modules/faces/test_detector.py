"""Faces of a photo: where they are, in which order, and how sharp."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from pixelbrain.images.decode import DecodedImage
from pixelbrain.modules.faces.detector import Face, FaceDetector, measure_sharpness
from tests.unit.modules.decoded import decoded


def detect(detector: FaceDetector, image: DecodedImage) -> list[Face]:
    return detector.detect_all([image])[0]


def set_up(detector: FaceDetector) -> FaceDetector:
    detector.setup()
    return detector


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    detector = FaceDetector()
    detector.prepare()
    return set_up(detector)


def tile(pixels: np.ndarray, columns: int, rows: int) -> np.ndarray:
    return np.tile(pixels, (rows, columns, 1))


def test_faces_are_ordered_by_position(detector: FaceDetector, photo: Callable) -> None:
    pixels = photo("astronaut.png").pixels
    faces = detect(detector, decoded(tile(pixels, 2, 2)))
    assert len(faces) == 4
    cells = [(int(face.box[1] // 512), int(face.box[0] // 512)) for face in faces]
    assert cells == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_boxes_are_in_the_originals_pixels(photo: Callable) -> None:
    """Found on a copy of half the size, of a photo that was decoded at half its size."""
    image = photo("astronaut.png")
    (exact,) = detect(set_up(FaceDetector()), image)
    large = DecodedImage(image_id="x", pixels=image.pixels, width=1024, height=1024, format="JPEG")
    (face,) = detect(set_up(FaceDetector(detect_max_side_px=256)), large)
    np.testing.assert_allclose(face.box, exact.box * 2, atol=16)
    np.testing.assert_allclose(face.landmarks, exact.landmarks * 2, atol=16)
    np.testing.assert_allclose(face.photo_box, exact.box, atol=8)
    assert face.square.shape == (160, 160, 3)


def test_a_face_over_the_edge_is_clipped_to_the_photo(detector: FaceDetector, photo: Callable) -> None:
    pixels = photo("astronaut.png").pixels
    faces = detect(detector, decoded(np.ascontiguousarray(pixels[75:400, 190:500])))
    assert len(faces) == 1
    box = faces[0].box
    assert box[0] >= 0
    assert box[1] >= 0
    assert box[2] <= 310
    assert box[3] <= 325
    assert faces[0].landmarks.min() >= 0


@pytest.mark.parametrize("shape", [(1, 1), (19, 300), (20, 20), (12, 12), (21, 3000)], ids=str)
def test_tiny_photos_have_no_faces(detector: FaceDetector, shape: tuple[int, int]) -> None:
    assert detect(detector, decoded(np.full((*shape, 3), 128, dtype=np.uint8))) == []


def test_a_photo_without_people_has_no_faces(detector: FaceDetector, photo: Callable) -> None:
    assert detect(detector, photo("coffee.png")) == []


def test_candidates_outside_the_photo_do_not_stop_detection(photo: Callable) -> None:
    """facenet-pytorch raises IndexError for these; here by a second network that exaggerates."""
    detector = set_up(FaceDetector())
    with torch.no_grad():
        detector._mtcnn.net.rnet.dense5_2.weight.mul_(6)
        detector._mtcnn.net.rnet.dense5_2.bias.mul_(6)
    image = photo("astronaut.png")
    with pytest.raises(IndexError):
        detector._mtcnn.net.detect(image.pixels)
    for face in detect(detector, image):
        assert 0 <= face.box[0] < face.box[2] <= 512
        assert 0 <= face.box[1] < face.box[3] <= 512


def test_sharpness_falls_with_blur() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    blurred = np.asarray(Image.fromarray(noise).resize((40, 40), Image.Resampling.BOX).resize((160, 160)))
    assert measure_sharpness(np.full((160, 160, 3), 90, dtype=np.uint8)) == 0
    assert measure_sharpness(blurred) < measure_sharpness(noise) / 10


def test_sharpness_is_the_laplacians_variance() -> None:
    square = np.zeros((160, 160, 3), dtype=np.uint8)
    square[80, 80] = 100  # the Laplacian is -400 there, 100 at its 4 neighbours, 0 at the other 24959
    assert measure_sharpness(square) == pytest.approx((400**2 + 4 * 100**2) / 158**2, rel=1e-3)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_photo_on_its_side_is_turned_and_its_faces_are_where_it_shows_them(
    detector: FaceDetector, photo: Callable, turn: int
) -> None:
    image = photo("astronaut.png")
    (upright,) = detect(detector, image)
    assert (upright.turn, upright.upright > 0, upright.visible > 1) == (0, True, True)
    pixels = np.ascontiguousarray(np.rot90(image.pixels[:460], turn // 90))  # clockwise by `turn` makes it upright
    shown = DecodedImage(image_id="x", pixels=pixels, width=pixels.shape[1] * 2, height=pixels.shape[0] * 2, format="")
    (face,) = detect(detector, shown)
    assert face.turn == turn and face.upright > 0
    np.testing.assert_array_equal(face.photo, image.pixels[:460])
    np.testing.assert_allclose(face.photo_landmarks, upright.landmarks, atol=4)
    np.testing.assert_allclose(face.photo_box, upright.box, atol=6)
    x, y = (2 * face.photo_landmarks).T  # in the upright photo of 1024 x 920
    where = {90: (y, 1024 - x), 180: (1024 - x, 920 - y), 270: (920 - y, x)}[turn]
    np.testing.assert_allclose(face.landmarks, np.stack(where, axis=1), atol=1e-3)
    x, y = (2 * face.photo_box).reshape(2, 2).T
    where = {90: (y, 1024 - x), 180: (1024 - x, 920 - y), 270: (920 - y, x)}[turn]
    np.testing.assert_allclose(face.box, [*map(min, where), *map(max, where)], atol=1e-3)


def test_a_photo_is_not_turned_where_that_is_not_wanted_or_it_shows_somebody_upright(photo: Callable) -> None:
    image = photo("astronaut.png")
    upside_down = np.ascontiguousarray(image.pixels[::-1, ::-1])
    never, auto = set_up(FaceDetector(turns="never")), set_up(FaceDetector())
    for face in detect(never, decoded(upside_down)):
        assert face.turn == 0 and face.upright < 0
    (face,) = detect(auto, decoded(upside_down))
    assert face.turn == 180
    both = decoded(np.concatenate([image.pixels, upside_down]))
    assert [face.turn for face in detect(auto, both) if face.upright > 0] == [0]
    assert auto.settings() == never.settings() | {"turns": "auto"}  # what landed without turns is as it was

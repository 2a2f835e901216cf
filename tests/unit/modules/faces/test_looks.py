"""Whether a face is upright, and its eyes and mouth are to be seen: on a face that is covered and turned here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pixelbrain.modules.faces.align import CHIP_POINTS, align, similarity, turn_back
from pixelbrain.modules.faces.detector import FaceDetector
from pixelbrain.modules.faces.looks import measure_turns, measure_visible

#: Of the astronaut: eyes, nose, corners of the mouth, and the box, about as MTCNN finds them.
POINTS = np.array([[200.5, 107.5], [241.5, 104.5], [221.5, 129], [209.5, 149], [241, 147]])
BOX = np.array([[177.0, 65, 265, 178]])


def covered(photo: Image.Image, *box: float, fill: tuple[int, int, int]) -> np.ndarray:
    """The photo, and on it an ellipse."""
    photo = photo.copy()
    ImageDraw.Draw(photo).ellipse(box, fill=fill)
    return np.asarray(photo)


def test_a_covered_eye_or_mouth_is_not_visible(photo: Callable) -> None:
    image = photo("astronaut.png").pil()
    skin = tuple(int(value) for value in np.asarray(image)[130, 205])
    bare = measure_visible(align(np.asarray(image), POINTS))
    assert bare > 1.3
    dark = covered(image, 185, 95, 216, 120, fill=(20, 20, 24))
    assert measure_visible(align(dark, POINTS)) < 0.7
    hand_on_eye = covered(image, 185, 95, 216, 120, fill=skin)  # as light as the cheeks, and without an eye
    assert measure_visible(align(hand_on_eye, POINTS)) < 0.8
    hand_on_mouth = covered(image, 195, 136, 255, 168, fill=skin)
    assert measure_visible(align(hand_on_mouth, POINTS)) < 0.8
    hat = covered(image, 170, 30, 270, 80, fill=(20, 20, 24))
    assert measure_visible(align(hat, POINTS)) > 1.3


def test_how_light_the_photo_is_makes_no_difference(photo: Callable) -> None:
    chip = align(photo("astronaut.png").pixels, POINTS)
    dimmed = (chip * 0.3).astype(np.uint8)
    assert measure_visible(dimmed) == pytest.approx(measure_visible(chip), rel=0.1)


def test_nothing_is_visible_outside_of_the_photo(photo: Callable) -> None:
    pixels = photo("astronaut.png").pixels
    assert measure_visible(align(pixels, POINTS + (400, 0))) == 0
    assert not align(pixels, POINTS + 4000).any()
    assert measure_visible(align(pixels[:, 215:], POINTS - (215, 0))) < 1  # one half of the face


def test_a_face_is_surest_upright(photo: Callable) -> None:
    detector = FaceDetector()
    detector.setup()
    onet, image = detector._mtcnn.net.onet, photo("astronaut.png").pil()
    odds = measure_turns(onet, image, np.repeat(BOX, 2, axis=0))
    assert odds.shape == (2, 4) and odds[0].argmax() == 0 and (odds[0] == odds[1]).all()
    on_its_side = image.transpose(Image.Transpose.ROTATE_90)  # counterclockwise: a turn clockwise makes it upright
    corners = turn_back(BOX.reshape(2, 2), 90, *on_its_side.size)
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    np.testing.assert_allclose(measure_turns(onet, on_its_side, box[None])[0], np.roll(odds[0], 1), atol=0.5)
    assert measure_turns(onet, image, np.empty((0, 4))).shape == (0, 4)


def test_alignment_puts_the_landmarks_where_arcface_has_them(photo: Callable) -> None:
    angle = np.radians(35)
    turn = 7.5 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = CHIP_POINTS @ turn.T + (900, 80)
    matrix = similarity(CHIP_POINTS, moved)
    np.testing.assert_allclose(matrix, np.column_stack([turn, (900, 80)]), atol=1e-9)
    x, y = np.meshgrid(np.arange(1800), np.arange(1400))
    back = np.linalg.inv(turn) @ np.stack([x - 900.0, y - 80.0]).reshape(2, -1)  # each pixel, in the chip
    pixels = np.stack([*np.clip(back, 0, 111), np.zeros(back.shape[1])], axis=1).reshape(1400, 1800, 3)
    chip = align(pixels.round().astype(np.uint8), moved)
    expected = np.stack(np.meshgrid(np.arange(112), np.arange(112)), axis=-1)
    np.testing.assert_allclose(chip[2:-2, 2:-2, :2], expected[2:-2, 2:-2], atol=1)

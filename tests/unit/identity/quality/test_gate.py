"""The gate: what of a face is not good enough, in a word each; which way it looks, by its landmarks."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.errors import ConfigError
from pixelbrain.identity.quality.gate import QualityGate
from pixelbrain.identity.quality.pose import measure_pose, measured, turns
from pixelbrain.modules.faces.align import turn_back

GOOD = {"score": 0.999, "width_px": 90.0, "sharpness": 200.0}
GOOD |= {"mouth_drop": 0.45, "nose_within": 0.4, "upright": 5.0, "visible": 1.6}
WORDS = {
    "score": "uncertain",
    "width_px": "small",
    "sharpness": "blurred",
    "mouth_drop": "turned",
    "nose_within": "turned",
    "upright": "turned",
    "visible": "covered",
}
#: Of a face whose box is 100 px wide and 120 high, at (50, 20): eyes, nose, corners of the mouth.
FACE = np.array([[78.0, 65], [122, 65], [100, 90], [82, 110], [118, 110]])
BOX = np.array([50.0, 20, 150, 140])


@pytest.mark.parametrize("name", WORDS)
def test_each_measure_has_its_word_and_what_is_not_measured_is_not_held_against_a_face(name: str) -> None:
    gate = QualityGate()
    assert gate.passes(GOOD) and gate.passes({}) and gate.passes(GOOD | {name: None})
    low = GOOD | {name: -9.0}
    assert [word for word, _ in gate.failures(low)] == [WORDS[name]] and not gate.passes(low)
    columns = {key: np.array([value, low[key], np.nan]) for key, value in GOOD.items()}
    fails, guests = gate.fails(columns, 3)
    assert fails.tolist() == [False, True, False]
    assert guests.tolist() == [False, name in ("nose_within", "visible"), False]


@pytest.mark.parametrize(
    "wrong",
    [{"min_score": 1.1}, {"min_width_px": -1}, {"min_sharpness": float("nan")}, {"min_upright": float("nan")}],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        QualityGate(**wrong)


def test_what_is_nothing_has_no_faces_that_fail() -> None:
    assert [one.tolist() for one in QualityGate().fails({}, 2)] == [[False, False]] * 2


def pose(landmarks: np.ndarray, box: np.ndarray, turn: int = 0) -> tuple[float, float]:
    found = measure_pose(landmarks[None], box[None], np.array([turn]))
    return float(found["mouth_drop"][0]), float(found["nose_within"][0])


def test_pose_is_in_widths_and_in_distances_of_the_eyes() -> None:
    assert pose(FACE, BOX) == pytest.approx((0.45, 0.5))
    profile = FACE.copy()
    profile[2, 0] = 144  # half the eyes' distance beyond the right one
    assert pose(profile, BOX) == pytest.approx((0.45, -0.5))
    flipped = FACE * (-1, 1) + (200, 0)
    assert pose(flipped[[1, 0, 2, 4, 3]], BOX) == pytest.approx((0.45, 0.5))
    on_its_side = FACE[:, ::-1] * (1, -1) + (0, 200)  # a quarter counterclockwise, as it is shown
    side_box = np.array([20.0, 50, 140, 150])
    assert abs(pose(on_its_side, side_box)[0]) < 0.01
    assert np.isnan(pose(np.full((5, 2), 7.0), BOX)).all()  # no landmarks, written by somebody as they were some
    assert np.isnan(pose(FACE, BOX + 200)).all()  # another face's
    assert np.isfinite(pose(FACE, np.tile(FACE.mean(axis=0), 2))).all()


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_pose_is_the_same_in_a_photo_that_was_turned_for_its_faces(turn: int) -> None:
    """What is found in a picture turned clockwise is given in it as it is shown, 300 px wide and 400 high."""
    width, height = (300, 400) if turn % 180 == 0 else (400, 300)  # of the picture as it is shown
    corners = turn_back(BOX.reshape(2, 2), turn, width, height)
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    assert box.min() >= 0 and (box <= [width, height] * 2).all()
    assert pose(turn_back(FACE, turn, width, height), box, turn) == pytest.approx((0.45, 0.5))
    if turn:
        assert pose(turn_back(FACE, turn, width, height), box)[0] < 0.3


def test_landed_faces_of_any_version_are_measured() -> None:
    """Older ones have no `upright`, `visible` or `turn`, and others' may have no landmarks."""
    struct = schema.module_struct(schema.faces_fields(1))
    face = {"face_id": "a#0", **dict(zip(("x1", "y1", "x2", "y2"), BOX, strict=True)), "landmarks": FACE.ravel()}
    faces = [face | {"upright": 3.0, "visible": None}, face | {"face_id": "a#1", "landmarks": None, "upright": None}]
    column = pa.array([{"n_faces": 2, "turn": None, "faces": faces}], schema.as_landed(struct))
    assert turns(column).tolist() == [0]
    found = measured(pa.concat_arrays([column.field("faces").flatten()]), np.zeros(2, int))
    assert found["upright"][0] == 3 and np.isnan(found["upright"][1]) and np.isnan(found["visible"]).all()
    assert found["mouth_drop"][0] == pytest.approx(0.45) and np.isnan(found["mouth_drop"][1])
    old = pa.array([{"face_id": "a#0", "x1": 1.0}])
    assert measured(old, np.zeros(1, int)) == {}
    assert turns(pa.array([{"n_faces": 1}])).tolist() == [0]

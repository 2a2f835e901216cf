"""Vectors that a user computed elsewhere land as a module's do, and stay until their image changes."""

from __future__ import annotations

import numpy as np
import pytest

from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.published import is_published
from pixelbrain.landing.remaining import Remaining
from pixelbrain.stores.chroma.own_vectors import land_vectors
from pixelbrain.stores.vectors import nearest_landed, vector_models
from tests.unit.landing.histories import Row, land, manifest, state

NAMES = [f"s3://b/{letter}.jpg" for letter in "abcd"]


@pytest.fixture
def landing(tmp_path) -> Landing:
    landing = Landing(tmp_path)
    rows = [Row(image_id=name, values={"size": place}) for place, name in enumerate(NAMES[:3])]
    land(landing, [*rows, Row(image_id=NAMES[3], status="failed")], 1, {"size": 1})
    return landing


def near(landing: Landing, vector: list[float], name: str = "mine") -> list[str]:
    (found,) = nearest_landed(landing, name, np.array([vector], np.float32), 10)
    return [match.id for match in found]


def test_they_are_searched_as_a_modules_are(landing):
    vectors = {NAMES[0]: [1, 0], NAMES[2]: np.array([0, 1.0]), NAMES[3]: (1, 1)}
    assert land_vectors(landing, "mine", vectors, model="their-model") == (3, [])
    assert vector_models(landing)["mine"].as_dict() == {"model": "their-model", "weights_sha256": "", "dim": 2}
    assert near(landing, [1, 0.1]) == [NAMES[0], NAMES[3], NAMES[2]]
    (table,) = landing.iter_images()
    sizes = {row["image_id"]: row["size"] and row["size"]["n"] for row in table.to_pylist()}
    assert sizes == dict(zip(NAMES, [0, 1, 2, None], strict=True))  # all else stays
    assert is_published(landing)
    again = [(NAMES[1], [5, 0.5]), (NAMES[0], None), (NAMES[2], [1, 0]), (NAMES[2], [0, -1])]
    assert land_vectors(landing, "mine", again) == (3, [])
    assert near(landing, [1, 0.1]) == [NAMES[1], NAMES[3], NAMES[2]]
    wanted = {"size": state("size").settings_hash}
    assert Remaining(landing, wanted).split(manifest([(name, "1") for name in NAMES])) == {}  # and is no work again


def test_they_are_of_the_image_as_it_is(landing):
    land_vectors(landing, "mine", dict.fromkeys(NAMES, [1, 2]))
    land(landing, [Row(image_id=NAMES[0], version="2", values={"size": 1})], 7, {"size": 1})
    land(landing, [Row(image_id=NAMES[1], status="pruned")], 8, {})
    landing.refresh()
    assert near(landing, [1, 2]) == NAMES[2:]


def test_what_is_no_vector_costs_only_itself(landing):
    vectors = {
        NAMES[0]: [1, 2], NAMES[1]: [1, 2, 3], NAMES[2]: [float("nan"), 1], NAMES[3]: [0, 0], "s3://b/z.jpg": [1, 2],
        "x": "text", "y": [[1, 2]],
    }  # fmt: skip
    written, errors = land_vectors(landing, "mine", vectors)
    assert written == 1 and near(landing, [1, 1]) == [NAMES[0]]
    assert dict(errors) == {
        NAMES[1]: "its vector has 3 numbers, and others 2",
        NAMES[2]: "its vector has a NaN or an infinity, or only zeros",
        NAMES[3]: "its vector has a NaN or an infinity, or only zeros",
        "s3://b/z.jpg": "no such image has landed",
        "x": "its vector is no list of numbers: 'text'",
        "y": "its vector has the shape (1, 2): one row of numbers",
    }
    assert land_vectors(landing, "mine", {NAMES[1]: [1, 2, 3]}) == (0, errors[:1])
    assert land_vectors(landing, "other", {}) == (0, []) and "other" not in landing.states()


@pytest.mark.parametrize(
    ("name", "model", "said"),
    [
        ("size", None, "'size' needs another name: .* modules of this OUT"),
        ("label", None, "'label' needs another name"),
        ("faces", None, "'faces' needs another name"),
        ("a b", None, "vectors cannot be called 'a b'"),
        ("mine", "another-model", "the vectors mine are of mine, and these of another-model: give them another name"),
    ],
)
def test_names_that_cannot_be(landing, name, model, said):
    land_vectors(landing, "mine", {NAMES[0]: [1, 2]})
    with pytest.raises(ConfigError, match=said):
        land_vectors(landing, name, {NAMES[0]: [1, 2]}, model=model)


def test_nothing_has_landed(tmp_path):
    with pytest.raises(LandingError):
        land_vectors(Landing(tmp_path), "mine", {NAMES[0]: [1, 2]})

"""A mark says where a face was and not how it looks; nothing that is marked lands again."""

from __future__ import annotations

import json
import random

import pyarrow as pa
import pytest

from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.landing.forgotten.marks import FaceMark, Mark, digest_places, lift_mark, read_marks, write_mark
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.remaining import Remaining
from tests.unit.landing.forgotten.world import (
    ANN_A,
    MODELS,
    PHOTOS,
    image_id,
    land,
    left_of,
    rows_of,
    sha256,
    traces,
)
from tests.unit.landing.histories import manifest

HASHES = {name: state.settings_hash for name, state in MODELS.items()}
ANN = Mark(faces=(FaceMark.of(sha256("a.jpg"), ANN_A),))


def test_another_detection_of_the_face_is_hit_and_a_face_beside_it_is_not():
    chance = random.Random(1)
    for _ in range(2000):
        width = chance.uniform(12, 900)
        x, y, height = chance.uniform(0, 5000), chance.uniform(0, 5000), width * chance.uniform(1, 1.5)
        mark = FaceMark.of("0" * 64, (x, y, x + width, y + height))
        grown, dx, dy = (width * chance.uniform(-0.18, 0.18) for _ in range(3))
        assert mark.hits((x + dx - grown, y + dy - grown, x + width + dx + grown, y + height + dy + grown))
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            assert not mark.hits((x + dx * width, y + dy * width, x + (1 + dx) * width, y + dy * width + height))


def test_a_mark_on_disk_holds_no_box_no_vector_and_no_name(tmp_path):
    written = write_mark(Landing(tmp_path).storage, ANN)
    (file,) = (tmp_path / "forgotten").iterdir()
    told = json.loads(file.read_bytes())
    assert told == {
        "faces": [[sha256("a.jpg"), 5, 4, 4]], "photos": [], "places": [], "number": 1, "at": written.at,
    }  # fmt: skip
    assert read_marks(Landing(tmp_path).storage).all == (written,)


def test_what_is_forgotten_does_not_land_whoever_computed_it(tmp_path):
    write_mark(Landing(tmp_path).storage, ANN)
    for shift in (0, 9, -9):  # other settings of the detector, or --force
        landing = land(tmp_path, shift=shift)
        faces = {row["image_id"]: row["facenet"] for row in next(landing.iter_images()).to_pylist()}
        for name in ("a.jpg", "copy of a.jpg"):  # whatever it is called, and wherever it moved
            found = faces[image_id(name)]
            assert [face["face_id"] for face in found["faces"]] == [f"{image_id(name)}#{at}" for at in (1, 2)]
            assert found["n_faces"] == 2
        assert faces[image_id("b.jpg")]["n_faces"] == 1
    assert left_of(tmp_path, traces("a.jpg", ANN_A)) == []


def test_rows_without_forgotten_faces_are_not_even_copied(tmp_path):
    landing = land(tmp_path, {"b.jpg": PHOTOS["b.jpg"]})
    write_mark(landing.storage, ANN)
    table = next(landing.iter_images())
    assert read_marks(landing.storage).without(table) is table


def test_a_photo_that_failed_and_a_module_without_faces_stay_as_they_are(tmp_path):
    write_mark(Landing(tmp_path).storage, ANN)
    table = rows_of(PHOTOS)
    nothing = pa.nulls(len(table), table.schema.field("facenet").type)
    marks = read_marks(Landing(tmp_path).storage)
    failed = table.set_column(table.schema.get_field_index("facenet"), table.schema.field("facenet"), nothing)
    assert marks.without(failed).equals(failed)
    assert marks.without(table)["resnet"].equals(table["resnet"])


def test_a_forgotten_photo_is_neither_read_nor_landed_until_it_is_lifted(tmp_path):
    landing = Landing(tmp_path)
    place = manifest([(image_id("a.jpg"), "1")])
    write_mark(landing.storage, Mark(photos=(sha256("a.jpg"),), places=tuple(digest_places(place))))
    listed = [(image_id("a.jpg"), "1"), (image_id("b.jpg"), "1"), (image_id("a.jpg"), "2")]
    for force in (False, True):
        (left,) = Remaining(landing, HASHES, force=force).split(manifest(listed)).values()
        assert [*zip(*left.select(["image_id", "version"]).to_pydict().values(), strict=True)] == listed[1:]
    land(tmp_path)  # under another name, or touched: it is read, and known by its bytes
    assert Landing(tmp_path).index.image_id.to_pylist() == [image_id("b.jpg")]
    assert left_of(tmp_path / "thumbnails", {"a": image_id("a.jpg").encode()}) == []
    lift_mark(landing.storage, 1)
    assert len(land(tmp_path).index.image_id) == 3


def test_marks_are_counted_up_and_lifted_by_number(tmp_path, another_run):
    storage = Landing(tmp_path).storage
    assert [write_mark(storage, ANN).number for _ in range(2)] == [1, 2]
    assert lift_mark(storage, 1).number == 1
    with pytest.raises(ConfigError, match="nothing was forgotten as number 1"):
        lift_mark(storage, 1)
    assert write_mark(storage, ANN).number == 3
    storage.write("forgotten/00000003.json", b"{")
    with pytest.raises(LandingError, match=r"00000003.json is no mark.*put it back"):
        read_marks(storage)

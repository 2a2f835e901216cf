"""The map of what landed: of photos and of faces, what has no place on it, and what of it still fits."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixelbrain as pb
from pixelbrain import schema
from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.identity.mapping.map import can_be_mapped, make_map
from pixelbrain.landing.derived import landed_maps
from pixelbrain.landing.landing import Landing
from tests.unit.landing.forgotten.world import MODELS, PHOTOS, image_id, land, rows_of
from tests.unit.landing.histories import Row
from tests.unit.landing.histories import land as land_rows


def test_of_photos_and_of_faces(tmp_path):
    landing = land(tmp_path)
    assert list(can_be_mapped(landing)) == ["images", "faces"]
    assert dataclasses.asdict(make_map(landing)) | {"seconds": 0} == {
        "by": "images",
        "points": 3,
        "left_out": 0,
        "seconds": 0,
    }
    assert make_map(landing, "faces").points == 7
    assert landed_maps(landing).keys() == {"images", "faces"}
    found = pb.open(tmp_path)
    places = found.map("images")
    assert places.column_names == ["by", "face_id", "image_id", "path", "x", "y"]
    assert places["image_id"].to_pylist() == sorted(map(image_id, PHOTOS)) and places["face_id"].null_count == 3
    faces = found.map("faces", where="path contains 'b.jpg'").to_pylist()
    assert [one["face_id"] for one in faces] == [image_id("b.jpg#0")] and faces[0]["image_id"] == image_id("b.jpg")
    assert len(found.map()) == 10 and found.sql("SELECT count(*) AS n FROM maps").to_pylist() == [{"n": 10}]
    raw = pq.read_table(tmp_path / "maps" / "images.parquet")
    assert raw.schema.remove_metadata() == schema.MAP_SCHEMA and raw["image_version"].to_pylist() == ["1"] * 3
    settings = json.loads(raw["settings"][0].as_py())
    assert settings.pop("id") and settings == {"by": "images", "method": "pacmap", "neighbours": 10, "seed": 0}
    assert pb.open(tmp_path).make_map(seed=5).points == 3
    assert json.loads(pq.read_table(tmp_path / "maps" / "images.parquet")["settings"][0].as_py())["seed"] == 5


def test_a_place_is_of_this_photo_and_this_face(tmp_path):
    """Of a photo that changed, and of a face that was found elsewhere, nobody reads the old one."""
    landing = land(tmp_path)
    for by in ("images", "faces"):
        make_map(landing, by)
    landing = land(tmp_path, {"b.jpg": PHOTOS["b.jpg"]}, version="2")
    assert [(len(one.rows(landing)), one.read(landing).missing) for one in landed_maps(landing).values()] == [
        (6, 1),
        (2, 1),
    ]
    landing = land(tmp_path, {"a.jpg": PHOTOS["a.jpg"]}, shift=5)
    assert [len(one.rows(landing)) for one in landed_maps(landing).values()] == [3, 2]


def test_vectors_that_are_no_numbers_are_left_out(tmp_path):
    table = rows_of(PHOTOS)
    images = [dict(one) for one in table["resnet"].to_pylist()]
    images[0]["embedding"] = [float("nan"), *images[0]["embedding"][1:]]
    images[1]["embedding"] = None
    wrong = table.set_column(
        table.schema.get_field_index("resnet"), table.schema.field("resnet"), pa.array(images, table["resnet"].type)
    )
    landing = Landing(tmp_path)
    landing.write_part(wrong, generation=1, block=0, piece=0, modules=MODELS)
    report = make_map(landing, "images")
    assert (report.points, report.left_out) == (1, 1)
    assert np.isfinite(pb.open(tmp_path).map()["x"].to_numpy()).all()


def test_what_cannot_be_mapped(tmp_path):
    with pytest.raises(ConfigError, match="there is no map by 'clip': by images or faces"):
        make_map(land(tmp_path / "out"), "clip")
    plain = Landing(tmp_path / "plain")
    land_rows(plain, [Row(image_id="file:///a.jpg", version="1", sha256="a", values={"size": 1})], 1, {"size": 1})
    with pytest.raises(ConfigError, match="nothing in .* has vectors.*--module resnet"):
        make_map(plain)
    assert len(pb.open(tmp_path / "plain").map()) == 0
    with pytest.raises(LandingError, match="nothing has landed"):
        pb.open(tmp_path / "none").make_map()

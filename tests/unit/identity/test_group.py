from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.identity.assign import cluster_name
from pixelbrain.identity.group import group_images
from pixelbrain.landing.derived import GROUPS
from tests.unit.landed_out import land_faces

from .conftest import VectorTable


def _database(tmp_path, vectors, model="resnet50"):
    ids = [f"file:///photos/{row:03}.jpg" for row in range(len(vectors))]
    return VectorTable(tmp_path, ids, vectors, [{"label": "tabby"}] * len(ids), model)


def test_images_that_look_alike_are_grouped(tmp_path, people):
    vectors = people(3, 4, noise=0.2)[:9] * 17  # pooled features have any length
    database = _database(tmp_path, vectors)
    report = group_images(database)
    assert (report.images, report.grouped, report.groups) == (9, 8, 2)
    table = GROUPS.read(database.landing).rows
    assert table.schema.equals(schema.GROUP_SCHEMA)
    assert database.stored == ["groups"]
    rows = table.to_pylist()
    assert len(rows) == 9
    for number, row in enumerate(rows[:8]):
        assert row["group_id"] == cluster_name("group", database.ids[number // 4 * 4])
        assert 0 < row["distance"] < 0.2
    assert rows[8].items() >= {"image_id": database.ids[8], "group_id": None, "distance": None}.items()


def test_those_that_are_not_meant_are_in_no_group(tmp_path, people):
    database = _database(tmp_path, people(2, 4, noise=0.2) * 17)
    report = group_images(database, only=pa.chunked_array([database.ids[1:4]]))
    assert (report.images, report.grouped, report.groups) == (3, 3, 1)
    found = GROUPS.read(database.landing).rows.to_pylist()
    assert [row["image_id"] for row in found if row["group_id"]] == database.ids[1:4] and len(found) == 8
    assert group_images(database, only=pa.chunked_array([], pa.string())).images == 0


def test_those_without_a_vector_are_looked_at_and_in_no_group(tmp_path, people):
    """A module has none of some photos: they are no news to the next `status`."""
    database = _database(tmp_path, people(2, 4, noise=0.2) * 17)
    database.ids, database.vectors = database.ids[:6], database.vectors[:6]
    assert (group_images(database).images, GROUPS.read(database.landing).rows.num_rows) == (6, 8)
    assert not GROUPS.read(database.landing).outdated


def test_where_no_vectors_landed_is_said_with_those_that_did(tmp_path):
    landed = land_faces(tmp_path, ["file:///a.jpg#0"], embeddings={"file:///a.jpg#0": [1.0, 0.0]})
    with pytest.raises(LandingError, match="has no clip vectors: .* --module clip; there are those of faces, images: "):
        group_images(SimpleNamespace(landing=landed), by="clip")


def test_copies_of_a_photo_are_a_group(tmp_path):
    report = group_images(_database(tmp_path, np.tile(np.float32([3, 4]), (40, 1))), k=5)
    assert (report.grouped, report.groups) == (40, 1)


def test_no_images(tmp_path):
    database = _database(tmp_path, np.empty((0, 8), np.float32))
    assert group_images(database).groups == 0
    assert GROUPS.read(database.landing).rows.num_rows == 0


def test_an_unknown_model_needs_a_threshold(tmp_path, people):
    database = _database(tmp_path, people(2, 2), model="mine")
    with pytest.raises(ConfigError, match="give threshold="):
        group_images(database)
    assert group_images(database, threshold=0.5).groups == 2

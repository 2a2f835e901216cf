"""Results of an OUT as other tools take them: Arrow, pandas, Polars, SQL."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars
import pyarrow as pa
import pytest

import pixelbrain as pb
from pixelbrain import schema
from pixelbrain.cli.main import cli
from pixelbrain.errors import ConfigError, LandingError, MissingExtraError, OutLockedError
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.published import publish
from pixelbrain.record import write_stage
from tests.unit.landed_out import land_faces


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Three photos, of which one has two faces, one a face, and one none; two faces are Ann's."""
    landing = land_faces(tmp_path / "out", ["/a.jpg#0", "/a.jpg#1", "/b.jpg#0", "/c.jpg"])
    rows = [
        {"face_id": face, "image_id": face[:6], "image_version": "1", "identity_id": "ann", "distance": 0.1}
        | {"assigned": "clustered"}
        for face in ("/a.jpg#0", "/b.jpg#0")
    ]
    IDENTITIES.write(landing, pa.Table.from_pylist(rows, schema.IDENTITY_SCHEMA))
    publish(landing)
    return tmp_path / "out"


def test_tables_are_those_of_an_export_for_pandas_and_polars(out: Path, tmp_path: Path):
    found = pb.open(out)
    assert repr(found) == f"Results(out={str(out)!r})"
    images, faces, people = found.images().to_pandas(), polars.from_arrow(found.faces()), found.people()
    assert dict(zip(images["image_id"], images["n_faces"], strict=True)) == {"/a.jpg": 2, "/b.jpg": 1, "/c.jpg": 0}
    assert faces.filter(polars.col("identity_id") == "ann")["image_id"].to_list() == ["/a.jpg", "/b.jpg"]
    assert people.to_pylist()[0]["n_faces"] == 2
    assert found.groups().num_rows == found.answers().num_rows == 0 and "group_id" in found.groups().column_names
    assert found.images(min_label_score=0.95)["label"].null_count == 3 and found.images()["label"].null_count == 0
    for table in ("images", "faces", "people"):
        assert found.export(tmp_path / "table.parquet", table) == getattr(found, table)().num_rows
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "table.parquet"), getattr(found, table)().to_pandas())


def test_what_is_meant_is_said_in_one_language(out: Path, tmp_path: Path):
    found, ann = pb.open(out), 'person = "ANN" and n_faces == 1'
    ids = {name: getattr(found, name)(where=ann).to_pydict() for name in ("images", "faces", "people", "groups")}
    assert ids["images"]["image_id"] == ids["faces"]["image_id"] == ["/b.jpg"] and not ids["groups"]["image_id"]
    assert ids["people"]["identity_id"] == ["ann"] and ids["people"]["n_images"] == [2]  # with all their photos
    assert found.people(where="n_faces == 0").num_rows == 0
    assert found.search(person="ann", where=ann)["face_id"].to_pylist() == ["/b.jpg#0"]
    for table, rows in {"images": 1, "faces": 1, "people": 1, "answers": 0}.items():
        assert found.export(tmp_path / "table.csv", table, where=ann) == rows
    assert found.export(tmp_path / "faces.json", format="coco", where=f"not ({ann})") == 2
    said = json.loads((tmp_path / "faces.json").read_text())
    assert [one["file_name"] for one in said["images"]] == ["/a.jpg", "/c.jpg"]
    with pytest.raises(ConfigError, match="did you mean n_faces"):
        found.images(where="n_face == 1")
    cli(["export", str(out), str(tmp_path / "b.csv"), "--where", ann], standalone_mode=False)
    assert (tmp_path / "b.csv").read_text().count("/b.jpg") and "/a.jpg" not in (tmp_path / "b.csv").read_text()


def test_all_of_it_is_a_data_set(out: Path, tmp_path: Path):
    found = pb.open(str(out))
    assert found.export(tmp_path / "faces.json", format="coco", root="/a") == 3
    said = json.loads((tmp_path / "faces.json").read_text())
    assert (len(said["annotations"]), said["info"]["root"], said["images"][0]["tags"]) == (3, "/a", ["tabby"])
    found.export(tmp_path / "faces.json", format="coco", min_label_score=0.95)
    assert json.loads((tmp_path / "faces.json").read_text())["images"][0]["tags"] == []
    with pytest.raises(LandingError, match="none of the 3 photos could be read"):  # they never were
        found.export(tmp_path / "shards", format="webdataset", shard_size="1GB")
    with pytest.raises(ConfigError, match="no format 'yolo': coco or webdataset"):
        found.export(tmp_path / "faces.txt", format="yolo")


def test_what_lands_later_is_there(out: Path):
    found = pb.open(out)
    assert found.images().num_rows == 3
    land_faces(out, ["/d.jpg"], generation=2)
    assert found.images().num_rows == 4
    assert found.sql("SELECT count(*) AS n FROM images").to_pylist() == [{"n": 4}]


def test_sql_joins_what_lies_in_out_with_what_is_made_of_it(out: Path):
    found = pb.open(out)
    query = """
        SELECT i.image_id, i.label, i.resnet.label_score AS score, f.x1, p.n_faces
        FROM Images i JOIN faces f USING (image_id) JOIN people p USING (identity_id)
        WHERE i.n_faces >= $least ORDER BY ALL
    """
    row = {"image_id": "/a.jpg", "label": "tabby", "score": pytest.approx(0.9), "x1": 1.0, "n_faces": 2}
    assert found.sql(query, {"least": 2}).to_pylist() == [row]
    assert found.sql("SELECT count(*) AS n FROM images a, images b WHERE a.label = b.label").to_pylist() == [{"n": 9}]
    assert found.sql("SELECT ? + 1 AS n", [1]).to_pylist() == [{"n": 2}]  # no table of ours


def test_what_cannot_be_done_is_said_in_a_line(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, another_run: Callable[[Path], Any]
):
    with pytest.raises(LandingError, match="nothing has landed in"):
        pb.open(tmp_path / "nothing")
    found = pb.open(out)
    with pytest.raises(
        ConfigError, match="^DuckDB says: .* nope does not exist.*; the tables are images, faces, peo"
    ) as no:
        found.sql("SELECT *\nFROM nope")
    assert "\n" not in str(no.value)
    with pytest.raises(ConfigError, match="^DuckDB says: .*colour"):
        found.sql("SELECT colour FROM images")
    with pytest.raises(ConfigError, match="no dataset 'people': images or faces"):
        found.to_ray("people")
    for wrong in ({}, {"image": "me.jpg", "person": "ann"}):
        with pytest.raises(ConfigError, match="one of them"):
            found.search(**wrong)
    land_faces(out, ["/d.jpg"], generation=2)
    with another_run(out), pytest.raises(OutLockedError):  # what lies there has not all of it yet
        found.sql("SELECT * FROM faces")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pixelbrain\[sql\]'"):
        found.sql("SELECT 1")


def test_tables_need_no_password_of_the_stores_and_what_writes_to_them_does(out: Path):
    write_stage(Landing(out).storage, "load", {}, settings={"mongo": "mongodb://me:***@db.example/photos"})
    found = pb.open(out)
    assert found.images().num_rows == 3
    with pytest.raises(ConfigError, match="give --mongo again"):
        found.group()


def test_somebodys_photos_are_a_table(out: Path):
    found = pb.open(out).search(person="ann", k=5)
    assert found.column_names[:2] == ["query", "distance"]
    assert sorted(found["path"].to_pylist()) == ["/a.jpg", "/b.jpg"]

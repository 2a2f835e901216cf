"""What pandas, pyarrow, DuckDB and Daft see of OUT when a stage is done: each image once, each face once, as they are.

Ray has to be started, and is asked in tests/integration/test_read_by_others.py. DuckDB and Daft are imported where they
are asked: what is imported while tests are collected, each worker of the tests imports.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from pixelbrain import schema
from pixelbrain.errors import OutLockedError
from pixelbrain.landing.compact import compact
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.landing.published import publish
from tests.unit.landing.histories import History, Row, land, read_all
from tests.unit.landing.test_compact import StoppingStorage


def images_of(out: Path) -> dict[str, Any]:
    """By id, the version of each image; the same for all four programs, which see none twice."""
    import daft
    import duckdb

    folder = out / "images"
    ids = {
        "pandas": list(pd.read_parquet(folder, columns=["image_id"])["image_id"]),
        "pyarrow": pyarrow.dataset.dataset(folder).to_table()["image_id"].to_pylist(),
        "DuckDB": [
            row[0] for row in duckdb.sql(f"SELECT image_id, * FROM read_parquet('{folder}/*.parquet')").fetchall()
        ],
        "Daft": daft.read_parquet(f"{folder}/*.parquet").to_pydict()["image_id"],
    }
    versions = dict(zip(*pd.read_parquet(folder)[["image_id", "version"]].to_numpy().T, strict=True))
    for program, found in ids.items():
        assert sorted(found) == sorted(versions), program
    return versions


@pytest.mark.parametrize("_round", range(4))
def test_after_any_history_all_see_each_image_once(tmp_path, _round):
    seed = random.randrange(2**32)
    print("seed", seed)
    history = History(Landing(tmp_path), random.Random(seed), images=40)
    publish(history.landing)
    expected = history.expected()
    assert images_of(tmp_path) == {name: version for name, (version, _status, _values) in expected.items()}
    assert read_all(history.landing) == expected
    for row in pd.read_parquet(tmp_path / "images").to_dict("records"):
        assert row["status"] == expected[row["image_id"]][1]


def test_a_column_that_some_have_and_vectors_of_two_models(tmp_path):
    import duckdb

    landing = Landing(tmp_path)
    names = [f"{number}.jpg" for number in range(6)]
    land(landing, [Row(image_id=name, values={"colour": 1}) for name in names], 1, {"colour": 1})
    columns = pa.schema([*schema.BASE_FIELDS, pa.field("colour", schema.module_struct(schema.classifier_fields(7)))])
    row = {"image_id": "0.jpg", "version": "1", "status": "ok", "colour": {"label": "red", "embedding": [2.0] * 7}}
    other = ModuleState(settings={}, model=schema.ModelInfo(model="other", weights_sha256="1" * 64, dim=7))
    table = pa.Table.from_pylist([row], columns)
    landing.write_part(table, generation=2, block=0, piece=0, modules={"colour": other})
    land(landing, [Row(image_id="1.jpg", values={"size": 3})], 3, {"size": 1})
    publish(landing)
    assert images_of(tmp_path) == dict.fromkeys(names, "1")
    query = f"""SELECT image_id, len(colour.embedding), colour.red, colour.label, size.n
        FROM read_parquet('{tmp_path}/images/*.parquet') ORDER BY image_id LIMIT 3"""
    assert duckdb.sql(query).fetchall() == [
        ("0.jpg", 7, None, "red", None), ("1.jpg", 4, 1, None, 3), ("2.jpg", 4, 1, None, None)
    ]  # fmt: skip
    assert landing.index.modules["size"][0].tolist().count(-1) == 5  # what is null there was not computed


def test_a_small_change_writes_only_the_files_that_it_is_in(tmp_path):
    landing = Landing(tmp_path)
    for block in range(5):
        rows = [Row(image_id=f"{block}-{number}", values={"colour": 1}) for number in range(10)]
        land(landing, rows, 1, {"colour": 1}, block=block)
    publish(landing)
    before = landing.storage.versions("images")
    assert len(before) == 5
    changed = [Row(image_id="1-3", version="2", values={"colour": 2}), Row(image_id="new", values={"colour": 2})]
    land(landing, changed, 2, {"colour": 1})
    land(landing, [Row(image_id="4-0", status="pruned")], 3, {})
    publish(landing)
    after = landing.storage.versions("images")
    kept = sorted(name for name in after if before.get(name) == after[name])
    assert kept == [f"part-000001-{block:08d}-000.parquet" for block in (0, 2, 3)]
    assert images_of(tmp_path).items() >= {"1-3": "2", "1-4": "1", "new": "1"}.items()
    assert len(images_of(tmp_path)) == 50


def test_nothing_new_is_nothing_to_read(tmp_path, monkeypatch):
    landing = land_faces(tmp_path, {"a": 2, "b": 1})
    publish(landing)
    monkeypatch.setattr(Landing, "index", property(lambda landing: pytest.fail("it was read")))
    publish(Landing(tmp_path))


# --- faces -----------------------------------------------------------------------------------------------------------


def land_faces(out: Path, faces: dict[str, int], *, generation: int = 1, version: str = "1") -> Landing:
    """Images with so many faces each, a file an image."""
    landing = Landing(out)
    columns = pa.schema([*schema.BASE_FIELDS, pa.field("facenet", schema.module_struct(schema.faces_fields(2)))])
    model = ModuleState(settings={}, model=schema.ModelInfo(model="tiny", weights_sha256="0" * 64, dim=2))
    for block, (name, count) in enumerate(faces.items()):
        found = [
            {"face_id": schema.face_id(name, i), "x1": i, "y1": 1, "x2": 9, "y2": 9, "score": 0.5, "sharpness": 7}
            | {"landmarks": [0] * 10, "embedding": [1, 0]}
            for i in range(count)
        ]
        row = {"image_id": name, "version": version, "status": "ok", "facenet": {"n_faces": count, "faces": found}}
        table = pa.Table.from_pylist([row], columns)
        landing.write_part(table, generation=generation, block=block, piece=0, modules={"facenet": model})
    landing.refresh()
    return landing


def name_faces(landing: Landing, **people: str) -> None:
    """Write identities: each image's first face is this person."""
    rows = [
        {"face_id": schema.face_id(name, 0), "image_id": name, "identity_id": who, "distance": 0.1, "assigned": "late"}
        for name, who in people.items()
    ]
    IDENTITIES.write(landing, pa.Table.from_pylist(rows, schema.IDENTITY_SCHEMA))


def faces_of(out: Path) -> list[tuple[Any, ...]]:
    """Face, image, left edge and person, as DuckDB and pandas see them."""
    import duckdb

    names = ["face_id", "image_id", "x1", "identity_id"]
    found = duckdb.sql(f"SELECT {', '.join(names)} FROM read_parquet('{out}/faces/*.parquet') ORDER BY 1").fetchall()
    table = pd.read_parquet(out / "faces").sort_values("face_id")
    assert table.columns.tolist() == schema.FACE_SCHEMA.names and table["face_id"].tolist() == [row[0] for row in found]
    return found


def test_a_row_a_face_and_whose_it_is(tmp_path):
    landing = land_faces(tmp_path, {"a": 2, "b": 0, "c": 1, "d": 1})
    publish(landing)
    assert faces_of(tmp_path) == [
        ("a#0", "a", 0, None),
        ("a#1", "a", 1, None),
        ("c#0", "c", 0, None),
        ("d#0", "d", 0, None),
    ]
    before = landing.storage.versions("faces")
    name_faces(landing, a="ada")
    publish(landing)
    assert [row[3] for row in faces_of(tmp_path)] == ["ada", None, None, None]
    after = landing.storage.versions("faces")
    assert [name for name in after if after[name] != before[name]] == ["part-000001-00000000-000.parquet"]

    land(landing, [Row(image_id="e", status="failed")], 2, {"size": 1})  # of a run without this module
    land_faces(tmp_path, {"a": 1, "f": 1}, generation=3, version="2")
    land(landing, [Row(image_id="c", status="pruned")], 4, {})
    publish(landing)
    assert [row[0] for row in faces_of(tmp_path)] == ["a#0", "d#0", "f#0"]
    name_faces(landing, d="dan")
    publish(landing)
    assert [row[3] for row in faces_of(tmp_path)] == [None, "dan", None]
    compact(landing)
    publish(landing)
    assert [row[0::3] for row in faces_of(tmp_path)] == [("a#0", None), ("d#0", "dan"), ("f#0", None)]


# --- stopped, and locked ---------------------------------------------------------------------------------------------


class Stopping(StoppingStorage):
    """Stops at changes of the faces, and of what was published, too."""

    def _step(self, name: str) -> None:
        super()._step(f"images/{name}")


def test_stopped_after_any_step_nothing_is_lost_and_the_next_call_makes_it_right(tmp_path):
    out = tmp_path / "out"
    landing = land_faces(out, {"a": 2, "b": 1, "c": 1})
    name_faces(landing, a="ada", b="bob")
    publish(landing)
    land_faces(out, {"a": 1}, generation=2, version="2")
    land(landing, [Row(image_id="b", values={"size": 1})], 3, {"size": 1})
    land(landing, [Row(image_id="c", status="pruned")], 4, {})
    for steps in range(40):
        copy = tmp_path / f"{steps}"
        shutil.copytree(out, copy)
        stopped = False
        try:
            publish(Landing(Stopping(copy, steps)))
        except KeyboardInterrupt:
            stopped = True
        assert {k: row[:2] for k, row in read_all(Landing(copy)).items()} == {"a": ("2", "ok"), "b": ("1", "ok")}, steps
        names = [
            name for path in (copy / "faces").glob("*.parquet") for name in pq.read_table(path)["face_id"].to_pylist()
        ]
        assert len(names) == len(set(names))  # no face is there twice at any moment
        publish(Landing(copy))
        images = pq.read_table(copy / "images", columns=["image_id", "version"]).to_pylist()
        assert sorted((row["image_id"], row["version"]) for row in images) == [("a", "2"), ("b", "1")]
        assert sorted(pq.read_table(copy / "faces")["face_id"].to_pylist()) == ["a#0", "b#0"]
        if not stopped:
            break
    assert 6 < steps < 39


def test_not_while_another_run_is_at_work(tmp_path, another_run):
    landing = land_faces(tmp_path, {"a": 1})
    with another_run(tmp_path), pytest.raises(OutLockedError, match="in use by process"):
        publish(landing)

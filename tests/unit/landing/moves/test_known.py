"""Bytes that landed before are found, with the newest that modules of the same settings said of them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.moves.known import KnownBytes, find_known
from tests.unit.landing.histories import MODULES, Row, land, state

WANTED = {name: state(name).settings_hash for name in MODULES}
BOTH = {"colour": 1, "size": 1}


def known(landing: Landing, wanted=None) -> KnownBytes:
    return KnownBytes(landing.storage, find_known(Landing(landing.storage).parts, wanted or WANTED))


def said(found: KnownBytes, sha256: str, modules=("colour", "size")) -> dict:
    """By module, the value that is known; nothing for one that is not."""
    places = found.find(sha256, modules)
    if not places:
        return {}
    (row,) = found.read(["new"], [places])
    assert {"format", "width", "height"} <= row.keys()
    return {name: row[name]["red" if name == "colour" else "n"] for name in places}


@pytest.mark.parametrize("fold_rows", [1, 2**20])
def test_the_newest_of_equal_settings_is_found_by_module_wherever_it_is(tmp_path, monkeypatch, fold_rows):
    monkeypatch.setattr("pixelbrain.landing.moves.known._FOLD_ROWS", fold_rows)
    landing = Landing(tmp_path)
    land(landing, [Row(image_id="a", sha256="A", values={"colour": 1, "size": 1})], 1, BOTH)
    land(landing, [Row(image_id="b", sha256="B", values={"colour": 2})], 2, {"colour": 1})
    land(landing, [Row(image_id="b", sha256="B", values={"size": 3})], 3, {"size": 1})
    land(landing, [Row(image_id="copy", sha256="A", values={"colour": 4})], 4, {"colour": 1})
    land(landing, [Row(image_id="a", sha256="A", values={"size": 5})], 5, {"size": 2})  # other settings
    found = known(landing)
    assert said(found, "A") == {"colour": 4, "size": 1} and said(found, "A", ["size"]) == {"size": 1}
    assert said(found, "B") == {"colour": 2, "size": 3}
    assert said(found, "C") == {} and said(found, "A", ["another"]) == {}
    several = [found.find("A", ["colour"]), found.find("B", ["colour", "size"])]
    first, second = found.read(["x", "y"], several)
    assert first["colour"]["red"] == 4 and first["size"] is None
    assert (second["colour"]["red"], second["size"]["n"]) == (2, 3)


def test_what_failed_is_not_known(tmp_path):
    landing = Landing(tmp_path)
    rows = [
        Row(image_id="a", sha256="A", values={"colour": "ModuleError", "size": 1}),
        Row(image_id="b", sha256="B", status="failed"),
        Row(image_id="c", sha256="C"),
    ]
    land(landing, rows, 1, BOTH)
    found = known(landing)
    assert said(found, "A") == {"size": 1} and said(found, "B") == said(found, "C") == {}


def test_nothing_is_known_where_nothing_fits(tmp_path):
    landing = Landing(tmp_path)
    assert find_known(landing.parts, WANTED) is None
    land(landing, [Row(image_id="a", sha256="A", values={"size": 1})], 1, {"size": 2})
    landing.refresh()
    assert find_known(landing.parts, WANTED) is None
    nothing = KnownBytes(landing.storage, None)
    assert nothing.find("A", ["size"]) == {} and nothing.read([], []) == []


def test_faces_are_those_of_the_new_image(tmp_path):
    landing = Landing(tmp_path)
    face = {"x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0, "score": 0.5, "embedding": [0.1, 0.2]}
    faces = [face | {"face_id": schema.face_id("old", index)} for index in range(2)]
    rows = pa.Table.from_pylist(
        [{"image_id": "old", "version": "1", "sha256": "A", "status": "ok", "width": 7}], pa.schema(schema.BASE_FIELDS)
    )
    kind = schema.module_struct(schema.faces_fields(2))
    rows = rows.append_column("facenet", pa.array([{"n_faces": 2, "faces": faces}], kind))
    landing.write_part(rows, generation=1, block=0, piece=0, modules={"facenet": state("facenet")})
    found = known(landing, {"facenet": state("facenet").settings_hash})
    (row,) = found.read(["file:///new.jpg"], [found.find("A", ["facenet"])])
    assert row["width"] == 7
    structs = pa.array([row["facenet"]], kind).to_pylist()
    assert [one["face_id"] for one in structs[0]["faces"]] == ["file:///new.jpg#0", "file:///new.jpg#1"]
    old = pa.array([{"n_faces": 2, "faces": faces}], kind).to_pylist()[0]["faces"]
    assert [{**one, "face_id": ""} for one in structs[0]["faces"]] == [{**one, "face_id": ""} for one in old]


def test_it_takes_little_memory_an_image(tmp_path):
    landing = Landing(tmp_path)
    rows = [Row(image_id=f"{n}", sha256=f"{n}" * 16, values={"size": n}) for n in range(1000)]
    land(landing, rows, 1, {"size": 1})
    table = find_known(landing.parts, {"size": WANTED["size"]})
    assert table.nbytes == 1000 * (16 + 8)
    assert said(KnownBytes(landing.storage, table), "77" * 16, ["size"]) == {"size": 77}

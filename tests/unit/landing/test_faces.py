"""What a module says of each face is in every table of faces, and about no other face."""

from __future__ import annotations

import csv

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import pixelbrain as pb
from pixelbrain import schema
from pixelbrain.asking.pending import pending_images
from pixelbrain.asking.questions.question import PREBUILT
from pixelbrain.asking.settings import AskSettings
from pixelbrain.errors import ConfigError
from pixelbrain.landing.faces import join_results
from pixelbrain.landing.forgotten.erase import erase
from pixelbrain.landing.forgotten.marks import FaceMark, Mark, write_mark
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.published import publish
from pixelbrain.landing.where.names import read_where
from pixelbrain.report.gallery.reader import read_library
from tests.unit.engine.standing import Bright, Finder, rows_of, run


@pytest.fixture
def out(tmp_path, encode, monkeypatch):
    """Photos with none, one and two faces, at all of which a module looked."""
    (tmp_path / "photos").mkdir()
    for width in (12, 25, 38):
        (tmp_path / "photos" / f"{width}.png").write_bytes(encode("PNG", size=(width, 20)))
    run(monkeypatch, tmp_path / "photos", tmp_path / "out", Finder(), Bright())
    return tmp_path / "out"


def means_of(out) -> dict[str, float]:
    return {f["face_id"]: f["mean"] for row in rows_of(out).values() for f in row["bright"]["faces"]}


def test_in_what_other_programs_read(out, tmp_path, monkeypatch):
    publish(Landing(out))
    faces = pq.read_table(out / "faces")
    assert faces.schema.names == [*schema.FACE_SCHEMA.names, "bright"] and len(faces) == 3
    assert faces["bright"].type.names == ["mean", "warm"]  # no vectors
    said = {row["face_id"]: row["bright"]["mean"] for row in faces.to_pylist()}
    assert said == means_of(out)
    found = pb.open(out).sql("SELECT face_id, bright.mean AS mean FROM faces WHERE bright.mean > 0")
    assert dict(zip(*(column.to_pylist() for column in found.columns), strict=True)) == said
    # of a face that is somewhere else now, what was said of it is not said
    run(monkeypatch, tmp_path / "photos", out, Finder(left=1))
    publish(Landing(out))
    again = pq.read_table(out / "faces")
    assert len(again) == 3 and not {"bright"} & {*again.schema.names} or pc.all(pc.is_null(again["bright"])).as_py()


def test_in_exports_filters_and_the_gallery(out, tmp_path):
    said = means_of(out)
    faces = pb.open(out).faces()
    assert faces.column_names[-2:] == ["bright.mean", "bright.warm"]
    assert dict(zip(faces["face_id"].to_pylist(), faces["bright.mean"].to_pylist(), strict=True)) == said
    assert pb.open(out).export(tmp_path / "faces.csv", "faces") == 3
    with open(tmp_path / "faces.csv") as file:
        assert [float(row["bright.mean"]) for row in csv.DictReader(file)] == pytest.approx([*said.values()], abs=1e-3)
    assert "bright.faces" not in pb.open(out).images().column_names

    library = read_library(Landing(out), tmp_path)
    shown = {face.face_id: dict(face.values) for photo in library.photos for face in photo.faces}
    assert {name: float(values["bright.mean"]) for name, values in shown.items()} == pytest.approx(said, rel=1e-4)
    assert dict(library.photos[2].values)["bright.warm"].count(",") == 1  # of both faces, in their order


def test_a_filter_holds_where_it_does_of_any_face(out):
    landing, said = Landing(out), means_of(out)
    settings = AskSettings(questions=(PREBUILT["people_detector"],))

    def asked(text: str) -> list[str]:
        found = [one for table in pending_images(landing, settings, read_where(landing, text)) for one in
                 table["image_id"].to_pylist()]  # fmt: skip
        return [one.rpartition("/")[2] for one in found]

    second = next(mean for face, mean in said.items() if face.endswith("38.png#1"))
    assert asked(f"bright.mean == {second!r}") == ["38.png"]
    assert asked("bright.mean >= 0") == ["25.png", "38.png"] and asked("not bright.mean >= 0") == ["12.png"]
    assert asked("bright.warm or not bright.warm") == ["12.png", "25.png", "38.png"]
    warm = sorted({f["face_id"].partition("#")[0].rpartition("/")[2] for row in rows_of(out).values() for f in
                   row["bright"]["faces"] if f["warm"]})  # fmt: skip
    assert asked("bright.warm") == asked("true in bright.warm") == warm
    with pytest.raises(ConfigError, match="bright.mean is a number, and is compared|'x' is a text, and is compared"):
        read_where(landing, "bright.mean > 'x'")


def test_what_was_said_of_a_face_is_said_of_none_that_is_somewhere_else(out):
    (table,) = Landing(out).iter_images(["facenet", "bright"])
    kinds = {"bright": pa.struct([("mean", pa.float32()), ("later", pa.string())])}
    faces = pc.list_flatten(pc.struct_field(table["facenet"].combine_chunks(), "faces"))
    moved = pa.array([{**face, "x2": face["x2"] + (n == 1)} for n, face in enumerate(faces.to_pylist())], faces.type)
    assert [one.is_valid for one in join_results(table, faces, kinds)["bright"]] == [True] * 3
    found = join_results(table, moved, kinds)["bright"].to_pylist()
    assert [one and one["later"] for one in found] == [None] * 3 and [one is None for one in found] == [0, 1, 0]


def test_a_face_that_is_forgotten_takes_along_what_was_said_of_it(out):
    landing = Landing(out)
    row = rows_of(out)["38.png"]
    box = [row["facenet"]["faces"][1][name] for name in ("x1", "y1", "x2", "y2")]
    write_mark(landing.storage, Mark(faces=(FaceMark.of(row["sha256"], box),)))
    erase(landing)
    left = rows_of(out)["38.png"]
    assert len(left["bright"]["faces"]) == len(left["facenet"]["faces"]) < 2

"""A DataLoader over what has landed: which images are meant, and when that is looked at."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow as pa
import pytest

import pixelbrain as pb
from pixelbrain import schema
from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.landing.registry import write_registry
from tests.unit.engine.modules_for_tests import Size


def land(out: Path, photos: Path, generation: int, **pixels: int) -> Landing:
    """Photos, by the beginning of their names, and how many pixels the module `size` says that they have."""
    landing = Landing(out)
    listed = [row for table in pb.DataLoader(photos).list_images() for row in table.to_pylist()]
    rows = [
        {**row, "status": "ok", "width": 60, "size": {"pixels": pixels[name]}}
        for row in listed
        if (name := Path(row["image_id"]).stem) in pixels
    ]
    columns = pa.schema([*schema.BASE_FIELDS, pa.field("size", Size().struct_type())])
    state = ModuleState(settings={}, model=None)
    table = pa.Table.from_pylist(rows, columns)
    landing.write_part(table, generation=generation, block=0, piece=0, modules={"size": state})
    return landing


@pytest.fixture
def photos(tmp_path: Path, encode) -> Path:
    (tmp_path / "photos" / "below").mkdir(parents=True)
    for name in ("a", "b", "c", "below/d", "below/e"):
        (tmp_path / "photos" / f"{name}.png").write_bytes(encode("PNG", size=(60, 40)))
    return tmp_path / "photos"


@pytest.fixture
def out(tmp_path: Path, photos: Path) -> Path:
    """All photos but e: a is of Ada, b and c are of Bob."""
    landing = land(tmp_path / "out", photos, 1, a=1, b=2, c=3, d=4)
    ids = {Path(one).stem: one for one in landing.index.image_id.to_pylist()}
    who = {"a": "person-1", "b": "person-2", "c": "person-2"}
    faces = [
        {"face_id": f"{ids[name]}#0", "image_id": ids[name], "identity_id": one, "assigned": "clustered"}
        for name, one in who.items()
    ]
    kinds = schema.module_struct(schema.faces_fields(2))
    rows = [
        {"image_id": ids[name], "version": version, "status": "ok"}
        | {"facenet": {"n_faces": 1, "faces": [face for face in faces if face["image_id"] == ids[name]]}}
        for name, version in zip("abcd", landing.index.version.to_pylist(), strict=True)
    ]
    table = pa.Table.from_pylist(rows, pa.schema([*schema.BASE_FIELDS, pa.field("facenet", kinds)]))
    state = ModuleState(settings={}, model=None)
    landing.write_part(table, generation=2, block=0, piece=0, modules={"facenet": state})
    landing.refresh()
    IDENTITIES.write(landing, pa.Table.from_pylist(faces, schema.IDENTITY_SCHEMA))
    people = [{"identity_id": f"person-{n}", "name": name, "hidden": False, "n_faces": 1} for n, name in ((1, "Ada"),)]
    write_registry(landing, pa.Table.from_pylist(people, schema.PERSON_SCHEMA))
    return tmp_path / "out"


def names(loader: pb.DataLoader) -> str:
    ids = [one for table in loader.list_images() for one in table["image_id"].to_pylist()]
    return "".join(Path(one).stem for one in ids)


def test_an_out_is_a_source_and_chooses_of_another_one(photos: Path, out: Path):
    assert names(pb.DataLoader(out=out)) == names(pb.DataLoader(str(out), out=str(out))) == "abcd"
    assert names(pb.DataLoader(out, where="size.pixels > 1")) == "bcd"
    assert names(pb.DataLoader(out, where="size.pixels > 1", offset=1, limit=1)) == "c"
    assert names(pb.DataLoader(photos, out=out, where="size.pixels > 1")) == "bcd"
    assert names(pb.DataLoader(photos, out=out, where="not size.pixels > 1")) == "a"  # of e, nothing is known
    assert names(pb.DataLoader([photos / "c.png", photos / "below"], out=out, where="size.pixels > 1")) == "cd"
    assert names(pb.DataLoader(out, person="ada")) == "a"
    assert names(pb.DataLoader(out, most_common_person=True)) == "bc"
    assert names(pb.DataLoader(out, most_common_person=True, where="size.pixels == 3")) == "c"
    assert names(pb.DataLoader(out=out, filter=lambda row: row["size"]["pixels"] % 2)) == "ac"
    assert names(pb.DataLoader(out, where="size.pixels > 1", filter=lambda row: row["path"].endswith("c.png"))) == "c"
    (photos / "b.png").touch()  # as it is now, OUT does not know it
    assert names(pb.DataLoader(photos, out=out, where="size.pixels > 1")) == "cd"
    loader = pb.DataLoader(out, where="size.pixels > 2")
    assert len(loader) == 2 and [image.pixels.shape for image in loader] == [(40, 60, 3)] * 2
    assert repr(loader) == f"DataLoader(source={str(out)!r}, where='size.pixels > 2')"
    assert loader.clone(where=None, out=out).is_whole is loader.is_whole is False


def test_it_looks_anew_at_each_listing_unless_it_has_settled(photos: Path, out: Path):
    loader = pb.DataLoader(photos, out=out, where="size.pixels > 2")
    settled = [pickle.loads(pickle.dumps(one.settled())) for one in (loader, pb.DataLoader(out, where=loader.where))]
    land(out, photos, 3, a=9, e=9)
    assert names(loader) == "acde" and [sorted(names(one)) for one in settled] == [["c", "d"]] * 2


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"where": "size.pixels > 1"}, ConfigError, "photos is no OUT that knows .*out='out/'"),
        ({"where": "size.pixel > 1", "out": "out"}, ConfigError, "did you mean size.pixels"),
        ({"person": "Adda", "out": "out"}, ConfigError, "did you mean 'ada'"),
        ({"where": "true", "out": "nowhere"}, LandingError, "nothing has landed in .*nowhere"),
    ],
)
def test_what_cannot_be_known_is_said(photos: Path, out: Path, arguments, error, says: str):
    arguments = {name: str(photos.parent / value) if name == "out" else value for name, value in arguments.items()}
    with pytest.raises(error, match=says):
        len(pb.DataLoader(photos, **arguments))


def test_what_no_loader_can_be_told_is_said_at_once(photos: Path):
    for arguments in ({}, {"source": photos, "where": "a ="}, {"source": photos, "offset": -1}):
        with pytest.raises(ConfigError):
            pb.DataLoader(**arguments)
    with pytest.raises(ConfigError, match="has no 'wheer': it has source, out, where"):
        pb.DataLoader(photos).clone(wheer="x")

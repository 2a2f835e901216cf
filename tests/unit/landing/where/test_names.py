"""What an expression over an OUT may name, and which images it chooses there."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.errors import ConfigError
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.landing.registry import write_registry
from pixelbrain.landing.where.names import choose_images, mask, most_common_person, read_where

FACES = {
    "a": [("ada", 0.9, 10.0), ("bob", 0.5, 70.0)],
    "b": [("ada", 0.4, 5.0)],
    "c": [],
    "d": [("eve", None, 1.0)],
}
THING = pa.struct([("name", pa.string()), ("size", pa.float64())])


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Landing:
    """Images a to d with faces, people and things, and e, of which only that it failed is known."""
    landing = Landing(tmp_path_factory.mktemp("out"))
    kinds = {
        "facenet": schema.faces_fields(2),
        "things": [pa.field("found", pa.list_(THING)), pa.field("n", pa.int8())],
    }
    kinds["deep"] = [pa.field("look", pa.struct([pa.field("noise", pa.float32())]))]
    faces = {
        image: [
            {"face_id": f"{image}#{n}", "score": score, "x1": x1, "image_id": image, "identity_id": who}
            for n, (who, score, x1) in enumerate(found)
        ]
        for image, found in FACES.items()
    }
    rows = [
        {"image_id": f"file:///photos/{image}.jpg", "version": "1", "status": "ok", "width": 60}
        | {"facenet": {"n_faces": len(found), "faces": found}}
        | {"things": {"found": [{"name": "cup", "size": 2.0 + n} for n in range(len(found))], "n": len(found)}}
        | {"deep": {"look": {"noise": float(len(found))}}}
        for image, found in faces.items()
    ]
    base = [*schema.BASE_FIELDS]
    columns = [pa.field(name, schema.module_struct(kind)) for name, kind in kinds.items()]
    states = dict.fromkeys(kinds, ModuleState(settings={}, model=None))
    table = pa.Table.from_pylist(rows, pa.schema([*base, *columns]))
    landing.write_part(table, generation=1, block=0, piece=0, modules=states)
    broken = {"image_id": "file:///photos/e.jpg", "version": "1", "status": "failed", "error_type": "DecodeError"}
    landing.write_part(pa.Table.from_pylist([broken], pa.schema(base)), generation=2, block=0, piece=0, modules={})
    landing.refresh()
    people = [
        {**face, "image_id": f"file:///photos/{image}.jpg", "assigned": "clustered"}
        for image, found in faces.items()
        for face in found
    ]
    IDENTITIES.write(landing, pa.Table.from_pylist(people, schema.IDENTITY_SCHEMA))
    names = [{"identity_id": "ada", "name": "Ada Löwe"}, {"identity_id": "bob", "name": "Bob"}, {"identity_id": "eve"}]
    registry = [{**one, "hidden": one["identity_id"] == "eve", "n_faces": 1} for one in names]
    write_registry(landing, pa.Table.from_pylist(registry, schema.PERSON_SCHEMA))
    return landing


def chosen(out: Landing, text: str) -> str:
    found = choose_images(out, read_where(out, text))
    assert found.column_names == ["image_id", "version"]
    return "".join(one.removeprefix("file:///photos/").removesuffix(".jpg") for one in found["image_id"].to_pylist())


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("n_faces > 0 and faces.n_faces > 0 and facenet.n_faces > 0", "abd"),
        ("faces.score > 0.45", "a"),
        ("faces.score > 0.3 and facenet.faces.x1 < 60", "ab"),
        ("faces.score < 0.45 or faces.x1 > 60", "ab"),
        ("not faces.score > 0.45", "bcd"),
        ("things.name = 'cup' and things.found.size >= 3", "a"),
        ("things.n == 0", "c"),
        ("deep.look.noise > 1", "a"),
        ("person = 'ada lo\u0308we'", "ab"),
        ("people contains 'Bob'", "a"),
        ("person in ('bob', 'eve')", "ad"),
        ("not person = 'Ada Löwe'", "cde"),
        ("'ada' in identities and not 'bob' in identities", "b"),
        ("status = 'failed' and error_type = 'DecodeError'", "e"),
        ("'photos/b' in path or image_id = 'file:///photos/c.jpg'", "bc"),
        ("facenet is null", "e"),
        ("label is null and width = 60", "abcd"),
    ],
)
def test_chooses(out: Landing, text: str, images: str) -> None:
    assert chosen(out, text) == images


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("faces.skore > 1", "did you mean faces.score?"),
        ("face.score > 1", "did you mean faces.score?"),
        ("colour > 1", "known are image_id.*n_faces.*faces\\.\\*.*group_id, people, person"),
        ("person = 'Ada Loewe'", "nobody's name or id; did you mean 'ada löwe'?"),
        ("faces > 1", "1 is a number, and is compared with several fields"),
        ("facenet == facenet", "is several fields, and cannot be compared"),
        ("", "where is empty"),
    ],
)
def test_says_which_names_there_are(out: Landing, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as error:
        chosen(out, text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 700


def test_who_is_in_most_images_and_before_anybody_was_identified(out: Landing, tmp_path: Path) -> None:
    assert most_common_person(out) == "ada"
    empty = Landing(tmp_path)
    assert most_common_person(empty) is None
    assert len(choose_images(empty, read_where(empty, "width > 1"))) == 0
    with pytest.raises(ConfigError, match="person is not known before people are found: `pixelbrain identify`"):
        read_where(empty, "person = 'Ada'")


def test_what_is_beside_is_found_wherever_rows_begin(out):
    """Another process may have compacted OUT: rows come in another order than when the expression was read."""
    where = read_where(out, "person == 'ada'")
    table = next(out.iter_images([]))
    assert [mask(where, table, start).to_pylist() for start in (0, 1, 99)] == [[True, True, False, False, False]] * 3
    assert mask(where, table.slice(1), 0).to_pylist() == mask(where, table.slice(1), 1).to_pylist()
    assert next(out.iter_images([], base=["image_id", "width"])).column_names == ["image_id", "width"]

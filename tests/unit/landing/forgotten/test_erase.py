"""Nothing of what is forgotten is left in any file of OUT; all else is as it was; and a kill costs nothing."""

from __future__ import annotations

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixelbrain import schema
from pixelbrain.errors import ConfigError, OutLockedError
from pixelbrain.identity.corrections.people import People
from pixelbrain.identity.mapping.map import make_map
from pixelbrain.landing.derived import DUPLICATES, IDENTITIES, landed_maps
from pixelbrain.landing.duplicates.read import read_duplicates
from pixelbrain.landing.forgotten.erase import erase
from pixelbrain.landing.forgotten.marks import write_mark
from pixelbrain.landing.forgotten.select import select_faces, select_photos
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.published import publish
from pixelbrain.landing.registry import read_registry
from pixelbrain.storage.local import LocalStorage
from tests.unit.landing.forgotten.world import (
    ANN,
    ANN_A,
    BOB_A,
    BYTES,
    EVE_A,
    PHOTOS,
    identify,
    image_id,
    land,
    left_of,
    photo_traces,
    set_aside,
    traces,
)


@pytest.fixture
def landing(tmp_path) -> Landing:
    """Two runs, of which the second replaced the first, people, and what kills left."""
    land(tmp_path)
    found = land(tmp_path, shift=4)
    identify(found)
    publish(found)
    land(tmp_path, shift=4)
    found = land(tmp_path)
    identify(found)
    set_aside(found)
    assert {one.partition(" of ")[0] for one in left_of(tmp_path, ANN)} >= {"vector", "landmarks", "crop"}
    found.refresh()
    return found


def test_a_person_is_nowhere_and_everybody_else_is_as_before(tmp_path, landing):
    before = next(landing.iter_images()).to_pylist()[0]["facenet"]["faces"]
    selection = select_faces(landing, person="person-a")
    assert selection.faces == 3 and selection.lines[0] == "person-a11, who has 3 faces"
    write_mark(landing.storage, selection.mark)
    erase(landing)
    assert left_of(tmp_path, ANN) == []
    (table,) = Landing(tmp_path).iter_images()
    faces = {row["image_id"]: row["facenet"]["faces"] for row in table.to_pylist()}
    assert {one: [face["face_id"][-2:] for face in found] for one, found in faces.items()} == {
        image_id("a.jpg"): ["#1", "#2"], image_id("b.jpg"): [], image_id("copy of a.jpg"): ["#1", "#2"],
    }  # fmt: skip
    assert faces[image_id("a.jpg")] == before[1:]
    assert left_of(tmp_path / "thumbnails", {"bob": traces("a.jpg", BOB_A)["crop"]}) != []
    who = pq.read_table(tmp_path / "identities").to_pylist()
    assert sorted(row["identity_id"] or "" for row in who) == ["", "", "person-b22", "person-b22"]
    shown = pq.read_table(tmp_path / "faces").to_pylist()
    assert sorted(row["face_id"] for row in shown) == sorted(row["face_id"] for row in who)
    with pytest.raises(ConfigError, match="there is no person 'person-a11'"):
        select_faces(Landing(tmp_path), person="person-a11")


def test_a_face_alone(tmp_path, landing):
    write_mark(landing.storage, select_faces(landing, faces=[f"{image_id('a.jpg')}#2"]).mark)
    erase(landing)
    assert left_of(tmp_path, traces("a.jpg", EVE_A)) == []
    assert left_of(tmp_path, {"ann": traces("a.jpg", ANN_A)["vector"]}) != []
    with pytest.raises(ConfigError, match=r"no face .*a.jpg#2"):
        select_faces(Landing(tmp_path), faces=[f"{image_id('a.jpg')}#1", f"{image_id('a.jpg')}#2"])


def answer(landing: Landing, name: str, version: str, key: str) -> None:
    record = {"image_id": image_id(name), "version": version, "field": "mood", "question": "q", "key": key}
    record |= {"status": "ok", "answer": f"the secret of {name} {version}"}
    journal = landing.answer_log.journal(f"{name[0]}{version}", {"mood": pa.string()})
    journal.append(record)
    journal.close()


def test_a_photo_its_copies_and_all_that_was_derived_from_them(tmp_path, landing):
    answer(landing, "a.jpg", "1", "key-a")
    answer(landing, "what a.jpg was called before", "1", "key-a")
    landing.answer_log.fold()
    answer(landing, "b.jpg", "1", "key-b")
    of = [{"image_id": image_id(one), "duplicate_id": "d", "keep": one == "a.jpg"} for one in ("a.jpg", "b.jpg")]
    of[1]["copy_of"] = image_id("a.jpg")
    columns = [schema.DUPLICATE_SCHEMA.field(one) for one in ("image_id", "duplicate_id", "keep", "copy_of")]
    DUPLICATES.write(landing, pa.Table.from_pylist(of, pa.schema(columns)))
    assert len(read_duplicates(landing)) == 2
    assert [make_map(landing, by).points for by in ("images", "faces")] == [3, 7]
    selection = select_photos(landing, ["/photos/a.jpg"])
    assert selection.photos == 2 and "copy of a.jpg" in selection.lines[1]
    write_mark(landing.storage, selection.mark)
    erase(landing)
    answer(landing, "a.jpg", "1", "key-a")  # a batch comes back
    erase(landing)
    wanted = {
        **photo_traces("a.jpg"),
        **photo_traces("copy of a.jpg"),
        "answer": b"secret of a",
        "old": b"secret of what",
    }
    assert left_of(tmp_path, wanted | traces("a.jpg", BOB_A)) == []
    assert [one.whole(landing)["image_id"].to_pylist() for one in landed_maps(landing).values()] == [
        [image_id("b.jpg")]
    ] * 2
    assert Landing(tmp_path).index.image_id.to_pylist() == [image_id("b.jpg")]
    assert pq.read_table(tmp_path / "answers" / "mood")["answer"].to_pylist() == ["the secret of b.jpg 1"]
    with pytest.raises(ConfigError, match=r"no photo '/photos/a.jpg' has landed"):
        select_photos(Landing(tmp_path), ["/photos/a.jpg"])


def test_a_photo_that_took_the_place_of_another_one(tmp_path, monkeypatch):
    """What was at its name before goes too, and does not come to light; a copy of that elsewhere stays."""
    land(tmp_path, {"a.jpg": PHOTOS["a.jpg"], "copy of a.jpg": PHOTOS["a.jpg"]})
    landing = Landing(tmp_path)
    table = land(tmp_path, {"b.jpg": PHOTOS["b.jpg"]}).index
    assert len(table.image_id) == 3
    replaced = {"copy of a.jpg": PHOTOS["b.jpg"]}
    monkeypatch.setitem(BYTES, "copy of a.jpg", "b.jpg")
    landing = land(tmp_path, replaced, version="2")
    write_mark(landing.storage, select_photos(landing, [image_id("b.jpg")]).mark)
    erase(landing)
    assert Landing(tmp_path).index.image_id.to_pylist() == [image_id("a.jpg")]


class Killed(Exception):
    pass


@pytest.mark.parametrize("what", ["person", "photo"])
def test_killed_at_any_write_the_next_call_finishes(tmp_path, monkeypatch, what):
    left = -1  # writes until the kill; -1: none

    def fragile(name):
        original = getattr(LocalStorage, name)

        def change(self, *args, **options):
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return original(self, *args, **options)

        monkeypatch.setattr(LocalStorage, name, change)

    made = tmp_path / "made"
    land(made)
    land(made, shift=3)
    landing = land(made)
    identify(landing)
    publish(landing)
    chosen = (
        select_faces(landing, person="person-a11") if what == "person" else select_photos(landing, ["/photos/a.jpg"])
    )
    write_mark(landing.storage, chosen.mark)
    for name in ("write_with", "delete", "move"):
        fragile(name)
    for after in range(200):
        out = shutil.copytree(made, tmp_path / str(after))
        left = after
        try:
            erase(Landing(out))
            done = True
        except Killed:
            done = False
        left = -1
        erase(Landing(out))
        wanted = ANN if what == "person" else photo_traces("a.jpg") | photo_traces("copy of a.jpg")
        assert left_of(out, wanted) == [], after
        found = Landing(out)
        assert found.count_images() == (3 if what == "person" else 1), after
        rows = IDENTITIES.read(found).rows
        assert rows is not None and len(rows) == (4 if what == "person" else 1), after
        assert len(pq.read_table(out / "faces")) == len(rows), after
        if done:
            assert after > 4
            return
    raise AssertionError("it never ends")


def test_not_while_a_run_is_at_work(tmp_path, another_run):
    landing = land(tmp_path)
    with another_run(tmp_path), pytest.raises(OutLockedError):
        erase(landing)


def test_names_and_corrections_of_people(tmp_path, monkeypatch):
    """Of who is forgotten, no name and no sum; what was said of others is replayed as before."""
    landing = land(tmp_path)
    identify(landing)
    people = People(tmp_path)
    people.name("person-a11", "Ann of the secret")
    people.name("person-b22", "Bob")
    people.apart("Ann of the secret", "Bob")
    with monkeypatch.context() as patch:
        patch.setattr("pixelbrain.landing.said.events._MANY", 2)
        people.merge("Bob", People(tmp_path).assign("Eve", f"{image_id('a.jpg')}#2", new=True).person or "")
    assert "of the secret" in (tmp_path / "people/events.snapshot").read_text()
    landing = Landing(tmp_path)
    selection = select_faces(landing, person="ann of the SECRET")
    assert selection.lines[0] == "Ann of the secret (person-a11), who has 3 faces"
    write_mark(landing.storage, selection.mark)
    erase(landing)
    assert left_of(tmp_path, ANN | {"name": b"of the secret", "box": b"180.0"}) == []
    again = People(tmp_path)
    assert [(one.identity_id, one.name, one.n_faces) for one in again.list()] == [("person-b22", "Bob", 3)]
    assert len(again.history()) == 6
    known = {row["identity_id"]: row for row in read_registry(landing.storage, sums=True).table.to_pylist()}
    assert known["person-a11"]["sum"] is None and not known["person-a11"]["exemplars"]
    again.name("Bob", "Robert")  # all is replayed
    assert set(read_registry(landing.storage).names.values()) == {"Robert"}

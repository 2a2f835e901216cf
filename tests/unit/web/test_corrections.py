"""People are named, joined and corrected by forms; what is said is seen at once, and can be taken back."""

from __future__ import annotations

import re

import pytest

from pixelbrain.identity.corrections.people import People
from tests.unit.web.visitor import Visitor, key_of, said, shown


@pytest.fixture
def four(visitor) -> list[str]:
    return [one.identity_id for one in visitor.desk.people.list()]


def names(visitor: Visitor) -> dict[str, str | None]:
    return {one.identity_id: one.name for one in visitor.desk.people.list(hidden=True)}


def name(visitor: Visitor, who: str, text: str, **more: str):
    return visitor.post(f"/people/{key_of(who)}/name", name=text, back="/people", **more)


def test_a_name_is_given_and_taken_back(visitor, four):
    page = visitor.say(f"/people/{key_of(four[0])}/name", name="  Ann <b>\u202e ")
    assert "is called Ann <b> now" in said(page) and names(visitor)[four[0]] == "Ann <b>"
    assert "<b>" not in page and 'value="Ann &lt;b&gt;"' in page
    assert visitor.desk.view().known.names == ["Ann <b>"]
    assert "Ann <b>" in shown(visitor.get(f"/people/{key_of(four[0])}"))
    page = visitor.say("/undo")
    assert "Taken back" in said(page) and names(visitor)[four[0]] is None
    assert "who is it?" in said(visitor.say(f"/people/{key_of(four[0])}/name", name=""))
    again = re.search(r'name="number" value="(\d+)">Redo', page)
    assert again and "Done again: Person" in said(visitor.say("/undo", number=again[1]))
    assert "Taken back" in said(visitor.say("/undo"))
    assert "nothing was said" in said(visitor.say("/undo"))


def test_a_name_that_exists_is_asked_about(visitor, four):
    name(visitor, four[0], "Ann")
    asked = name(visitor, four[1], "ann")
    assert asked.status_code == 200 and "Is it the same" in asked.text and names(visitor)[four[1]] is None
    assert four[1] not in asked.text or key_of(four[0]) in asked.text
    page = visitor.say(f"/people/{key_of(four[1])}/name", name="ann", sure="new")
    assert "is called ann" in said(page) and names(visitor)[four[1]] == "ann"
    page = visitor.say(f"/people/{key_of(four[2])}/name", name="Ann", sure=key_of(four[0]))
    assert "one person" in said(page) and four[2] not in names(visitor)
    assert visitor.client.get(f"/people/{key_of(four[2])}").headers["location"] == f"/people/{key_of(four[0])}"


def test_several_are_merged_hidden_and_shown_again(visitor, four):
    page = visitor.say("/people/say", do="merge", who=[key_of(one) for one in four[:3]])
    assert "3 are one person" in said(page) and len(names(visitor)) == 2
    assert "12 photos" not in page and "18 photos" in page
    left = next(iter(names(visitor)))
    page = visitor.say("/people/say", do="hide", who=key_of(left))
    assert key_of(left) not in shown(page) and f'id="p-{key_of(left)}"' not in page
    assert f'id="p-{key_of(left)}"' in visitor.get("/people?show=hidden")
    assert f'id="p-{key_of(left)}"' in visitor.say("/people/say", do="unhide", who=key_of(left))
    for wrong in ({"do": "merge", "who": key_of(left)}, {"do": "merge"}, {"do": "eat", "who": key_of(left)}):
        assert said(visitor.say("/people/say", **wrong)).startswith("Nothing was changed")


def test_wrong_faces_are_picked_out(visitor, four):
    name(visitor, four[1], "Bob")
    faces = [key_of(one) for one in visitor.desk.people.faces(four[0])["face_id"].to_pylist()]
    back = f"/people/{key_of(four[0])}"
    pages = [
        visitor.say("/faces/say", back=back, do="not", face=faces[0]),
        visitor.say("/faces/say", back=back, do="is", name="bob", face=faces[1]),
        visitor.say("/faces/say", back=back, do="is", name="Cleo", face=faces[2]),
        visitor.say("/faces/say", back=back, do="noface", face=faces[3]),
        visitor.say("/faces/say", back=back, do="split", whose=key_of(four[0]), face=faces[4]),
    ]
    assert all(said(page) and "changed" not in said(page) for page in pages), [said(page) for page in pages]
    assert len(re.findall('name="face"', pages[-1])) == 1
    now = {one.name or one.identity_id: one.n_faces for one in visitor.desk.people.list()}
    assert now["Bob"] == 7 and now["Cleo"] == 1 and now[four[0]] == 1 and len(now) == 6
    assert faces[0] in visitor.get("/faces") and faces[3] not in visitor.get("/faces")
    assert "who is it" in said(visitor.say("/faces/say", do="is", name=" ", face=faces[0]))
    assert "no face is picked" in said(visitor.say("/faces/say", do="is", name="Bob"))


def test_every_step_stands_in_the_history_and_can_be_taken_back(visitor, four):
    name(visitor, four[0], "Ann")
    visitor.say("/people/say", do="hide", who=key_of(four[1]))
    page = shown(visitor.get("/history"))
    assert "2 steps" in page and page.index("is hidden") < page.index("is called Ann")
    visitor.say("/undo", number="1")
    assert names(visitor)[four[0]] is None and "(taken back)" in visitor.get("/history")
    visitor.say("/undo", number="3")  # redo
    assert names(visitor)[four[0]] == "Ann"
    for wrong in ("99", "x", "-1", "1" * 30, "²"):
        assert said(visitor.say("/undo", number=wrong)).startswith("Nothing was changed")


def test_two_browsers_and_the_command_line_see_each_other(visitor, four):
    other = Visitor(visitor.desk.stages.config.out, app=visitor.app)
    stamp = re.search(r'data-stamp="(\w+)"', other.get("/people"))[1]
    assert other.client.get("/changes", params={"since": stamp}).json()["text"] == ""
    name(visitor, four[0], "Ann")
    told = other.client.get("/changes", params={"since": stamp}).json()
    assert told["stamp"] != stamp and "is called Ann" in told["text"]
    People(visitor.desk.stages.config.out).name(four[1], "Bob")  # as another process does
    visitor.desk._looked = float("-inf")
    assert "Bob" in visitor.get("/people")


def test_a_run_at_work_is_a_message_and_nothing_is_lost(visitor, four, another_run, monkeypatch):
    monkeypatch.setattr(visitor.desk.people, "_wait_s", 0.0)
    with another_run(visitor.desk.stages.config.out):
        page = visitor.say(f"/people/{key_of(four[0])}/name", name="Ann")
    assert "Nothing was changed" in said(page) and "extract" in said(page) and names(visitor)[four[0]] is None
    assert "is called Ann" in said(visitor.say(f"/people/{key_of(four[0])}/name", name="Ann"))


def test_a_contradiction_is_said_in_words(visitor, four):
    visitor.desk.people.apart(four[0], four[1])
    page = visitor.say("/people/say", do="merge", who=[key_of(one) for one in four[:2]])
    assert "Nothing was changed" in said(page) and "not the same" in said(page)


def test_read_only_corrects_nothing(out):
    visitor = Visitor(out, read_only=True)
    who = visitor.desk.people.list()[0].identity_id
    assert name(visitor, who, "Ann").status_code == 403 and visitor.desk.people.history() == []
    for path in ("/", "/people", f"/people/{key_of(who)}", "/faces", "/review", "/history", "/photos"):
        forms = re.findall(r'method="post" action="([^"]+)"', visitor.get(path))
        assert forms in ([], ["/photos/nearest"])  # to search by a photo changes nothing


def test_people_are_looked_for_and_listed_in_pages(visitor, four, monkeypatch):
    name(visitor, four[0], "Ann")
    assert visitor.get("/people?q=aNN").count("data-tile") == 1
    assert visitor.get("/people?show=unnamed").count("data-tile") == 3
    monkeypatch.setattr("pixelbrain.web.people.TILES", 3)
    assert visitor.get("/people").count("data-tile") == 3
    assert visitor.get("/people?page=2").count("data-tile") == 1
    for odd in ("0", "99", "x", "-1", "1e9", "²", "9" * 99):
        assert visitor.get(f"/people?page={odd}").count("data-tile") in (1, 3)

"""The desk reads OUT once, sees what others do, and asks about people one question after another."""

from __future__ import annotations

import threading

import numpy as np

import pixelbrain as pb
from pixelbrain.errors import LandingError
from pixelbrain.identity.corrections.suggest import Suggestion
from tests.unit.landed_out import land_faces
from tests.unit.web.visitor import Visitor, key_of, said, shown


def queue(visitor: Visitor) -> list[Suggestion]:
    return visitor.desk.queue(visitor.desk.view())[0]


def ask(monkeypatch, visitor: Visitor, *asked: Suggestion) -> None:
    monkeypatch.setattr(visitor.desk.people, "suggest", lambda *, k: list(asked))


def same(a: str, b: str) -> Suggestion:
    return Suggestion(kind="same", people=(a, b), face_id=None, distance=0.5, threshold=0.45, together=1, value=2.0)


def about(kind, who: str, face: str) -> Suggestion:
    return Suggestion(kind=kind, people=(who,), face_id=face, distance=0.5, threshold=0.45, together=0, value=1.0)


def key_asked(visitor: Visitor) -> str:
    return visitor.get("/review").partition('name="key" value="')[2][:16]


def test_a_yes_brings_faces_to_who_has_a_name(visitor, monkeypatch):
    a, b, *_rest = (one.identity_id for one in visitor.desk.people.list())
    visitor.say(f"/people/{key_of(b)}/name", name="Bea")
    ask(monkeypatch, visitor, same(a, b))
    assert "it could bring 6 faces to somebody. This one: a yes brings 6 faces to Bea ." in shown(
        visitor.get("/review")
    )


def test_questions_are_answered_one_after_another(visitor, monkeypatch):
    a, b, c, d = (one.identity_id for one in visitor.desk.people.list())
    face = visitor.desk.people.faces(d)["face_id"].to_pylist()[0]
    ask(monkeypatch, visitor, same(a, b), same(b, c), same(c, d), about("border", d, face))
    page = visitor.get("/review")
    assert "4 questions left; they could bring 18 faces" in shown(page) and page.count("<li>") == 12
    key = key_asked(visitor)
    assert visitor.desk.suggestion(key) == same(a, b)
    assert "one person now" in said(visitor.say("/review", back="/review", key=key, do="yes"))
    assert len(visitor.desk.people.list()) == 3
    assert len(queue(visitor)) == 3  # b is a now: the next question is about who it became
    assert "two people" in said(visitor.say("/review", back="/review", key=key_asked(visitor), do="no"))
    assert [one.kind for one in queue(visitor)] == ["same", "border"]
    visitor.say("/review", back="/review", key=key_asked(visitor), do="skip")
    assert "1 question left, 1 put off" in shown(visitor.get("/review"))
    again = Visitor(visitor.desk.stages.config.out)  # holds over a restart
    ask(monkeypatch, again, same(a, b), same(b, c), same(c, d), about("border", d, face))
    assert [one.kind for one in queue(again)] == ["border"]
    assert "is not" in said(visitor.say("/review", back="/review", key=key_asked(visitor), do="no"))
    page = shown(visitor.get("/review"))
    assert (
        "Nothing is left" in page and "1 question put off" in page and "asked no more" in shown(visitor.get("/history"))
    )
    kinds = [event.kind for event in visitor.desk.people.history()]
    assert kinds == ["merge", "apart", "later", "unassign"]
    assert "answered already" in said(visitor.say("/review", key="0" * 16, do="yes"))
    visitor.say("/undo", back="/review")
    assert [one.kind for one in queue(visitor)] == ["border"]  # what was taken back is a question again
    visitor.say("/undo", back="/review", number="3")
    assert [one.kind for one in queue(visitor)] == ["same", "border"]  # also of what was put off


def test_a_face_of_nobody_is_offered_and_a_no_is_about_one_person(visitor, monkeypatch):
    a, b = (one.identity_id for one in visitor.desk.people.list()[:2])
    face = visitor.desk.people.faces(b)["face_id"].to_pylist()[0]
    visitor.desk.people.unassign(face)
    visitor.desk.again()
    ask(monkeypatch, visitor, about("whose", a, face))
    assert queue(visitor) == []  # somebody took it from b by hand
    known = visitor.desk.view().known
    monkeypatch.setattr(known, "how", lambda row: "single")
    assert queue(visitor) == [about("whose", a, face)]
    page = visitor.get("/review")
    assert "Is this" in shown(page) and "The face in question" in page
    key = key_asked(visitor)
    assert "is not Person" in said(visitor.say("/review", back="/review", key=key, do="no"))
    monkeypatch.setattr(visitor.desk.view().known, "how", lambda row: "single")
    last = visitor.desk.people.history()[-1]
    assert (last.kind, last.people) == ("apart", (a,)) and "a face is not Person" in shown(visitor.get("/history"))
    ask(monkeypatch, visitor, about("whose", a, face), about("whose", b, face))
    visitor.desk._queue.of = ("", 0)  # found anew, as after a restart
    assert queue(visitor) == [about("whose", b, face)]


def test_what_people_itself_suggests_is_asked(visitor):
    """Of four who are far apart, nothing; of an OUT without people, why not."""
    left, later, why_not = visitor.desk.queue(visitor.desk.view())
    assert (len(left), later, why_not) == (len(visitor.desk.people.suggest(k=500)), 0, "")
    assert ("Nothing is left" in shown(visitor.get("/review"))) == (not left)


def test_while_questions_are_looked_for_the_page_says_so(visitor, monkeypatch):
    a, b = (one.identity_id for one in visitor.desk.people.list()[:2])
    go_on = threading.Event()

    def slow(*, k):
        go_on.wait()
        return [same(a, b)]

    monkeypatch.setattr(visitor.desk.people, "suggest", slow)
    monkeypatch.setattr("pixelbrain.web.review._WAIT_S", 0.0)
    page = visitor.get("/review")
    assert "Looking for questions" in shown(page) and 'http-equiv="refresh"' in page
    go_on.set()
    visitor.desk._finding.join()
    page = visitor.get("/review")
    assert "The same person?" in page and 'http-equiv="refresh"' not in page


def test_photos_that_land_later_are_seen(out, visitor):
    assert len(visitor.desk.view().photos) == 24
    land_faces(out, ["file:///later.jpg#0", "file:///a first.jpg"], generation=9)
    visitor.desk._finished = visitor.desk._looked = float("-inf")
    visitor.desk.view()
    visitor.desk._reading.join()
    view = visitor.desk.view()
    assert view.photos.image_id.to_pylist()[0] == "file:///a first.jpg" and len(view.photos) == 26
    assert np.diff(view.photos.first).tolist() == [0] + [1] * 25 and view.known.nobodys.tolist() == [0]
    assert "26" in shown(visitor.get("/")) and "later.jpg" in visitor.get("/faces")


def test_columns_say_the_same_as_the_people_of_out(visitor):
    """Faces, photos and distances by key are those that `People` has."""
    known = visitor.desk.view().known
    for person in visitor.desk.people.list():
        code = known.place[person.identity_id]
        faces = visitor.desk.people.faces(person.identity_id)
        mine = [known.photos.face_id[int(row)].as_py() for row in known.faces_of(code)]
        assert mine == faces["face_id"].to_pylist() and known.n_photos[code] == person.n_images
        assert known.find(key_of(person.identity_id)) == person.identity_id
        row = known.face_row(mine[0])
        assert known.pair(row)[0].image_id == mine[0].partition("#")[0]
    assert known.find("nobody") is None and known.photos.face_by_key.find("z" * 16) is None


def test_an_out_that_cannot_be_read_says_so(out, monkeypatch):
    def broken(*_args, **_given):
        raise LandingError("the disk is gone")

    visitor = Visitor(out)
    visitor.desk._view = None
    monkeypatch.setattr("pixelbrain.web.data.desk.read_photos", broken)
    visitor.desk._reading.join()
    page = visitor.client.get("/people")
    assert page.status_code == 500 and "the disk is gone" in page.text


def test_nothing_that_was_forgotten_is_shown_or_kept(out, visitor):
    known = visitor.desk.view().known
    face, gone = known.photos.face_id[0].as_py(), known.photos.image_id[0].as_py()
    pictures = visitor.desk.pictures
    pictures._made.put((gone, "1", face), b"a face", 6)
    crop = f"/faces/{key_of(face)}/crop"
    reply = visitor.client.get(crop)
    assert reply.status_code == 200 and reply.content == b"a face" and "no-cache" in reply.headers["cache-control"]
    visitor.desk._took = 100.0  # as of many photos, whose pages do not wait for new ones
    pb.forget(str(out), photos=[gone])
    visitor.desk._looked = float("-inf")
    visitor.desk.view()  # which waits for as long as it takes; a page says so after a while
    assert visitor.client.get(crop, headers={"If-None-Match": reply.headers["etag"]}).status_code == 404
    assert key_of(gone) not in visitor.get("/photos")
    visitor.get(f"/photos/{key_of(gone)}", status=404)
    assert pictures._made.get((gone, "1", face)) is None

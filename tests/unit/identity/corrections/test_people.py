"""What users say of people, one verb after another, and what becomes of it in the next clustering."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

import pixelbrain as pb
from pixelbrain.errors import ContradictionError, LandingError, OutLockedError, PeopleError
from pixelbrain.identity.corrections.events import Event, EventLog, FaceRef
from pixelbrain.identity.corrections.faces import find_faces, match_rows
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.report.export import export
from pixelbrain.storage.local import LocalStorage
from tests.integration.forked import CONTEXT
from tests.unit.landed_out import land_faces

from .world import World


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> World:
    """Three people of six faces: `ids`, and their `faces`."""
    world = World(tmp_path_factory.mktemp("made") / "out", people=3)
    world.faces = [world.add(6, who=who) for who in range(3)]
    world.identify()
    world.ids = [world.who()[faces[0]] for faces in world.faces]
    return world


@pytest.fixture
def world(made, tmp_path) -> World:
    """The same for each test."""
    return made.copied(tmp_path / "out")


def rebuilt(world: World) -> dict:
    """Who is who after more faces, other thresholds, and again."""
    world.add(3)
    world.identify(threshold=0.8)
    world.identify(threshold=0.5)
    return world.who()


def test_names_hold(world, tmp_path):
    ann, bob, _ = world.ids
    world.people.name(ann, "  Ann   Lee ")
    world.people.name(bob[:12], "Bob")
    world.people.hide("bob")
    assert [(one.name, one.n_faces) for one in world.people.list() if one.name] == [("Ann Lee", 6)]
    rebuilt(world)
    assert world.people.find("Ann Lee") == ann and world.people.find("Bob") == bob
    assert {one.identity_id: one.hidden for one in world.people.list(hidden=True)}[bob]
    export(world.people.landing, tmp_path / "people.parquet", "people")
    told = pq.read_table(tmp_path / "people.parquet").to_pylist()
    assert {row["identity_id"]: (row["name"], row["hidden"]) for row in told}[bob] == ("Bob", True)
    world.people.name("Bob", "")
    with pytest.raises(PeopleError, match="nobody is called 'Bob'"):
        world.people.find("Bob")


def test_what_is_no_name_changes_nothing(world):
    face, other = world.faces[0][0], world.faces[1][0]
    for name in ("person-7", "Person-7", "a\0b", "a\x1bb", "x" * 300, " \u200e\n "):
        with pytest.raises(PeopleError, match="is no name|has 300 letters|needs a name"):
            world.people.assign(name, face, new=True)
        if name.strip("\n \u200e"):
            with pytest.raises(PeopleError, match="is no name|has 300 letters"):
                world.people.split(world.ids[1], other, name=name)
    assert not world.people.history()
    for kept in ("علی\u200cرضا", "O'Neil-Müller 3rd", "x" * 200):
        said = str(world.people.name(world.ids[0], f" {kept}\n"))
        assert said.endswith(f'names {world.ids[0]} "{kept}"')  # its joiners, too, as they are read
        assert world.people.find(kept) == world.ids[0]
        assert [one.name for one in world.people.list() if one.name] == [kept]


def test_a_merge_holds_and_can_be_taken_back_after_a_rebuild(world):
    before, (a, b, c) = world.who(), world.ids
    merged = world.people.merge(a, b)
    assert {world.who()[one] for one in world.faces[1]} == {a} and world.people.find(b) == a
    after = rebuilt(world)
    assert {after[one] for one in [*world.faces[0], *world.faces[1]]} == {a}
    assert {after[one] for one in world.faces[2]} == {c}
    world.people.undo(merged.number)
    again = world.who()
    assert {one: again[one] for one in before} == before
    world.people.undo(world.people.history()[-1].number)
    assert world.people.find(b) == a


def test_somebody_new_goes_with_the_faces_that_are_taken_back(world):
    """The name stands for the faces that it was given with: it would keep them else."""
    before, face = world.who(), world.faces[0][0]
    new = world.people.assign("Nina", face, new=True)
    taken = world.people.undo(new.number)
    assert world.who() == before and "Nina" not in [one.name for one in world.people.list()]
    world.people.undo(taken.number)
    assert world.who()[face] == world.people.find("Nina") == new.person
    world.people.assign("Nina", world.faces[1][0])  # of whom something is left, the name stays
    world.people.undo(new.number)
    assert world.who()[face] == before[face] and world.who()[world.faces[1][0]] == world.people.find("Nina")


def test_two_faces_of_one_photo_may_be_one_person(tmp_path):
    world = World(tmp_path / "out", people=2)
    world.add(4, who=0), world.add(4, who=1)
    twice = world.add(1, who=0)[0][:-1] + "1"  # a photo-booth strip
    world.vectors[twice], world.truth[twice] = -world.centres[1].astype("float32"), 1
    world.identify()
    who = world.who()[twice[:-1] + "0"]
    assert world.who()[twice] is None
    world.people.assign(who, twice)
    world.identify()
    assert world.who()[twice] == who


def test_a_split_holds_against_the_clustering(world):
    a = world.ids[0]
    mine = world.faces[0]
    event = world.people.split(a, *mine[:2], name="Bea")
    assert [world.who()[one] for one in mine] == [event.person] * 2 + [a] * 4
    after = rebuilt(world)
    assert [after[one] for one in mine] == [event.person] * 2 + [a] * 4
    undo = world.people.undo(event.number)  # the name goes with it
    assert {world.who()[one] for one in mine} == {a} and not any(one.name for one in world.people.list())
    world.people.undo(undo.number)
    assert [world.who()[one] for one in mine] == [event.person] * 2 + [a] * 4
    assert world.people.find("Bea") == event.person
    world.people.apart("Bea", world.ids[1])
    with pytest.raises(PeopleError, match="undo event"):  # of others something was said by it since
        world.people.undo(event.number)


def test_faces_that_are_nobodys_or_no_faces(world):
    (first, second, *rest), a = world.faces[0], world.ids[0]
    world.people.unassign(first)
    world.people.reject(second)
    after = rebuilt(world)
    assert [after[first], after[second]] == [None, None] and {after[one] for one in rest} == {a}
    how = IDENTITIES.read(world.people.landing).rows.to_pylist()
    assert {row["face_id"]: row["assigned"] for row in how if row["face_id"] in (first, second)} == {
        first: "removed", second: "rejected",
    }  # fmt: skip
    world.people.assign(a, first)
    assert rebuilt(world)[first] == a
    new = world.people.assign("Statue", second, new=True)
    assert rebuilt(world)[second] == new.person == world.people.find("Statue")


def test_a_contradiction_is_refused_with_both_events_named(world):
    a, b, c = world.ids
    world.people.apart(a, c)
    world.people.merge(a, b)
    before = world.who(), len(world.people.history())
    with pytest.raises(ContradictionError, match=r"event 1 .*not the same; this merge .*are one"):
        world.people.merge(c, b)
    with pytest.raises(ContradictionError, match=r"event 2 .*are one; this apart .*not the same"):
        world.people.apart(a, b)
    with pytest.raises(ContradictionError, match=r"event 2 .*are one; this split splits"):
        world.people.split(a, *world.faces[1])
    assert (world.who(), len(world.people.history())) == before
    undone = world.people.undo(1)
    world.people.merge(a, c)
    with pytest.raises(ContradictionError, match=r"event 1 .*event 4 "):
        world.people.undo(undone.number)


@pytest.mark.parametrize(
    ("say", "message"),
    [
        (lambda people, world: people.name("nobody", "x"), "nobody is called 'nobody'"),
        (lambda people, world: people.name("person-", "x"), "3 people begin with 'person-'"),
        (lambda people, world: people.name(world.ids[0], "person-1"), "is no name"),
        (lambda people, world: people.merge(world.ids[0], world.ids[0]), "one person already"),
        (lambda people, world: people.split(world.ids[0], world.faces[1][0]), "is not of"),
        (lambda people, world: people.split(world.ids[0], *world.faces[0]), "all the faces"),
        (lambda people, world: people.assign(world.ids[0], "file:///x.jpg#0"), "no face 'file:///x.jpg#0'"),
        (lambda people, world: people.reject(), "no face is named"),
        (lambda people, world: people.undo(7), "there is no event 7"),
    ],
)
def test_what_cannot_be_is_one_line(world, say, message):
    with pytest.raises(PeopleError, match=message) as error:
        say(world.people, world)
    assert "\n" not in str(error.value) and world.people.history() == []


def test_an_out_without_people_says_so(tmp_path):
    land_faces(tmp_path, ["file:///a#0"])
    with pytest.raises(PeopleError, match="no people yet: `pixelbrain identify"):
        pb.People(tmp_path).list()


def test_a_face_is_found_again_by_its_box_and_its_photos_bytes(world):
    table = IDENTITIES.read(world.people.landing).rows.slice(0, 2)
    row = table.to_pylist()[0]
    ref = {"version": row["image_version"], "face_id": row["image_id"] + "#7", "box": (-87.0, 2.0, 3.0, 4.0)}
    hashes = {"ab": row["image_id"]}

    def known(_ids, shas):
        return {hashes[one]: one for one in shas if one in hashes}

    refs = [
        FaceRef(image_id=row["image_id"], sha256=None, **ref),
        FaceRef(image_id="file:///moved.jpg", sha256="ab", **ref),
        FaceRef(image_id="file:///moved.jpg", sha256="cd", **ref),
        FaceRef(image_id=row["image_id"], sha256=None, **{**ref, "version": "other"}),
        FaceRef(image_id=row["image_id"], sha256=None, **{**ref, "box": (2.5, 2.0, 4.5, 4.0)}),
    ]
    assert find_faces(refs, table, known).tolist() == [0, 0, -1, -1, -1]
    names = table.schema.get_field_index("face_id")
    renamed = table.set_column(names, table.schema.field(names), [[one + "1" for one in table["face_id"].to_pylist()]])
    assert match_rows(table, renamed).tolist() == [0, 1]


def test_an_event_has_one_place_in_one_order(tmp_path):
    log, other = (EventLog(LocalStorage(tmp_path)) for _ in range(2))
    event = Event(kind="hide", person="person-1", by="ann")
    assert log.append(event, 0).number == 1
    assert other.append(event, 0) is None  # somebody else's is there
    assert other.append(event, other.read()[-1].number).number == 2
    assert [one.number for one in log.read()] == [1, 2]
    (tmp_path / "people/events/00000003.json").write_text('{"kind": "dream"}')
    with pytest.raises(LandingError, match="of a later Pixelbrain"):
        log.read()


def test_of_many_events_a_few_files_are_read(tmp_path):
    """By a snapshot, of which counts what is in the files' versions that are there."""

    class Counting(LocalStorage):
        def read(self, name):
            reads.append(name)
            return super().read(name)

    reads, storage = [], Counting(tmp_path)
    for number in range(70):
        EventLog(storage).append(Event(kind="hide", person=f"person-{number}"), number)
    for count, read in ((70, 71), (71, 2)):  # who appends after so many writes it
        reads.clear()
        log = EventLog(storage)
        assert [event.number for event in log.read()] == [*range(1, count + 1)] and len(reads) == read
        log.append(Event(kind="hide", person="person-x"), count)
    (tmp_path / "people/events/00000003.json").write_bytes(Event(kind="hide", number=3, person="another").to_json())
    (tmp_path / "people/events/00000004.json").unlink()
    found = {event.number: event.person for event in EventLog(storage).read()}
    assert found[3] == "another" and 4 not in found and len(found) == 71
    (tmp_path / "people/events.snapshot").write_text("[[")  # of another version
    assert len(EventLog(storage).read()) == 71


def say_five_names(out: Path, by: str, who: str) -> None:
    people = pb.People(out, by=by)
    for number in range(5):
        people.name(who, f"{by} {number}")


def test_two_who_say_something_at_once_lose_nothing(world):
    who = zip("xyz", world.ids, strict=True)
    ends = [CONTEXT.Process(target=say_five_names, args=(world.out, by, one)) for by, one in who]
    for one in ends:
        one.start()
    for one in ends:
        one.join()
    assert [one.exitcode for one in ends] == [0, 0, 0]
    said = [(event.by, event.name) for event in world.people.history()]
    assert len(said) == 15 and {name for _by, name in said} == {f"{by} {n}" for by in "xyz" for n in range(5)}
    assert {one.name for one in world.people.list()} == {"x 4", "y 4", "z 4"}


def test_a_run_that_works_on_out_is_named(world, another_run):
    with another_run(world.out), pytest.raises(OutLockedError, match="is in use by"):
        pb.People(world.out, wait_s=0.2).name(world.ids[0], "Ann")
    assert world.people.history() == []


def test_what_is_worth_a_look_and_why(world, monkeypatch):
    vectors = world.vectors

    def landed(_landing, faces):
        import numpy as np

        ids = faces["face_id"].to_pylist()
        return lambda rows: np.stack([vectors[ids[row]] for row in rows]) if len(rows) else np.empty((0, 32))

    monkeypatch.setattr("pixelbrain.identity.corrections.state.landed_vectors", landed)  # `land_faces` lands none
    lone = world.add(1, who=0)[0]
    world.vectors[lone] = (0.62 * world.centres[0] + 0.78 * world.centres[2]).astype("float32")
    world.vectors[lone] /= (world.vectors[lone] ** 2).sum() ** 0.5
    world.identify(threshold=0.75)
    assert world.who()[lone] is None
    (first, *_rest) = [one for one in world.people.suggest() if one.kind == "whose"]
    assert (first.face_id, first.people) == (lone, (world.ids[2],))
    found = world.people.explain(lone)
    assert found["assigned"] == "single" and "like too few others" in found["why"]
    assert found["nearest_people"][0]["identity_id"] == world.ids[2]
    assert len(found["nearest_faces"]) == 5 and found["threshold"] == 0.75

    def asked() -> list[tuple[str, ...]]:
        return [one.people for one in world.people.suggest() if one.face_id == lone]

    # "not this person" and "later" are about one person, hold over a new clustering, and can be taken back
    world.people.later(world.ids[2], lone)
    assert not asked() and world.who()[lone] is None
    world.people.undo(world.people.history()[-1].number)
    assert asked() == [(world.ids[2],)]
    not_she = world.people.apart(world.ids[2], lone)
    assert not asked() and "a face is not" in str(not_she)
    world.identify(threshold=0.2, rebuild=True)  # at which she would be
    assert world.who()[lone] != world.ids[2]
    world.people.undo(not_she.number)
    assert world.who()[lone] == world.ids[2]
    world.people.undo(world.people.history()[-1].number)
    assert world.who()[lone] != world.ids[2]
    world.people.assign(world.ids[2], lone)  # pointed at by hand: the last word
    assert world.who()[lone] == world.ids[2]
    with pytest.raises(PeopleError, match="unassign"):
        world.people.apart(world.ids[2], lone)
    world.people.reject(lone)
    assert not asked()
    assert "no face" in world.people.explain(lone)["why"]

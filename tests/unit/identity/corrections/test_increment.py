"""`identify` again: nothing new, new faces among people who are known, and when all faces are linked."""

from __future__ import annotations

import numpy as np
import pytest

from pixelbrain.identity.growth import grow
from pixelbrain.identity.people import PeopleIdentifierModule

from .world import World, four_people


@pytest.fixture
def world(tmp_path) -> World:
    return four_people(tmp_path / "out")


def files(world: World) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in world.out.rglob("*") if path.is_file()}


def test_nothing_new_is_said_and_nothing_written(world):
    before, found = files(world), world.who()
    report = PeopleIdentifierModule(threshold=0.55).run(world.table)
    assert (report.done, report.people, report.assigned, report.faces) == ("nothing", 4, 24, 24)
    assert str(report) == "nothing new since the last time: 4 people in 24 of 24 faces"
    assert files(world) == before
    world.people.name(found["file:///p00000.jpg#0"], "Ann")  # what is said is new
    assert PeopleIdentifierModule(threshold=0.55).run(world.table).done == "grown"
    assert PeopleIdentifierModule(threshold=0.55).run(world.table).done == "nothing"
    world.table.where = "other stores"
    assert PeopleIdentifierModule(threshold=0.55).run(world.table).done == "grown"


def test_new_faces_join_who_is_known_or_are_somebody_new_and_nobody_else_is_linked(world, monkeypatch):
    monkeypatch.setattr("pixelbrain.identity.people.assign", lambda *_, **__: pytest.fail("all are linked"))
    before = world.who()
    hers, new = world.add(3, who=0), world.add(2, who=4)
    report = world.identify()
    after = world.who()
    assert {one: after[one] for one in before} == before
    assert {after[one] for one in hers} == {before["file:///p00000.jpg#0"]}
    assert len({after[one] for one in new}) == 1 and after[new[0]] not in {None, *before.values()}
    told = (report.done, report.new, report.joined, report.joined_people, report.new_people, report.lost)
    assert told == ("grown", 5, 3, 1, 1, 0) and (report.people, report.assigned) == (5, 29)
    assert str(report).startswith("5 new faces: 3 joined 1 known people, 1 new people; 5 people in 29 of 29 faces")


def test_a_face_that_went_is_gone_and_who_has_too_few_left_is_nobody(world):
    world.identify(min_faces=6)
    world.vectors.pop("file:///p00000.jpg#0")
    report = world.identify(min_faces=6)
    assert (report.done, report.lost, report.people, report.faces, report.single) == ("grown", 1, 3, 23, 5)
    assert str(report).startswith("no new face, 1 are gone; 3 people in ")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda world: world.identify(rebuild=True), "as was asked for"),
        (lambda world: world.identify(threshold=0.5), "another threshold than the last time"),
        (lambda world: PeopleIdentifierModule("dbscan", threshold=0.55).run(world.table), "another strategy than"),
        (lambda world: [world.vectors.pop(one) for one in list(world.vectors)[:3]], "3 of 24 known faces are gone"),
        (lambda world: world.add(25, who=4), "49 faces are there, and 24 were when all were linked last"),
        (lambda world: (world.out / "work" / "identified.json").unlink(), "the last time was another version's"),
        (lambda world: (world.out / "work" / "identified.json").write_text("{"), "the last time was another version's"),
    ],
    ids=lambda value: value[:20].replace(" ", "-") if isinstance(value, str) else "",
)
def test_when_all_faces_are_linked_it_says_why(world, change, why):
    report = change(world)
    report = report if hasattr(report, "why") else world.identify()
    assert report.done == "linked" and report.why.startswith(why)
    assert f"all were linked: {why}" in str(report)
    assert world.identify(threshold=report.threshold).done == ("grown" if "strategy" not in why else "linked")


def test_a_guest_joins_who_is_known_and_two_guests_are_nobody():
    rng = np.random.default_rng(0)
    known, stranger = np.linalg.qr(rng.standard_normal((16, 2)))[0].T.astype(np.float32)
    near = [vector + 0.02 * rng.standard_normal(16).astype(np.float32) for vector in (known, stranger, stranger)]
    arguments = (["a", "b", "c"], np.stack(near), 5 * known[None], np.array([5]))
    assert grow(*arguments, threshold=0.6).cluster.tolist() == [0, 0, 2, 2]
    found = grow(*arguments, threshold=0.6, guests=np.array([True, True, True]))
    assert found.cluster.tolist() == [0, 0, -1, -1] and found.late.tolist() == [True, False, False]

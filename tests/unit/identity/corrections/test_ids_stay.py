"""Ids stay: over batches, other thresholds, faces that went, and orders of rows."""

from __future__ import annotations

import numpy as np
import pytest

from pixelbrain.identity.assign import cluster_name
from pixelbrain.identity.evaluate import score_clusters
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.registry import read_registry

from .world import World, four_people


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> World:
    return four_people(tmp_path_factory.mktemp("made") / "out")


@pytest.fixture
def world(made, tmp_path) -> World:
    return made.copied(tmp_path / "out")


def test_a_photo_that_sorts_first_renames_nobody(world):
    before = world.who()
    world.add(2, who=0, prefix="a")
    world.identify()
    after = world.who()
    assert len(before) == 24 and {one: after[one] for one in before} == before
    assert len(set(after.values())) == 4


def large_and_small(tmp_path):
    """Two who are one from a lower threshold on: their world, who is who, and the ids of the larger and the smaller."""
    world = World(tmp_path / "out", people=3)
    near = world.centres[0] + world.centres[1]
    world.centres[2] = near / np.linalg.norm(near)
    large, small = world.add(8, who=0), world.add(4, who=2)
    world.identify(threshold=0.75)
    first = world.who()
    return world, first, first[large[0]], first[small[0]]


def test_of_two_in_one_cluster_the_larger_stays_and_the_others_id_leads_to_it(tmp_path):
    world, first, a, b = large_and_small(tmp_path)
    assert a != b and None not in (a, b)
    world.identify(threshold=0.3)
    assert set(world.who().values()) == {a}
    assert world.people.find(b) == a and [one.identity_id for one in world.people.list()] == [a]
    world.identify(threshold=0.75)  # and apart they are who they were
    assert world.who() == first and world.people.find(b) == b


def test_of_two_in_one_cluster_the_named_one_stays(tmp_path):
    world, first, a, b = large_and_small(tmp_path)
    world.people.name(b, "Bea")
    world.identify(threshold=0.3)
    assert set(world.who().values()) == {b}
    assert world.people.find(a) == b


def test_two_with_names_are_never_one(tmp_path):
    world, first, a, b = large_and_small(tmp_path)
    world.people.name(a, "Ann")
    world.people.name(b, "Bea")
    more = world.add(2, who=0) + world.add(2, who=2)
    world.identify(threshold=0.3)
    after = world.who()
    assert {one: after[one] for one in first} == first
    assert [after[one] for one in more] == [a, a, b, b]


def test_a_split_leaves_the_id_with_the_larger_part_and_new_ids_were_never_anybodys(tmp_path):
    world = World(tmp_path / "out", people=3)
    near = world.centres[0] + world.centres[1]
    world.centres[2] = near / np.linalg.norm(near)
    small, large = world.add(4, who=2), world.add(8, who=0)
    world.identify(threshold=0.3)
    (whole,) = set(world.who().values())
    assert whole == cluster_name("person", small[0])  # the id that the smaller part would get alone
    world.identify(threshold=0.75)
    after = world.who()
    assert {after[one] for one in large} == {whole}
    (new,) = {after[one] for one in small}
    assert new not in (None, whole)


def test_others_keep_their_ids_when_photos_go_and_who_comes_back_is_who_it_was(world):
    before = world.who()
    first = sorted(before)[0]
    gone = {one: world.vectors.pop(one) for one, who in list(before.items()) if who == before[first]}
    world.identify()
    assert world.who() == {one: who for one, who in before.items() if one not in gone}
    world.vectors |= gone
    world.identify()
    assert world.who() == before


def test_the_order_of_rows_does_not_matter(tmp_path):
    found = []
    for shuffle in (None, 1, 2):
        world = World(tmp_path / str(shuffle), people=5, noise=0.8, seed=3)
        for _batch in range(3):
            world.add(15, prefix="pza"[_batch])
            world.identify(shuffle=shuffle)
        found.append(world.who())
    assert found[0] == found[1] == found[2] and len(set(found[0].values())) > 3


def test_ten_batches_are_the_people_of_one(tmp_path):
    """Some 1,000 faces in ten batches whose names sort anyhow: < 2 % of earlier faces change their id, F as of one."""

    def score(world: World) -> float:
        who = world.who()
        found = [who[one] or f"nobody {one}" for one in who]
        return score_clusters(np.array([world.truth[one] for one in who]), np.array(found)).pair_f

    world = World(tmp_path / "ten", people=30, noise=0.7, dim=64, seed=4)
    worst = 0.0
    for batch in range(10):
        before = world.who() if batch else {}
        world.add(100, prefix="kcqahzbmxe"[batch])
        world.identify()
        after = world.who()
        moved = sum(after[one] != who for one, who in before.items() if who)
        worst = max(worst, moved / max(1, len(before)))
    one = World(tmp_path / "one", people=30, noise=0.7, dim=64, seed=4)
    one.vectors, one.truth = world.vectors, world.truth
    one.identify()
    assert worst < 0.02
    assert score(world) > score(one) - 0.03 and score(one) > 0.95


def test_an_out_of_an_older_version_keeps_its_ids(world):
    storage = world.people.landing.storage
    before = world.who()
    assert len(read_registry(storage).ids) == 4
    storage.delete("people/people.parquet")
    table = IDENTITIES.read(world.people.landing).rows
    columns = [name for name in table.column_names if not name.startswith("found")]
    IDENTITIES.write(world.people.landing, table.select(columns))
    world.people.name(next(iter(before.values())), "Ann")  # before it is identified again
    assert world.who() == before and len(world.people.list()) == 4
    world.add(3, who=1, prefix="a")
    world.identify()
    after = world.who()
    assert {one: after[one] for one in before} == before

"""Whatever is done in whatever order: what was said holds, ids stay, and the events give all of it again."""

from __future__ import annotations

import numpy as np
import pytest

from pixelbrain.errors import PeopleError
from pixelbrain.identity.corrections.apply import apply_claims, claims_by_row
from pixelbrain.identity.corrections.events import NOBODY
from pixelbrain.identity.corrections.faces import find_faces, landed_hashes
from pixelbrain.identity.corrections.state import no_vectors
from pixelbrain.landing.registry import read_registry

from .world import World

STEPS = 15


def edit(world: World, rng: np.random.Generator) -> None:
    """One correction by chance; those that are refused change nothing."""
    people = world.people
    everybody = [one.identity_id for one in people.list(hidden=True)]
    faces = list(world.who())
    verb = rng.choice(["name", "merge", "apart", "split", "assign", "unassign", "reject", "hide", "undo", "undo"])
    some = [str(one) for one in rng.permutation(everybody)[:2]]
    before = world.who(), [event.number for event in people.history()]
    try:
        if verb == "undo":
            history = people.history()
            if history:
                people.undo(history[int(rng.integers(len(history)))].number)
        elif verb == "name":
            people.name(some[0], f"name {len(people.history())}")
        elif verb == "hide":
            people.hide(some[0])
        elif verb in ("merge", "apart"):
            getattr(people, verb)(*some)
        elif verb == "split":
            mine = world.faces_of(some[0])
            people.split(some[0], *mine[: 1 + len(mine) // 3])
        else:
            chosen = [str(one) for one in rng.permutation(faces)[: 1 + int(rng.integers(2))]]
            getattr(people, verb)(*([some[0]] if verb == "assign" else []), *chosen)
    except (PeopleError, IndexError, TypeError):
        assert before == (world.who(), [event.number for event in people.history()])


def check(world: World) -> None:
    who, state = world.who(), world.people.state(sums=True)
    claims, known = state.claims, state.registry
    numbers = [event.number for event in state.events]
    assert numbers == list(range(1, len(numbers) + 1))
    # whoever was pointed at last is where it was put, and stood-for faces are where their people are
    rows = find_faces([ref for ref, _claim in claims.said], state.faces, landed_hashes(state.landing))
    last = {int(row): claim for row, (_ref, claim) in zip(rows, claims.said, strict=True) if row >= 0}
    faces = state.faces["face_id"].to_pylist()
    for row, claim in last.items():
        if faces[row] in who:
            expected = None if claim.person == NOBODY else claims.root(claim.person)
            assert who[faces[row]] == expected, (faces[row], claim)
    # one, and apart
    for event in claims.events:
        if event.kind == "merge":
            assert len({world.people.find(one) for one in event.people}) == 1
        if event.kind in ("apart", "split"):
            a, b = event.person, event.others[0]
            assert world.people.find(a) != world.people.find(b)
    # names: nobody has two, and whoever has a name has faces, unless all of them were given away or went
    holders = {}
    for one, name in claims.names.items():
        if name:
            holders.setdefault(claims.root(one), set()).add(name)
    there = {one for one in who.values() if one}
    assert there <= set(known.ids)
    assert all(known.current(one) == one for one in there)
    for one in there:
        assert known.names.get(one) == claims.name(one)
    counts = dict(zip(known.ids, known.table["n_faces"].to_pylist(), strict=True))
    held = [one for one in state.person.tolist() if one is not None]
    assert {one: n for one, n in counts.items() if n} == {one: held.count(one) for one in set(held)}
    # from what the clustering found, and the events, the same follows again
    names = ("identity_id", "assigned")
    blank = state.faces
    for name in names:
        at = blank.schema.get_field_index(name)
        blank = blank.set_column(at, name, blank[{"identity_id": "found_as", "assigned": "found_how"}[name]])
    said = claims_by_row(claims, blank, landed_hashes(state.landing))
    again = apply_claims(blank, claims, said, known, no_vectors).faces
    assert again.select(names).equals(state.faces.select(names).cast(again.select(names).schema))


@pytest.mark.parametrize("seed", range(3))
def test_what_was_said_holds_and_ids_stay(tmp_path, seed):
    rng = np.random.default_rng(seed)
    world = World(tmp_path / "out", people=6, noise=0.6, seed=seed)
    world.add(24)
    world.identify()
    ever: set[str] = set()
    for _step in range(STEPS):
        action = rng.random()
        if action < 0.15:
            world.add(int(rng.integers(1, 9)), prefix=str(rng.choice(["a", "p", "z"])))
            world.identify(shuffle=int(rng.integers(99)))
        elif action < 0.25:
            world.identify(threshold=float(rng.choice([0.3, 0.55, 0.75])))
        elif action < 0.3:
            del world.vectors[str(rng.choice(list(world.vectors)))]
            world.identify()
        else:
            edit(world, rng)
        check(world)
        known = set(read_registry(world.people.landing.storage).ids)
        assert ever <= known or not known
        ever = known
    world.identify()
    check(world)
    world.identify(shuffle=7)
    again = world.who()
    world.identify(shuffle=8)
    assert world.who() == again

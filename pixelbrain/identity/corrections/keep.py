"""Ids that stay: the people known before are found again in new clusters, by the faces that they share."""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pixelbrain.landing.derived import cluster_name


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """The people known before a new clustering."""

    of_face: np.ndarray  # object (n,), whose each face was, or is said to be; None: nobody's, or not seen before
    # Faces that stood for somebody who has none now, as (row, identity_id): who became another one, or was away.
    former: Sequence[tuple[int, str]] = ()
    ever: Collection[str] = ()  # every id that ever was: none is given to somebody else
    named: Collection[str] = ()  # ids of people with names, by `root`
    hidden: Collection[str] = ()  # the same of those that somebody hid
    apart: Collection[frozenset[str]] = ()  # pairs of roots that are not one
    root: Callable[[str], str] = lambda one: one  # who a person is, of those that were said to be one


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """Whose each face is now."""

    person: np.ndarray  # object (n,), identity_id; None
    redirects: dict[str, str]  # whose faces all went to another one -> whom


def keep_people(
    cluster: np.ndarray,
    face_ids: Sequence[str],
    known: Known,
    vectors: Callable[[np.ndarray], np.ndarray],
    *,
    sure: np.ndarray,
    min_size: int = 1,
) -> Kept:
    """Give each cluster the id of the person whose faces it has, or a new one.

    Two people with names are never one, nor two that are said not to be: a cluster of both is cut, each face stays with
    whom it was, and others go to the nearer one. A person is found again in the cluster with most of its
    faces, those with names first, then the hidden, then those that share most; of two in one cluster the other's id is
    redirected. What is left is new. The result depends on what the rows are, not on their order.

    Args:
        cluster: int64 (n,), a number a cluster; below 0: in none.
        face_ids: unique; a new id is made of the smallest one.
        known: before.
        vectors: row numbers (m,) -> float32 (m, d), unit vectors of faces that are in clusters.
        sure: bool (n,), faces of which somebody said whose they are.
        min_size: of a cluster in which nobody is named, and no face is sure.
    """
    cluster = _cut(cluster, face_ids, known, vectors)
    member = np.flatnonzero(cluster >= 0)
    rows = groups(cluster, member)
    order = sorted(rows, key=lambda one: min(face_ids[row] for row in rows[one]))
    shared: collections.Counter[tuple[int, str]] = collections.Counter()
    for number in order:
        shared.update((number, who) for row in rows[number] if (who := known.of_face[row]) is not None)
    sizes = collections.Counter(who for who in known.of_face.tolist() if who is not None)
    place = {number: at for at, number in enumerate(order)}

    def rank(who: str) -> int:
        root = known.root(who)
        return 0 if root in known.named else 1 if root in known.hidden else 2

    found: dict[int, str] = {}
    taken: set[str] = set()
    wishes = sorted((rank(who), -count, -sizes[who], who, place[one]) for (one, who), count in shared.items())
    for _rank, _count, _size, who, at in wishes:
        if who not in taken and order[at] not in found:
            found[order[at]] = who
            taken.add(who)
    away = collections.Counter((int(cluster[row]), who) for row, who in known.former if cluster[row] >= 0)
    stood = collections.Counter(who for _row, who in known.former)
    for count, who, at in sorted((-count, who, place[one]) for (one, who), count in away.items()):
        if who not in taken and who not in sizes and order[at] not in found and -2 * count > stood[who]:
            found[order[at]] = who
            taken.add(who)

    ever = set(known.ever) | set(sizes) | taken
    person = np.full(len(cluster), None, object)
    for number in order:
        mine = rows[number]
        who = found.get(number)
        settled = sure[mine].any() or (who is not None and known.root(who) in known.named)
        if len(mine) < min_size and not settled:
            found.pop(number, None)
            continue
        if who is None:
            who = found[number] = new_id((face_ids[row] for row in mine), ever)
            ever.add(who)
        person[mine] = who

    went: dict[str, int] = {}
    for (number, who), _count in sorted(shared.items(), key=lambda pair: (-pair[1], pair[0][1], place[pair[0][0]])):
        if number in found:
            went.setdefault(who, number)
    there = set(person[person != None].tolist()) | {who for who in known.of_face[sure].tolist() if who}  # noqa: E711
    return Kept(person=person, redirects={w: found[n] for w, n in went.items() if w not in there})


def new_id(face_ids: Iterable[str], ever: Collection[str]) -> str:
    """An id that nobody ever had: `cluster_name` of the smallest face, with a number behind it where that is taken."""
    first, number = min(face_ids), 0
    name = cluster_name("person", first)
    while name in ever:
        number += 1
        name = cluster_name("person", f"{first}\0{number}")
    return name


def _cut(
    cluster: np.ndarray, face_ids: Sequence[str], known: Known, vectors: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The clusters, of which none holds two people that are not one."""
    kept_apart = {one for pair in known.apart for one in pair}
    sides_of = np.array(
        [None if one is None else known.root(one) for one in known.of_face.tolist()], object
    )  # the root of each face's person
    strict = {one for one in set(sides_of.tolist()) - {None} if one in known.named or one in kept_apart}
    if len(strict) < 2:
        return cluster
    concerned = np.flatnonzero((cluster >= 0) & np.isin(sides_of, list(strict)))
    result, following = cluster.copy(), int(cluster.max()) + 1
    rows = groups(cluster, np.flatnonzero(np.isin(cluster, np.unique(cluster[concerned]))))
    for number in sorted(rows):
        mine = rows[number]
        sides = _sides(collections.Counter(sides_of[mine].tolist()), strict, known)
        if len(sides) < 2:
            continue
        mine = mine[np.argsort([face_ids[row] for row in mine])]
        units = vectors(mine)
        whose = sides_of[mine]
        means = np.stack([_mean(units[whose == side]) for side in sides])
        nearest = (units @ means.T).argmax(axis=1)
        for root in sorted(one for one in set(whose.tolist()) if one is not None):  # whoever is known stays together
            group = whose == root
            nearest[group] = sides.index(root) if root in sides else int((_mean(units[group]) @ means.T).argmax())
        result[mine] = np.where(nearest == 0, number, following + nearest - 1)
        following += len(sides) - 1
    return result


def _sides(counts: Mapping[str | None, int], strict: Collection[str], known: Known) -> list[str]:
    """Who of a cluster cannot be one with somebody else in it, those with names first, then the larger."""
    there = [one for one in counts if one is not None and one in strict]
    apart = {
        one
        for one in there
        for other in there
        if one != other and (frozenset((one, other)) in known.apart or (one in known.named and other in known.named))
    }
    return sorted(apart, key=lambda one: (one not in known.named, -counts[one], one))


def _mean(rows: np.ndarray) -> np.ndarray:
    return direction(rows.sum(axis=0, dtype=np.float64))


def direction(total: np.ndarray) -> np.ndarray:
    """(d,) of length 1; of zeros, zeros."""
    return total / max(float(np.linalg.norm(total)), 1e-12)


def groups(cluster: np.ndarray, member: np.ndarray) -> dict[int, np.ndarray]:
    """The rows of each cluster, of those rows, by the clusters' numbers, rising."""
    by_cluster = member[np.argsort(cluster[member], kind="stable")]
    numbers, starts = np.unique(cluster[by_cluster], return_index=True)
    return dict(zip(numbers.tolist(), np.split(by_cluster, starts[1:]), strict=True)) if len(numbers) else {}

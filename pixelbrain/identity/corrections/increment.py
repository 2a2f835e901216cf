"""New faces among the people of an OUT: whose they are, and nothing said anew of those that they do not touch."""

from __future__ import annotations

import collections
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.identity.cluster import sum_rows
from pixelbrain.identity.corrections.apply import Applied, Vectors, apply_claims, found_as, with_columns
from pixelbrain.identity.corrections.claims import FaceClaim
from pixelbrain.identity.corrections.faces import WHERE, match_rows
from pixelbrain.identity.corrections.keep import direction, groups, keep_people
from pixelbrain.identity.corrections.memory import Memory
from pixelbrain.identity.corrections.state import landed_vectors
from pixelbrain.identity.growth import grow
from pixelbrain.identity.neighbours import nearest_among

#: What a row of `identities` was derived from: while it says the same, it is about the same face.
_ORIGIN = ("image_version", "computed_by", *(field.name for field in schema.BOX_FIELDS))
_RIVALS = 20  # nearest others of somebody of whom anything is said


@dataclass(kw_only=True, eq=False)
class _Rows:
    """The n faces of an increment; `own`, `how` and `person` are written to as more is found."""

    names: list[str]  # face_ids
    said: dict[int, FaceClaim]  # by row
    own: np.ndarray  # object (n,), whose each face is by the clustering alone; None
    how: np.ndarray  # object (n,), how it was assigned, or why not
    person: np.ndarray  # object (n,), whose it is with all that is said; None
    place: np.ndarray  # int64 (n,), where its vector is among those given; -1: nowhere
    fit: np.ndarray  # bool (n,), may join people
    guest: np.ndarray  # bool (n,), may only join people that are found without it


class Increment:
    """The faces that landed since the last clustering, beside those that it knew. Raises `LandingError`."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        earlier, now = memory.earlier, memory.faces.sort_by("face_id")
        at = pc.index_in(now["face_id"], earlier["face_id"].combine_chunks())
        same = pc.is_valid(at)
        for name in _ORIGIN:
            same = pc.and_(same, pc.fill_null(pc.equal(earlier[name].take(at), now[name]), False))
        known = np.asarray(same)
        at = np.asarray(pc.fill_null(at, 0))
        #: bool (n,): not known before, or another version, detection or model's.
        self.new = ~known
        gone = np.ones(len(earlier), bool)
        gone[at[known]] = False
        #: Rows of faces that were known, and are not there any more.
        self.lost = earlier.filter(pa.array(gone))
        rows = earlier.take(pa.array(at, mask=~known))
        #: Rows of `schema.IDENTITY_SCHEMA` of all that landed, as they were found.
        self.faces = with_columns(rows, {name: now[name] for name in ("face_id", "image_id", *_ORIGIN)})

    @property
    def singles(self) -> np.ndarray:
        """int64: rows of known faces that were good enough, and nobody's."""
        alone = pc.and_(pc.is_null(self.faces["identity_id"]), pc.equal(self.faces["found_how"], "single"))
        return np.flatnonzero(np.asarray(pc.fill_null(alone, False)) & ~self.new)

    def run(
        self,
        ids: Sequence[str],
        good: np.ndarray,
        guests: np.ndarray,
        vectors: np.ndarray,
        *,
        threshold: float,
        min_faces: int,
        k: int,
        settings: str,
    ) -> tuple[Applied, dict[str, int]]:
        """Say whose the new faces are, by `grow` and all that was said.

        Args:
            ids: face_ids of those that have a vector, of all `new` ones and `singles`, and perhaps of more.
            good: bool (m,), whether each may join people.
            guests: bool (m,), others that may only join people that are found without them; see `grow`.
            vectors: float32 (m, d), of theirs unit vectors; of those that are not good they need not be known.
            threshold: cosine similarity.
            min_faces: of a person of whom nothing is said.
            k: neighbours a face.
            settings: by which people are found, for the record.

        Returns:
            What was found, and how many new faces `joined` how many people known before (`joined_people`), and how many
            are `new_people`.
        """
        memory = self.memory
        rows = self._rows(ids, good, guests)
        count, was = self._without_few(rows, min_faces)
        people = sorted(count)
        nobodys = np.array([one in memory.nobodys for one in rows.names], bool)
        added = np.flatnonzero(self.new & (rows.fit | rows.guest) & ~nobodys)
        alone = np.flatnonzero((rows.person == None) & (rows.how == "single") & ~self.new & ~nobodys)  # noqa: E711
        read = landed_vectors(memory.landing, self.faces)
        sums, counts = self._sums(people, rows.person, read)
        singles = vectors[rows.place[alone]] if (rows.place[alone] >= 0).all() else read(alone)
        some = [one for one in (sums, singles, vectors[rows.place[added]]) if len(one)]
        whole = np.concatenate(some) if some else np.empty((0, 1), np.float32)
        p = len(people) + len(alone)
        photos = self.faces["image_id"].take(pa.array(added)).to_pylist()
        grown = grow(
            [rows.names[row] for row in added],
            whole[p:],
            whole[:p],
            np.concatenate([counts, np.ones(len(alone), np.int64)]),
            threshold=threshold,
            photos=photos,
            min_size=min_faces,
            k=k,
            guests=rows.guest[added],
            cannot_link=self._rivals(people, sums, rows.said, added, p),
        )
        found = np.concatenate([alone, added]).astype(np.int64)
        units = dict(zip(found.tolist(), range(len(people), len(whole)), strict=True))

        def of(wanted: np.ndarray) -> np.ndarray:
            return whole[[units[row] for row in wanted.tolist()]]

        late = {int(row) for row in added[grown.late]}
        touched = np.isin(grown.cluster, grown.cluster[p:]) & (grown.cluster >= 0)  # clusters that have a new face
        clusters = groups(grown.cluster, np.flatnonzero(touched)).values()
        redirects, joined, fresh = self._settle(rows, clusters, found, people, count, sums, late, of)
        told = {"joined": len(joined), "joined_people": len(set(joined.values()))}
        told["new_people"] = self._name(rows, fresh, was, of, min_faces)
        return self._applied(rows, read, redirects, settings), told

    # --- inside --------------------------------------------------------------------------------------------------

    @functools.cached_property
    def _spoken(self) -> set[str]:
        """Of whom anything is said."""
        return {self.memory.claims.root(one) for one in self.memory.claims.people}

    def _rows(self, ids: Sequence[str], good: np.ndarray, guests: np.ndarray) -> _Rows:
        """All faces, but new ones without a vector, which are not looked at."""
        of_id = {one: at for at, one in enumerate(ids)}
        there = np.array([one in of_id for one in self.faces["face_id"].to_pylist()], bool) | ~self.new
        self.faces, self.new = self.faces.filter(pa.array(there)), self.new[there]
        names: list[str] = self.faces["face_id"].to_pylist()
        said = {row: self.memory.said[one] for row, one in enumerate(names) if one in self.memory.said}
        own, how = found_as(self.faces), np.array(self.faces["found_how"].to_pylist(), object)
        place = np.array([of_id.get(one, -1) for one in names], np.int64)
        here = place >= 0
        fit, guest = here.copy(), here.copy()
        fit[here], guest[here] = good[place[here]], guests[place[here]]
        how[self.new] = np.where(fit[self.new], "single", "gated")
        person = self._persons(own, said)
        return _Rows(names=names, said=said, own=own, how=how, person=person, place=place, fit=fit, guest=guest)

    def _without_few(self, rows: _Rows, min_faces: int) -> tuple[dict[str, int], np.ndarray]:
        """Who is too few, since photos went, is nobody from here on: its faces are asked again.

        Returns:
            How many faces everybody else has; and object (n,), whose each face was, of those who have too few, or none.
        """
        count = collections.Counter(one for one in rows.person.tolist() if one is not None)
        lost = {*self.lost["identity_id"].to_pylist()}
        few = {one for one in lost - self._spoken if 0 < count[one] < min_faces}
        was = self._whose(rows.own, few | (set(self.memory.known.ids) - set(count)))
        dissolved = np.flatnonzero(_among(rows.person, few))
        rows.own[dissolved], rows.person[dissolved], rows.how[dissolved] = None, None, "single"
        return {one: faces for one, faces in count.items() if one not in few}, was

    def _settle(
        self,
        rows: _Rows,
        clusters: Iterable[np.ndarray],
        found: np.ndarray,
        people: Sequence[str],
        count: Mapping[str, int],
        sums: np.ndarray,
        late: Collection[int],
        of: Vectors,
    ) -> tuple[dict[str, str], dict[int, str], np.ndarray]:
        """Give the faces of each cluster to who is known in it: to all of whom anything is said, or to the largest.

        Args:
            clusters: rows of `grow`: the people, then the faces `found`, by their rows here.

        Returns:
            Who of the people is another one now; whose the new faces are that are somebody's; and int64 (n,), a number
            of each face that is in a cluster with nobody in it, or -1.
        """
        claims, where = self.memory.claims, {one: at for at, one in enumerate(people)}
        redirects: dict[str, str] = {}
        joined: dict[int, str] = {}
        fresh = np.full(len(rows.names), -1, np.int64)
        for number, members in enumerate(clusters):
            faces = found[members[members >= len(people)] - len(people)]
            who = [people[one] for one in members[members < len(people)].tolist()]
            rows.how[faces] = ["late" if row in late else "clustered" for row in faces.tolist()]
            if not who:
                fresh[faces] = number
                continue
            stays = sorted(who, key=lambda one: (one not in claims.named, one not in self._spoken, -count[one], one))
            kept = [one for one in stays if one in self._spoken] or stays[:1]
            means = np.stack([direction(sums[where[one]]) for one in kept])
            for one in stays:
                if one not in kept:
                    redirects[one] = kept[int((means @ sums[where[one]]).argmax())]
            nearest = (of(faces) @ means.T).argmax(axis=1)
            rows.own[faces] = np.array(kept, object)[nearest]
            joined |= {row: rows.own[row] for row in faces.tolist() if self.new[row]}
        for gone, whom in redirects.items():
            rows.own[rows.own == gone] = whom
        return redirects, joined, fresh

    def _applied(self, rows: _Rows, read: Vectors, redirects: Mapping[str, str], settings: str) -> Applied:
        """What was found, with all that is said on top of it."""
        memory, how = self.memory, pa.array(rows.how.tolist(), pa.string())
        found = {"found_as": pa.array(rows.own.tolist(), pa.string()), "found_how": how}
        table = with_columns(self.faces, {**found, "assigned": pc.coalesce(self.faces["assigned"], how)})
        applied = apply_claims(
            table,
            memory.claims,
            rows.said,
            memory.known,
            read,
            never=memory.never(table),
            redirects={**memory.known.redirects, **redirects},
            settings=settings,
            also={one for one in self.lost["identity_id"].to_pylist() if one is not None},
        )
        return replace(applied, changed=np.union1d(applied.changed, np.flatnonzero(self.new)))

    def _persons(self, own: np.ndarray, said: Mapping[int, FaceClaim]) -> np.ndarray:
        """object (n,): whose each face is, with all that is said; None."""
        root = {one: self.memory.claims.root(one) for one in set(own.tolist()) if one is not None}
        person = np.array([root.get(one) for one in own.tolist()], object)
        for row, claim in said.items():
            person[row] = self.memory.claims.root(claim.person) if claim.person else None
        return person

    def _whose(self, own: np.ndarray, away: set[str]) -> np.ndarray:
        """object (n,): whose each face was, of those of whom too few faces are left for them to be known by."""
        whose = own.copy()
        whose[~_among(own, away)] = None
        if len(self.lost):
            rows = match_rows(self.lost.select(WHERE), self.faces.select(WHERE))
            before = found_as(self.lost)
            for row, one in zip(rows.tolist(), before.tolist(), strict=True):
                if row >= 0 and one in away:
                    whose[row] = one
        return whose

    def _sums(self, people: list[str], person: np.ndarray, read: Vectors) -> tuple[np.ndarray, np.ndarray]:
        """float32 (p, d), int64 (p,): as the registry has them, or added up anew where it has not, or faces went."""
        known, lost = self.memory.known, {*self.lost["identity_id"].to_pylist()}
        counts = collections.Counter(one for one in person.tolist() if one is not None)
        whole = np.asarray(pc.is_valid(known.table["sum"]))
        faces = known.table["n_faces"].to_pylist()
        at = [known.place.get(one, -1) for one in people]
        kept = [row >= 0 and whole[row] and one not in lost and faces[row] == counts[one]
                for one, row in zip(people, at, strict=True)]  # fmt: skip
        asked = {one: number for number, one in enumerate(one for one, ok in zip(people, kept, strict=True) if not ok)}
        rows = np.array([row for row, one in enumerate(person.tolist()) if one in asked], np.int64)
        usable = np.array(kept, bool)
        sums = pc.list_flatten(known.table["sum"].combine_chunks().take(pa.array(np.array(at, np.int64)[usable])))
        as_known = np.asarray(sums, np.float32).reshape(usable.sum(), -1) if usable.any() else None
        units = np.nan_to_num(read(rows)) if asked else np.empty((0, 0), np.float32)
        result = np.zeros((len(people), units.shape[1] if as_known is None else as_known.shape[1]), np.float32)
        if as_known is not None:
            result[usable] = as_known
        if asked:
            numbers = np.array([asked[one] for one in person[rows].tolist()], np.int64)
            result[~usable] = sum_rows(units, numbers, len(asked))
        return result, np.array([counts[one] for one in people], np.int64)

    def _rivals(
        self,
        people: list[str],
        sums: np.ndarray,
        said: Mapping[int, FaceClaim],
        added: np.ndarray,
        p: int,
    ) -> np.ndarray:
        """int64 (m, 2): rows of `grow` that never end in one cluster.

        People who are said not to be one; those of whom anything is said, as none of them is given up by a machine; and
        new faces of which somebody said whose they are, and whom that one is not.
        """
        claims = self.memory.claims
        place = {one: at for at, one in enumerate(people)}
        apart: dict[str, set[str]] = collections.defaultdict(set)
        for a, b in map(sorted, claims.kept_apart()):
            apart[a].add(b)
            apart[b].add(a)
        pairs = {(place[a], place[b]) for a, others in apart.items() for b in others if a in place and b in place}
        for row, face in enumerate(added.tolist()):
            if face in said:
                pairs |= {(place[b], p + row) for b in apart[claims.root(said[face].person)] if b in place}
        named = np.array([at for one, at in place.items() if one in self._spoken], np.int64)
        if len(named) > 1:
            means = np.stack([direction(sums[at]) for at in named])
            near, _alike = nearest_among(means, means, min(_RIVALS, len(named)))
            pairs |= {(int(named[a]), int(named[b])) for a, row in enumerate(near.tolist()) for b in row if b >= 0}
        return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)

    def _name(self, rows: _Rows, fresh: np.ndarray, was: np.ndarray, of: Vectors, min_faces: int) -> int:
        """Who the clusters are that have nobody known in them: who was away, or somebody new. Returns how many are."""
        some = np.flatnonzero(fresh >= 0)
        if not len(some):
            return 0
        claims = self.memory.claims
        of_face = was[some].copy()
        sure = np.zeros(len(some), bool)
        for at, row in enumerate(some.tolist()):
            if row in rows.said:
                of_face[at], sure[at] = rows.said[row].person, True
        there = set(rows.own[fresh < 0].tolist())
        of_face[_among(of_face, there)] = None  # who has faces elsewhere stays there
        ids = [rows.names[row] for row in some.tolist()]
        known = self.memory.before(self.faces.select(WHERE), of_face, among=some)
        kept = keep_people(fresh[some], ids, known, lambda one: of(some[one]), sure=sure, min_size=min_faces)
        rows.own[some] = kept.person
        rows.how[some[kept.person == None]] = "single"  # noqa: E711
        return len({one for one in kept.person.tolist() if one is not None and claims.root(one) not in there})


def _among(values: np.ndarray, wanted: Collection[str]) -> np.ndarray:
    """bool (n,): NumPy compares objects one by one."""
    return np.array([one in wanted for one in values.tolist()], bool)

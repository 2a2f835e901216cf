"""What is remembered over a new clustering: the people known before, and all that was said about them."""

from __future__ import annotations

import collections
import functools
import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.identity.corrections.apply import (
    EXEMPLARS,
    Vectors,
    apply_claims,
    claims_by_row,
    found_as,
    pairs_by_row,
)
from pixelbrain.identity.corrections.claims import Claims, FaceClaim
from pixelbrain.identity.corrections.events import NOBODY, Event, EventLog
from pixelbrain.identity.corrections.faces import BOX, WHERE, landed_hashes, match_rows
from pixelbrain.identity.corrections.keep import Known, keep_people
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.registry import read_registry, write_registry


class Memory:
    """Of an OUT whose faces are about to be clustered anew. Raises `LandingError` if it cannot be read."""

    def __init__(self, landing: Landing) -> None:
        self.landing = landing
        self.events: list[Event] = EventLog(landing.storage).read()
        self.claims = Claims(self.events)
        self.faces = IDENTITIES.origins(landing)
        self.known = read_registry(landing.storage, sums=True)
        said = claims_by_row(self.claims, self.faces, landed_hashes(landing))
        ids = self.faces["face_id"]
        self.said: dict[str, FaceClaim] = {ids[row].as_py(): claim for row, claim in said.items()}

    @functools.cached_property
    def earlier(self) -> pa.Table:
        """Rows of `schema.IDENTITY_SCHEMA` of the last clustering, with all that was said."""
        found = IDENTITIES.whole(self.landing)
        return schema.IDENTITY_SCHEMA.empty_table() if found is None else found

    @functools.cached_property
    def nobodys(self) -> frozenset[str]:
        """face_ids of faces that are said to be nobody's, or no faces: they are not clustered."""
        return frozenset(one for one, claim in self.said.items() if claim.person == NOBODY)

    @functools.cached_property
    def somebodys(self) -> frozenset[str]:
        """face_ids of faces of which somebody said whose they are, however small or blurred."""
        return frozenset(self.said) - self.nobodys

    def never_one(self, face_ids: Sequence[str]) -> np.ndarray:
        """int64 (m, 2), pairs of row numbers of faces of two people who are said not to be one; some of each person.

        That two people are one is said of what was clustered, and not before, so that it can be taken back.
        """
        some: dict[str, list[int]] = {}
        for one, row in sorted((one, row) for row, one in enumerate(face_ids) if one in self.somebodys):
            some.setdefault(self.claims.root(self.said[one].person), []).append(row)
        pairs = [
            pair
            for a, b in sorted(map(sorted, self.claims.kept_apart()))
            for pair in itertools.product(some.get(a, [])[:EXEMPLARS], some.get(b, [])[:EXEMPLARS])
        ]
        return np.array(pairs, np.int64).reshape(-1, 2)

    def keep(
        self,
        face_ids: Sequence[str],
        image_ids: Sequence[str],
        cluster: np.ndarray,
        how: np.ndarray,
        vectors: Vectors,
        *,
        min_faces: int,
        settings: dict[str, Any],
    ) -> pa.Table:
        """Say who is who by a new clustering, the people known before, and all that was said; and write it into OUT.

        Args:
            face_ids, image_ids: of n faces, each once.
            cluster: int64 (n,), a number a cluster; below 0: in none.
            how: object (n,), how each was assigned, or why not; see `schema.IDENTITY_SCHEMA`.
            vectors: of faces in clusters, and of `somebodys`.
            min_faces: of a person of whom nothing is said.
            settings: by which they were clustered, for the record.

        Returns:
            Rows of `schema.IDENTITY_SCHEMA`, ordered by face_id, without their origin.
        """
        order = np.array(sorted(range(len(face_ids)), key=face_ids.__getitem__), np.int64)
        ids = [face_ids[row] for row in order]
        said = {row: self.said[one] for row, one in enumerate(ids) if one in self.said}
        sure = np.zeros(len(ids), bool)
        sure[[row for row, claim in said.items() if claim.person != NOBODY]] = True

        def of(rows: np.ndarray) -> np.ndarray:
            return vectors(order[rows])

        kept = keep_people(cluster[order], ids, self._before(ids, said), of, sure=sure, min_size=min_faces)
        reasons = how[order].copy()
        left = np.array([one is None for one in kept.person.tolist()], bool) & (cluster[order] >= 0)
        reasons[left] = "single"
        at = pc.index_in(pa.array(ids, pa.string()), self.faces["face_id"].combine_chunks())
        columns = {
            "face_id": ids,
            "image_id": [image_ids[row] for row in order],
            "identity_id": kept.person.tolist(),
            "distance": [None] * len(ids),
            "assigned": reasons.tolist(),
            **{name: self.faces[name].take(at) for name in ("image_version", "computed_by", *BOX)},
            "found_as": kept.person.tolist(),
            "found_how": reasons.tolist(),
        }
        table = pa.table(columns, schema.IDENTITY_SCHEMA)
        found = apply_claims(
            table,
            self.claims,
            said,
            self.known,
            of,
            never=self.never(table),
            redirects={**self.known.redirects, **kept.redirects},
            settings=json.dumps(settings, sort_keys=True),
            everybody=True,
        )
        IDENTITIES.write(self.landing, found.faces)
        write_registry(self.landing, found.people)
        return found.faces

    def never(self, faces: pa.Table) -> dict[int, set[str]]:
        """By row of `faces`, whose they are not, see `Claims.not_theirs`."""
        return pairs_by_row(self.claims, self.claims.not_theirs, faces, landed_hashes(self.landing))

    def _before(self, ids: Sequence[str], said: dict[int, FaceClaim]) -> Known:
        now = pa.table({"face_id": pa.array(ids, pa.string())})
        there = pc.index_in(now["face_id"], self.faces["face_id"].combine_chunks())
        now = self.faces.select(WHERE).take(there)  # null of those that have not landed, which are written nowhere
        of_face = np.full(len(ids), None, object)
        if len(self.earlier):
            rows = match_rows(self.earlier.select(WHERE), now)
            of_face[rows[rows >= 0]] = found_as(self.earlier)[rows >= 0]
        for row, claim in said.items():
            of_face[row] = claim.person or None
        return self.before(now, of_face)

    def before(self, now: pa.Table, of_face: np.ndarray, among: np.ndarray | None = None) -> Known:
        """The people known before, for `keep_people`.

        Args:
            now: of all faces, columns `WHERE`.
            of_face: object (n,), whose each face was, or is said to be.
            among: int64 (m,), rows: only of these it is asked, by their place here, and `of_face` is (m,).
        """
        claims, root = self.claims, self.claims.root
        away = self.known.table.filter(pc.equal(self.known.table["n_faces"], 0))
        former: list[tuple[int, str]] = []
        if len(away) and pc.any(pc.is_valid(away["exemplars"])).as_py():
            lists = away["exemplars"].combine_chunks()
            exemplars = pa.Table.from_struct_array(pc.list_flatten(lists)).select(WHERE)
            whose = away["identity_id"].take(pc.list_parent_indices(lists)).to_pylist()
            rows = match_rows(exemplars, now)
            former = [(int(row), who) for row, who in zip(rows, whose, strict=True) if row >= 0]
        if among is not None:
            place = {row: at for at, row in enumerate(among.tolist())}
            stood, there = (
                collections.Counter(who for row, who in former if every or row in place) for every in (1, 0)
            )
            former = [(place[row], who) for row, who in former if row in place and 2 * there[who] > stood[who]]
        return Known(
            of_face=of_face,
            former=former,
            ever={*self.known.ids, *(one for event in self.events for one in event.people)},
            named=claims.named,
            hidden=frozenset(root(one) for one, hidden in claims.hidden.items() if hidden),
            apart=claims.kept_apart(),
            root=root,
        )

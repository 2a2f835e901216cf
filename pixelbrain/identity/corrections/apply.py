"""Corrections on top of what a clustering found: whose each face is, and the people that follow of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.identity.cluster import row_products, sum_rows
from pixelbrain.identity.corrections.claims import Claims, FaceClaim
from pixelbrain.identity.corrections.events import NOBODY, FaceRef
from pixelbrain.identity.corrections.faces import BOX, Hashes, find_faces
from pixelbrain.landing.registry import Registry

#: How many faces stand for a person.
EXEMPLARS = 8

#: Row numbers (m,) -> float32 (m, d), unit vectors of faces; nan: not known.
Vectors = Callable[[np.ndarray], np.ndarray]


def claims_by_row(claims: Claims, faces: pa.Table, hashes: Hashes) -> dict[int, FaceClaim]:
    """What is said of the faces that are there, by row of `faces`; of several claims the one that wins."""
    rows = find_faces([ref for ref, _claim in claims.said], faces, hashes)
    return {row: claim for row, (_ref, claim) in zip(rows.tolist(), claims.said, strict=True) if row >= 0}


def pairs_by_row(
    claims: Claims, pairs: Sequence[tuple[FaceRef, str]], faces: pa.Table, hashes: Hashes
) -> dict[int, set[str]]:
    """The people that are said not to be whose a face is, by row of `faces`; see `Claims.not_theirs`."""
    found: dict[int, set[str]] = {}
    rows = find_faces([ref for ref, _who in pairs], faces, hashes).tolist() if pairs else []
    for row, (_ref, who) in zip(rows, pairs, strict=True):
        if row >= 0:
            found.setdefault(row, set()).add(claims.root(who))
    return found


def found_as(faces: pa.Table) -> np.ndarray:
    """object (n,): whose each face is by the clustering alone; of rows of older versions, whose it is."""
    mine, old = faces["found_as"], pc.is_null(faces["found_how"])
    return np.array(pc.if_else(old, faces["identity_id"], mine).to_pylist(), object)


def with_columns(table: pa.Table, columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    """The table with these columns, of the same types, in place of its own of the same names."""
    for name, column in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), column)
    return table


@dataclass(frozen=True, kw_only=True, eq=False)
class Applied:
    """Faces and people as they are with all corrections."""

    faces: pa.Table  # rows of `schema.IDENTITY_SCHEMA`, in their order
    people: pa.Table  # rows of `schema.PERSON_SCHEMA`
    changed: np.ndarray  # int64, rows of `faces` that say something else than before


def apply_claims(
    faces: pa.Table,
    claims: Claims,
    said: Mapping[int, FaceClaim],
    before: Registry,
    vectors: Vectors,
    *,
    never: Mapping[int, Collection[str]] = MappingProxyType({}),
    redirects: Mapping[str, str] | None = None,
    settings: str | None = None,
    everybody: bool = False,
    also: Collection[str] = (),
) -> Applied:
    """Say whose each face is: by the clustering, unless somebody said otherwise.

    Args:
        faces: rows of `schema.IDENTITY_SCHEMA`.
        claims: all that hold.
        said: the same by row, see `claims_by_row`.
        before: the people known before, with their sums.
        vectors: of the faces of people that changed, nearly always a few.
        never: people whose a face is not, by row, see `pairs_by_row`.
        redirects: who became whom by the clustering; as before, by default.
        settings: by which the clustering found them, JSON; as before, by default.
        everybody: all people are counted and all distances measured anew.
        also: who is counted anew even so: faces of theirs are not there any more.
    """
    own = found_as(faces)
    was = faces["assigned"].to_pylist()
    found_how = [mine or old for mine, old in zip(faces["found_how"].to_pylist(), was, strict=True)]
    assigned = found_how.copy()
    redirects = dict(before.redirects if redirects is None else redirects)
    person = np.array([None if one is None else claims.root(one) for one in own.tolist()], object)
    for row, claim in said.items():
        who = None if claim.person == NOBODY else claims.root(claim.person)
        if claim.explicit or who != person[row]:
            person[row] = who
            assigned[row] = "by_hand" if who is not None else "rejected" if claim.rejected else "removed"
    stood = np.array(faces["identity_id"].to_pylist(), object)
    for row, people in never.items():
        if person[row] in people and not (row in said and said[row].explicit):
            person[row], assigned[row] = None, "removed"
    moved = np.flatnonzero(person != stood)
    concerned = {*person[moved].tolist(), *stood[moved].tolist(), *also} - {None}
    if everybody:
        concerned = {*person.tolist(), *before.ids} - {None}
    counted = _People(faces, person, concerned, vectors, settings)
    distance = np.asarray(pc.fill_null(faces["distance"], float("nan")), np.float32).copy()
    distance[person == None] = np.nan  # noqa: E711
    distance[moved] = np.nan
    measured = ~np.isnan(counted.distance)
    distance[counted.rows[measured]] = counted.distance[measured]
    columns = {
        "identity_id": pa.array(person.tolist(), pa.string()),
        "distance": pa.array(distance, pa.float32(), mask=np.isnan(distance)),
        "assigned": pa.array(assigned, pa.string()),
        "found_as": pa.array(own.tolist(), pa.string()),
        "found_how": pa.array(found_how, pa.string()),
    }
    again = counted.rows[measured]  # of people that gained or lost faces, the mean is another one
    renamed = np.flatnonzero(np.array(assigned, object) != np.array(was, object))
    changed = np.unique(np.concatenate([moved, renamed, again]))
    people = _registry(before, counted, claims, redirects, settings)
    return Applied(faces=with_columns(faces, columns), people=people, changed=changed)


class _People:
    """Counts, exemplars, sums and distances of some people."""

    def __init__(
        self, faces: pa.Table, person: np.ndarray, wanted: Collection[str], vectors: Vectors, settings: str | None
    ) -> None:
        self.ids = sorted(wanted)
        place = {one: at for at, one in enumerate(self.ids)}
        of = np.array([place.get(one, -1) for one in person.tolist()], np.int64) if len(person) else np.empty(0, int)
        self.rows = np.flatnonzero(of >= 0)
        self.group = of[self.rows]
        self.counts = np.bincount(self.group, minlength=len(self.ids)) if self.ids else np.empty(0, int)
        units = vectors(self.rows) if len(self.rows) else np.empty((0, 1), np.float32)
        known = np.isfinite(units).all(axis=1) if units.shape[1] else np.zeros(len(units), bool)
        self.distance = np.full(len(self.rows), np.nan, np.float32)
        self.sums: list[np.ndarray | None] = [None] * len(self.ids)
        if known.any():
            sums = sum_rows(units[known], self.group[known], len(self.ids))
            lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), np.float32(1e-12))
            self.distance[known] = np.clip(1 - row_products(units[known], sums / lengths, self.group[known]), 0, 2)
            whole = np.bincount(self.group[~known], minlength=len(self.ids)) == 0
            self.sums = [total if ok else None for total, ok in zip(sums, whole, strict=True)]
        else:  # as they were: of an OUT whose vectors are not here
            self.distance[:] = np.asarray(pc.fill_null(faces["distance"], float("nan")))[self.rows]
        self.exemplars = self._exemplars(faces)

    def _exemplars(self, faces: pa.Table) -> list[list[dict[str, Any]]]:
        """Of each person, the faces nearest to its mean, of different photos where there are enough."""
        ids = np.array(faces["face_id"].to_pylist(), object)[self.rows]
        images = np.array(faces["image_id"].to_pylist(), object)[self.rows]
        order = np.lexsort((np.argsort(np.argsort(ids)), np.nan_to_num(self.distance, nan=9.0), self.group))
        chosen: list[list[int]] = [[] for _ in self.ids]
        spare: list[list[int]] = [[] for _ in self.ids]
        seen: set[tuple[int, str]] = set()
        for at in order.tolist():
            group = int(self.group[at])
            if len(chosen[group]) < EXEMPLARS:
                key = (group, images[at])
                (spare if key in seen else chosen)[group].append(at)
                seen.add(key)
        picked = [(mine + more)[:EXEMPLARS] for mine, more in zip(chosen, spare, strict=True)]
        names = ["face_id", "image_id", "image_version", *BOX]
        flat = faces.select(names).take(pa.array(self.rows[[at for mine in picked for at in mine]], pa.int64()))
        told = iter(flat.to_pylist())
        return [[next(told) for _ in mine] for mine in picked]


def _registry(
    before: Registry, counted: _People, claims: Claims, redirects: Mapping[str, str], settings: str | None
) -> pa.Table:
    """The people: those that were counted anew, and the others as they were."""
    ids = sorted({*before.ids, *counted.ids, *claims.people})
    old = before.table.take(pa.array([before.place.get(one) for one in ids], pa.int64()))
    place = {one: at for at, one in enumerate(counted.ids)}
    new = [place.get(one) for one in ids]
    roots = [claims.root(one) for one in ids]
    n_faces = [
        int(counted.counts[at]) if at is not None else (was or 0) * (one == root)
        for one, root, at, was in zip(ids, roots, new, old["n_faces"].to_pylist(), strict=True)
    ]
    became = [redirects.get(one) if one == root else root for one, root in zip(ids, roots, strict=True)]
    fields = {
        "identity_id": ids,
        "name": [claims.name(one) or ("" if one in claims.names or one in before.said else None) for one in ids],
        "hidden": [claims.hidden.get(root, False) for root in roots],
        "n_faces": n_faces,
        "redirected_to": [None if count else to for count, to in zip(n_faces, became, strict=True)],
        "exemplars": [None if at is None or not counted.counts[at] else counted.exemplars[at] for at in new],
        "sum": [None if at is None or not counted.counts[at] else counted.sums[at] for at in new],
        "settings": [None if at is None else settings for at in new],
    }
    table = pa.table([pa.array(fields[field.name], field.type) for field in schema.PERSON_SCHEMA], schema.PERSON_SCHEMA)
    kept = ("exemplars", "sum", "settings")
    return with_columns(
        table, {name: pc.coalesce(table[name].combine_chunks(), old[name].combine_chunks()) for name in kept}
    )

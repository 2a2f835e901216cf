"""The groups of photos that are there more than once: as they were found, and as somebody chose since."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.landing.derived import DUPLICATES, cluster_name
from pixelbrain.landing.duplicates.choices import Choice, ChoiceLog, Places
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.said.events import active

#: And what a choice says of a photo: best, keep or drop; null: nobody chose. `keep` is null where nothing is proposed.
COLUMNS = pa.schema(
    [
        *(field.with_nullable(True) if field.name == "keep" else field for field in schema.DUPLICATE_SCHEMA),
        pa.field("sha256", pa.string()),
        pa.field("chosen", pa.string()),
    ]
)


def read_duplicates(landing: Landing) -> pa.Table | None:
    """Rows of `COLUMNS` of photos in groups, in the order of their ids, as somebody chose; None: nobody looked for any.

    Raises `LandingError`.
    """
    rows = found_duplicates(landing)
    return None if rows is None else with_choices(rows, ChoiceLog(landing.storage).read())


def found_duplicates(landing: Landing) -> pa.Table | None:
    """The same as they were found: groups whose best photo is there as it was.

    Where it was changed or removed since, nobody is to think that what was like it has a better one.
    """
    rows = DUPLICATES.read(landing).rows
    if rows is None:
        return None
    there = rows["image_id"].combine_chunks()
    rows = rows.filter(pc.or_(rows["keep"], pc.is_in(rows["copy_of"], there)))
    kept = rows.filter(rows["keep"])["duplicate_id"].combine_chunks()
    others = rows.filter(pc.invert(rows["keep"]))["duplicate_id"].combine_chunks()
    both = pc.and_(pc.is_in(rows["duplicate_id"], kept), pc.is_in(rows["duplicate_id"], others.drop_null()))
    return with_hashes(landing, rows.filter(both).sort_by("image_id"))


def with_hashes(landing: Landing, rows: pa.Table) -> pa.Table:
    """Rows of `COLUMNS`, of those of some of them: with the hash of each image's bytes, and without choices."""
    ids = rows["image_id"].combine_chunks()
    wanted = ["image_id", "sha256"]
    images = np.flatnonzero(np.asarray(pc.is_in(landing.index.image_id, ids)))
    tables = landing.iter_images([], images=images, base=wanted, batch_rows=10_000)
    hashes = pa.concat_tables([pa.schema([COLUMNS.field(one) for one in wanted]).empty_table(), *tables])
    at = pc.index_in(ids, hashes["image_id"].combine_chunks())
    return pa.table({**_columns(rows), "sha256": hashes["sha256"].take(at)}, COLUMNS)


def _columns(rows: pa.Table) -> dict[str, pa.ChunkedArray | pa.Array]:
    there = {name: rows[name] for name in rows.column_names}
    return {field.name: there.get(field.name, pa.nulls(len(rows), field.type)) for field in COLUMNS}


@dataclasses.dataclass(kw_only=True)
class _Row:
    """What of a row a choice may change."""

    duplicate_id: str | None
    keep: bool | None
    kind: str | None
    copy_of: str | None
    why: str | None
    bits: int | None
    similarity: float | None
    chosen: str | None


_CHANGED = [field.name for field in dataclasses.fields(_Row)]


def with_choices(rows: pa.Table, choices: Collection[Choice], *, drops: bool = True) -> pa.Table:
    """Rows of `COLUMNS` as they were found, as they are after all choices; groups that are none any more are left out.

    Of each group one photo at least is kept, whatever was chosen: what was better may be gone since.

    Args:
        rows: as `found_duplicates` has them.
        choices: all, in their order.
        drops: whether the others of a group are to be dropped; else nothing is proposed for them.
    """
    held = active(choices)
    if not held or not len(rows):
        return rows
    ids = rows["image_id"].to_pylist()
    places = Places(ids, rows["image_version"].to_pylist(), rows["sha256"].to_pylist(), held)
    marks, apart = _marks(held, places), places.apart(held)
    # only groups that somebody spoke of are looked at row by row: of 10,000, some
    codes = np.asarray(rows["duplicate_id"].combine_chunks().dictionary_encode().indices)
    touched = np.isin(codes, codes[np.array([*marks, *apart], np.int64)])
    at = np.flatnonzero(touched)
    here = {int(row): place for place, row in enumerate(at)}
    changed = _changed(
        rows.take(pa.array(at)),
        {here[row]: mark for row, mark in marks.items()},
        {here[row]: numbers for row, numbers in apart.items()},
        drops,
    )
    stays = np.asarray(pc.is_valid(changed["duplicate_id"]))
    order = np.argsort(np.concatenate([np.flatnonzero(~touched), at[stays]]))
    return pa.concat_tables([rows.filter(~touched), changed.filter(stays)]).take(order)


def _changed(rows: pa.Table, marks: Mapping[int, _Mark], apart: Mapping[int, Collection[int]], drops: bool) -> pa.Table:
    """Whole groups as they are then; without a group, what is in none any more."""
    ids = rows["image_id"].to_pylist()
    columns = (rows[name].to_pylist() for name in _CHANGED)
    found = [_Row(**dict(zip(_CHANGED, values, strict=True))) for values in zip(*columns, strict=True)]
    groups: dict[str | None, list[int]] = {}
    for row, one in enumerate(found):
        groups.setdefault(one.duplicate_id, []).append(row)
    place = {image_id: row for row, image_id in enumerate(ids)}
    for name, members in groups.items():
        for part in _parts(members, found, place, apart) if any(row in apart for row in members) else (members,):
            if len(part) < len(members):
                name = cluster_name("duplicates", min(ids[row] for row in part))
            for row in part:
                found[row].duplicate_id = name if len(part) > 1 else None
            _choose(part, found, ids, marks, drops)
    for name in _CHANGED:
        at = rows.schema.get_field_index(name)
        values = pa.array([getattr(one, name) for one in found], COLUMNS.field(name).type)
        rows = rows.set_column(at, COLUMNS.field(name), values)
    return rows


class _Mark(NamedTuple):
    """What was chosen last."""

    says: str  # best, keep or drop
    number: int  # of the choice


_NOTHING = _Mark("", 0)


def _marks(choices: Sequence[Choice], places: Places) -> dict[int, _Mark]:
    """By place."""
    marks: dict[int, _Mark] = {}
    for choice in choices:
        rows = places.of(choice)
        if choice.kind in ("keep", "drop"):
            for row in rows:
                if choice.kind == "drop" or marks.get(row, _NOTHING).says != "best":
                    marks[row] = _Mark(choice.kind, choice.number)
        elif choice.kind == "best" and choice.photos and choice.photos[0] in places:
            for row in rows[1:]:
                if marks.get(row, _NOTHING).says == "best":
                    del marks[row]
            marks[rows[0]] = _Mark("best", choice.number)
    return marks


def _parts(
    members: list[int], found: list[_Row], place: dict[str, int], apart: Mapping[int, Collection[int]]
) -> list[list[int]]:
    """A group, without the links between photos that are no duplicates."""

    def apart_from(row: int, other: int) -> bool:
        return any(one in apart.get(other, ()) for one in apart.get(row, ()))

    root: dict[int, int] = {}

    def root_of(row: int) -> int:
        chain = [row]  # a chain of copies of copies may be long
        while chain[-1] not in root and (better := place.get(found[chain[-1]].copy_of or "")) is not None:
            chain.append(better)
        for one, better in zip(reversed(chain), [None, *reversed(chain)], strict=False):
            if one not in root:
                loose = better is None or apart_from(one, better) or apart_from(one, root[better])
                root[one] = one if loose or better is None else root[better]
        return root[row]

    parts: dict[int, list[int]] = {}
    for row in members:
        parts.setdefault(root_of(row), []).append(row)
    for best in parts:
        found[best].keep = True
        if found[best].copy_of is not None:
            found[best] = dataclasses.replace(found[best], **_BEST, why="the best of those that are left")
    return list(parts.values())


#: Of what is kept, as `schema.DUPLICATE_SCHEMA` has it.
_BEST: dict[str, Any] = {"kind": None, "copy_of": None, "bits": None, "similarity": None}


def _choose(members: list[int], found: list[_Row], ids: list[str], marks: Mapping[int, _Mark], drops: bool) -> None:
    """Say of each of a group whether it is kept, and why."""
    root = next(row for row in members if found[row].copy_of is None)
    best = _best(members, root, found, marks)
    nearest = found[best]
    for row in members:
        one, mark = found[row], marks.get(row, _NOTHING).says
        kept = row == best or mark in ("best", "keep")
        one.keep = True if kept else False if drops or mark == "drop" else None
        one.chosen = (mark if mark != "drop" or not kept else None) or None
        if row == best and row != root:
            why = {"best": "chosen as the best", "keep": "chosen to be kept"}.get(mark, "the next best")
            found[row] = dataclasses.replace(one, **_BEST, why=why)
        elif row == best:
            one.why = "chosen as the best" if mark == "best" else one.why
        elif row == root:
            why = "chosen to be dropped" if mark == "drop" else "another one was chosen as the best"
            like = {name: getattr(nearest, name) for name in ("kind", "bits", "similarity")}
            found[row] = dataclasses.replace(one, **like, copy_of=ids[best], why=why)


def _best(members: list[int], root: int, found: list[_Row], marks: Mapping[int, _Mark]) -> int:
    """The one that was chosen; else the one that was found; else, that being dropped, who is nearest to it."""
    said = {row: marks.get(row, _NOTHING) for row in members}
    chosen = [row for row in members if said[row].says == "best"]
    if chosen:
        return max(chosen, key=lambda row: said[row].number)
    if said[root].says != "drop":
        return root
    kinds = {"exact": 0, "near": 1, "burst": 2}
    left = [row for row in members if said[row].says != "drop"]
    kept = [row for row in left if said[row].says == "keep"]
    order = sorted(kept or left, key=lambda row: (kinds.get(found[row].kind or "", 3), found[row].bits or 0, row))
    return order[0] if order else root

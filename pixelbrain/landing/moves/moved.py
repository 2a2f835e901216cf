"""Images that moved: the same bytes under another name, the old one gone. What is known of them goes along.

All of it may be killed at any point, and done again: new rows have landed before anything is looked at, the old ones go
last, and what has gone along already is not found under its old name and version any more.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.landing.derived import GROUPS, IDENTITIES, DerivedTable, landed_maps
from pixelbrain.landing.digests import DigestTable, digest_ids, sort_digests
from pixelbrain.landing.index import LandedIndex, build_index
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import Part, modules_said, write_table
from pixelbrain.landing.reader import newest_first, scan_columns
from pixelbrain.landing.remaining import prune
from pixelbrain.storage.base import FileGoneError, Storage

_COLUMNS = ["image_id", "version", "sha256"]

#: An image_id and a version of what was there.
_Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Moves:
    """What became of images whose bytes were known."""

    to: Mapping[_Key, _Key]  # what each one that moved is called now; also one that was only touched
    left: Mapping[str, str]  # image_id -> version of those whose place is empty now; also of copies that became one
    copies: int = 0  # images with the bytes of others, which are still there
    #: What is there now -> all that ever had its bytes, and has landed: nobody may have decoded it again.
    alike: Mapping[_Key, Sequence[_Key]] = field(default_factory=dict, compare=False)

    @property
    def moved(self) -> int:
        """Images that have another name now."""
        return sum(old[0] != new[0] for old, new in self.to.items())


def find_moves(landing: Landing, since: int, is_there: int, find_gone: Callable[[Sequence[str]], list[bool]]) -> Moves:
    """What moved to where an image has landed since a generation.

    An image moved whose bytes landed under a new name, or as a new version of another one, while its own place is empty
    or has other bytes now. Holds 32 bytes of each image that landed since, and what landed of the same bytes. Raises
    `LandingError`.

    Args:
        since: what landed in this generation and later is new.
        is_there: what landed in this generation and later is certainly there.
        find_gone: of image_ids, which are certainly not there any more.
    """
    shared = _shared(landing.parts, since)
    if not len(shared):
        return Moves(to={}, left={})
    landed = sorted(_rows_of(landing, shared, since), key=lambda row: row.bytes)
    rows = [row for row in landed if row.before or row.now]
    unsure = [row for row in rows if row.now and row.last < is_there]
    for row, gone in zip(unsure, find_gone([row.key[0] for row in unsure]), strict=True):
        row.gone = gone
    to: dict[_Key, _Key] = {}
    left: dict[str, str] = {}
    copies = 0
    for _bytes, same in itertools.groupby(rows, key=lambda row: row.bytes):
        one, another, others = _pair(list(same))
        to |= one
        left |= another
        copies += others
    alike: dict[_Key, list[_Key]] = {}
    for _bytes, same in itertools.groupby(landed, key=lambda row: row.bytes):
        keys = {row.key: row.now for row in same}
        alike |= {key: list(keys) for key, now in keys.items() if now}
    return Moves(to=to, left=left, copies=copies, alike=alike)


def settle(landing: Landing, moves: Moves) -> None:
    """Take along what is known of images that moved, and remove their old rows. For who holds the run's lock.

    Their answers, and the rows of people, groups and maps. Raises `LandingError` if OUT cannot be read or written.
    """
    if not moves.to and not moves.left:
        return
    for table in (IDENTITIES, GROUPS, *landed_maps(landing).values()):
        _rename(landing.storage, table, moves)
    landing.answer_log.fold()
    landing.answer_log.take_along(moves.to)
    if moves.left:
        prune(landing, pa.table({"image_id": list(moves.left), "version": list(moves.left.values())}))
    landing.refresh()


# --- finding them ----------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Row:
    """What landed of some bytes, under one name and version."""

    key: _Key
    bytes: int  # equal for equal ones
    last: int  # the generation that it landed in last
    before: bool  # it was its image's newest, before what landed since
    now: bool  # it is
    replaced: bool  # its image has another version now
    gone: bool = False  # nothing is in its place any more


def _pair(same: Sequence[_Row]) -> tuple[dict[_Key, _Key], dict[str, str], int]:
    """Of rows of the same bytes: which is which one now, which are to be removed, and how many are copies."""
    targets = sorted((row.key for row in same if row.now and not row.before and not row.gone), key=_by_name)
    # what a killed run had landed, and was moved again, comes last
    old = sorted(
        (row for row in same if row.gone or row.replaced), key=lambda row: (not row.before, *_by_name(row.key))
    )
    by_name = {target[0]: target for target in targets}
    touched = {row.key: by_name[row.key[0]] for row in old if row.key[0] in by_name}
    taken = set(touched.values())
    targets = [key for key in targets if key not in taken]
    sources = [row for row in old if row.key not in touched]
    stays = any(row.now and not row.gone for row in same)
    left = {row.key[0]: row.key[1] for row in sources if row.gone and (targets or (stays and not row.before))}
    kept = any(row.now and row.before and not row.gone for row in same)
    copies = max(0, len(targets) - len(sources)) if kept or old else 0
    return touched | dict(zip([row.key for row in sources], targets, strict=False)), left, copies


def _shared(parts: Sequence[Part], since: int) -> DigestTable:
    """Bytes that landed since, and under another name or version, too."""
    pairs = [np.empty((0, 4), np.uint64)]
    for _part, table in _scan(parts, lambda generation: generation >= since):
        pairs.append(np.concatenate([digest_ids(table["sha256"]), _names(table)], axis=1))
    new = np.concatenate(pairs)
    order, first = sort_digests(new[:, :2])
    new, starts = new[order], np.flatnonzero(first)
    wanted, name = DigestTable(new[starts, :2]), new[starts, 2:]
    # also since: a run that was killed had landed it, and it was moved again
    shared = np.zeros(len(starts), bool)
    group = np.cumsum(first) - 1
    shared[group[(new[:, 2:] != name[group]).any(axis=1)]] = True
    for _part, table in _scan(parts, lambda generation: generation < since) if len(starts) else ():
        place = wanted.find(digest_ids(table["sha256"]))
        found = np.flatnonzero(place >= 0)
        other = (_names(table.take(pa.array(found))) != name[place[found]]).any(axis=1)
        shared[place[found[other]]] = True
    return DigestTable(new[starts[shared], :2])


def _rows_of(landing: Landing, wanted: DigestTable, since: int) -> list[_Row]:
    """What landed of the wanted bytes: also what counted neither before what landed since, nor counts now."""
    found: dict[_Key, tuple[int, int]] = {}
    for part, table in _scan(landing.parts, lambda generation: True):
        place = wanted.find(digest_ids(table["sha256"]))
        at = np.flatnonzero(place >= 0)
        ids, versions = (table[name].take(pa.array(at)).to_pylist() for name in ("image_id", "version"))
        for key, bytes_ in zip(zip(ids, versions, strict=True), place[at].tolist(), strict=True):
            found.setdefault(key, (bytes_, part.generation))
    image_ids = pa.array([image_id for image_id, _version in found], pa.string())
    before = _versions(build_index([part for part in landing.parts if part.generation < since]), image_ids)
    now = _versions(landing.index, image_ids)
    return [
        _Row(
            key=key, bytes=bytes_, last=last, before=was == key[1], now=is_ == key[1],
            replaced=was == key[1] and is_ not in (None, was),
        )
        for (key, (bytes_, last)), was, is_ in zip(found.items(), before, now, strict=True)
    ]  # fmt: skip


def _versions(index: LandedIndex, image_ids: pa.Array) -> list[str | None]:
    """The version of each image; None where it has not landed, or was pruned."""
    return index.version.take(pc.index_in(image_ids, index.image_id.combine_chunks())).to_pylist()


def _scan(parts: Sequence[Part], wanted: Callable[[int], bool]) -> Iterator[tuple[Part, pa.Table]]:
    """Rows whose bytes are known, of the parts of wanted generations, the newest first."""
    for part, table in scan_columns([p for p in newest_first(parts) if wanted(p.generation)], lambda _: _COLUMNS):
        yield part, table.filter(pc.is_valid(table["sha256"]))


def _names(table: pa.Table) -> np.ndarray:
    """uint64 (n, 2): of name and version."""
    return digest_ids(pc.binary_join_element_wise(table["image_id"], table["version"], "\0"))


def _by_name(key: _Key) -> tuple[str, _Key]:
    """Of several copies that were moved together, each to its own name."""
    return key[0].rpartition("/")[2], key


# --- taking along ----------------------------------------------------------------------------------------------------


def _rename(storage: Storage, derived: DerivedTable, moves: Moves) -> None:
    """Rows of a later stage about images that moved are about them under their new name and version."""
    try:
        with storage.open_parquet(derived.file) as opened:
            table, modules = opened.read().replace_schema_metadata(None), modules_said(opened)
    except FileGoneError:
        return
    columns = {name: table[name].to_pylist() for name in {derived.key, "image_id"}}
    versions = table["image_version"].to_pylist() if "image_version" in table.column_names else [None] * len(table)
    changed = False
    for row, (old_id, version) in enumerate(zip(columns["image_id"].copy(), versions, strict=True)):
        # a row of an older Pixelbrain does not say of which version it is: of an image that is gone, of its last
        new = moves.to.get((old_id, version if version is not None else moves.left.get(old_id, "")))
        if new is None:
            continue
        changed = True
        versions[row] = new[1] if version is not None else None
        for name in columns:
            columns[name][row] = new[0] + columns[name][row].removeprefix(old_id)
    if not changed:
        return
    for name, values in {**columns, "image_version": versions}.items():
        if (at := table.schema.get_field_index(name)) >= 0:
            table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
    write_table(storage, derived.file, table, modules)

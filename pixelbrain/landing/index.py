"""Which part file holds the newest row of each image, and the newest column of each module."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import MixedModelsError
from pixelbrain.landing.digests import DigestTable, digest_ids, digest_versions, first_of_runs, sort_digests
from pixelbrain.landing.parts import Part
from pixelbrain.landing.reader import Layer, newest_first, scan_columns
from pixelbrain.schema import BASE_FIELDS, Status, as_landed, common_type

_COLUMNS = ["image_id", "version", "status"]
_CHUNK_ROWS = 65_536  # of the index's strings: many small chunks are slow to go through
_SCHEMA = pa.schema([(name, pa.string()) for name in _COLUMNS])


@dataclass(frozen=True, kw_only=True)
class LandedIndex:
    """Where every image's values are. All arrays have one entry an image, in the order of the listing.

    `part` and `row` (int32) find the base columns; `modules[name]` finds a module's struct as a (part, row) pair of
    arrays, -1 where the module has not seen this version of the image. Images that were pruned are not here.

    It takes, an image, the three strings and 20 bytes, and 8 more for each module that is not in every part.
    """

    parts: Sequence[Part]
    image_id: pa.ChunkedArray
    version: pa.ChunkedArray
    status: pa.ChunkedArray
    part: np.ndarray
    row: np.ndarray
    modules: dict[str, tuple[np.ndarray, np.ndarray]]

    def layers(self, images: np.ndarray, modules: Iterable[str], base: Sequence[str] = ()) -> list[Layer]:
        """Where some images' base columns are, all by default, and what some modules say, for `read_layers`."""
        base = base or [field.name for field in BASE_FIELDS]
        found = [Layer(columns=list(base), part=self.part[images], row=self.row[images])]
        for name in modules:
            part, row = self.modules[name]
            found.append(Layer(columns=[name], part=part[images], row=row[images]))
        return found

    def origins(self, images: np.ndarray, modules: Iterable[str] | None = None) -> list[str]:
        """The files of runs that some images' values came from, of all modules by default; a compact changes none."""
        found = self.layers(images, self.modules if modules is None else modules)
        holders = [layer.part for layer in (found if modules is None else found[1:])]
        numbers = {number for part in holders for number in np.unique(part).tolist() if number >= 0}
        return sorted({origin for number in numbers for origin in self.parts[number].origins})

    def outside(self, known: frozenset[str]) -> np.ndarray:
        """int64 (n,): the images, ascending, of which a value is from another file than these `origins`."""
        new = np.array([not known.issuperset(part.origins) for part in self.parts], np.bool_)
        found = new[self.part]
        for part, _row in self.modules.values():
            found |= (part >= 0) & new[part]
        return np.flatnonzero(found)

    def computed_by(self, module: str, images: np.ndarray) -> pa.StringArray:
        """By what settings and model of a module each image's column was computed; null where there is none."""
        part = self.modules[module][0][images]
        hashes = [p.modules[module].computed_by if module in p.modules else None for p in self.parts]
        return pa.array(hashes, pa.string()).take(pa.array(part, mask=part < 0))

    def digest(self, module: str | None = None) -> str:
        """16 hex digits that change with what has landed of a module, or of all, also where its values are equal.

        A compact does not change it.
        """
        images = np.arange(len(self.part)) if module is None else np.flatnonzero(self.modules[module][0] >= 0)
        text = json.dumps([len(images), self.origins(images, None if module is None else [module])])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def find(self, image_ids: pa.ChunkedArray, versions: pa.ChunkedArray) -> np.ndarray:
        """int64 (n,): which image each pair is about as it is now; -1: none."""
        table, order, version = self._digests
        place = table.find(digest_ids(image_ids))
        found = np.full(len(place), -1)
        there = np.flatnonzero(place >= 0)
        found[there] = order[place[there]]
        found[there[version[found[there]] != digest_versions(versions)[there]]] = -1
        return found

    @functools.cached_property
    def _digests(self) -> tuple[DigestTable, np.ndarray, np.ndarray]:
        """Of the ids, in their order, and of the versions: 32 bytes an image, of whom something is looked for."""
        ids = digest_ids(self.image_id)
        order, _first = sort_digests(ids)
        return DigestTable(ids[order]), order, digest_versions(self.version)

    @functools.cached_property
    def columns(self) -> pa.Schema:
        """What all part files have to have to be read as one table: a column that a run did not compute is null there.

        In the order in which they came, and of a type that all values have room in that are not replaced. Raises
        `MixedModelsError` where there is none: a module's fields changed, and only some images were done again.
        """
        alive = set(np.unique(self.part).tolist())
        computed = {name: set(np.unique(part).tolist()) for name, (part, _row) in self.modules.items()}
        found: dict[str, tuple[dict[pa.DataType, None], dict[pa.DataType, None]]] = {}  # of values, and of nulls alone
        for number, part in enumerate(self.parts):
            for field in part.columns:
                if number in computed.get(field.name, ()):
                    found.setdefault(field.name, ({}, {}))[0][as_landed(field.type)] = None
                elif number in alive and field.name not in part.modules:
                    found.setdefault(field.name, ({}, {}))[1][as_landed(field.type)] = None
        base = {field.name for field in BASE_FIELDS}
        more = []
        for name, (values, nulls) in found.items():
            if name not in base:
                try:
                    more.append(pa.field(name, common_type(list(values or nulls))))
                except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                    raise MixedModelsError(
                        f"the column {name} of {self.parts[0].storage.uri} is of two kinds ({error}), and "
                        "cannot be read as one table: run `pixelbrain extract` over all its images with one of them"
                    ) from None
        return pa.schema([*BASE_FIELDS, *more])

    def rows_in(self, table: pa.Table, version: str = "version") -> pa.Int32Array:
        """For each image, which row of a table with `image_id` and its `version` is about it; null where none is.

        What is about an older version of the file is not about the image.
        """
        place = pc.index_in(self.image_id, table["image_id"].combine_chunks())
        same = pc.equal(self.version, table[version].take(place))
        return pc.if_else(pc.fill_null(same, False), place, pa.scalar(None, place.type)).combine_chunks()


def build_index(parts: Sequence[Part]) -> LandedIndex:
    """Read the ids of all parts and find, per image, the newest row, and per module the newest one of that version.

    The parts are in the order of the listing. Raises `LandingError` if one cannot be read.
    """
    numbers = {part.name: number for number, part in enumerate(parts)}
    ids = {numbers[p.name]: found for p, found in scan_columns(newest_first(parts), lambda _: _COLUMNS)}
    part = np.repeat(np.array(list(ids), np.int32), [len(table) for table in ids.values()])
    row = np.concatenate([np.empty(0, np.int32), *(np.arange(len(table), dtype=np.int32) for table in ids.values())])
    order, first = sort_digests(
        np.concatenate([np.empty((0, 2), np.uint64), *(digest_ids(table["image_id"]) for table in ids.values())])
    )
    order, first = _without_pruned(order, first, [table["status"] for table in ids.values()])
    current = _current(order, first, [table["version"] for table in ids.values()])

    newest = order[first]
    listed = np.argsort((part[newest].astype(np.int64) << 32) | row[newest])
    newest = newest[listed]
    base = part[newest], row[newest]
    modules = {}
    for name, below in sorted(_stands_on(parts).items()):
        holds = np.array([name in p.modules for p in parts], bool)
        if len(newest) == len(part) and holds.all():
            modules[name] = base
            continue
        # what it stands on was looked for again since: what it said before is about something else
        closes = ~holds & np.array([not below.isdisjoint(p.modules) for p in parts], bool)
        at = _newest_of((holds | closes)[part[order]] & current, first, order)[listed]
        at[(at >= 0) & closes[part[at]]] = -1
        modules[name] = np.where(at < 0, -1, part[at]).astype(np.int32), np.where(at < 0, -1, row[at]).astype(np.int32)
    del order, first, current, newest, listed
    strings = dict(zip(_COLUMNS, _strings(*base, ids).columns, strict=True))
    return LandedIndex(parts=parts, **strings, part=base[0], row=base[1], modules=modules)


def _stands_on(parts: Sequence[Part]) -> dict[str, set[str]]:
    """The modules of all parts, and what each stands on."""
    found: dict[str, set[str]] = {}
    for modules in {id(part.modules): part.modules for part in parts}.values():  # a run's parts share them
        for name, state in modules.items():
            found.setdefault(name, set()).update(state.stands_on)
    return found


def _without_pruned(
    order: np.ndarray, first: np.ndarray, statuses: Sequence[pa.ChunkedArray]
) -> tuple[np.ndarray, np.ndarray]:
    """The sorted rows without tombstones, and without the older rows of the same images."""
    pruned = np.concatenate([np.empty(0, bool), *(np.asarray(pc.equal(s, Status.PRUNED.value)) for s in statuses)])
    if not pruned.any():
        return order, first
    pruned = pruned[order]
    so_far = np.cumsum(pruned)
    before = (so_far - pruned)[np.flatnonzero(first)][np.cumsum(first) - 1]  # of the images before this one
    return order[so_far == before], first[so_far == before]


def _current(order: np.ndarray, first: np.ndarray, versions: Sequence[pa.ChunkedArray]) -> np.ndarray:
    """bool (sorted rows,): whether a row is about the version that its image's newest row is about."""
    several = ~first
    several[:-1] |= ~first[1:]  # rows of images that have more than one
    if not several.any():
        return np.ones(len(order), bool)
    wanted = np.zeros(sum(map(len, versions)), bool)
    wanted[order[several]] = True
    digest = np.zeros(len(wanted), np.uint64)
    start = 0
    for column in versions:
        chosen = np.flatnonzero(wanted[start : start + len(column)])
        digest[start + chosen] = digest_versions(column.take(pa.array(chosen)))
        start += len(column)
    digest = digest[order]
    return digest == digest[np.flatnonzero(first)][np.cumsum(first) - 1]


def _newest_of(chosen: np.ndarray, first: np.ndarray, order: np.ndarray) -> np.ndarray:
    """int64 (images,): each image's newest row among the chosen ones of the sorted rows; -1 where there is none."""
    image = np.cumsum(first) - 1
    found = np.full(np.count_nonzero(first), -1, np.int64)
    at = np.flatnonzero(chosen)
    at = at[first_of_runs(image[at])]
    found[image[at]] = order[at]
    return found


def _strings(part: np.ndarray, row: np.ndarray, ids: dict[int, pa.Table]) -> pa.Table:
    """The ids, versions and statuses of rows that are sorted by part and row. Empties `ids`: no room for them twice."""
    starts = np.flatnonzero(first_of_runs(part))
    tables = [_SCHEMA.empty_table()]
    waiting: list[pa.Table] = []
    for start, stop in zip(starts, np.append(starts, len(part))[1:], strict=True):
        table = ids.pop(int(part[start]))
        waiting.append(table if stop - start == len(table) else table.take(pa.array(row[start:stop])))
        if sum(map(len, waiting)) >= _CHUNK_ROWS:
            tables.append(pa.concat_tables(waiting).cast(_SCHEMA).combine_chunks())
            waiting.clear()
    ids.clear()
    return pa.concat_tables([*tables, *(table.cast(_SCHEMA) for table in waiting)])

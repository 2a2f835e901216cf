"""Bytes that have landed before, under whatever name: where the columns are that modules made of them.

A module's column is a function of an image's bytes and the module's settings. So what has landed of the same bytes,
about a photo that was moved since, renamed, copied or only touched, is that of a new image, too.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.landing.digests import DigestTable, digest_ids, first_of_runs, sort_digests
from pixelbrain.landing.parts import Part
from pixelbrain.landing.reader import Layer, newest_first, read_layers, scan_columns
from pixelbrain.storage.base import Storage

_FOLD_ROWS = 2**20  # at least so many are sorted at a time
_PARTS = b"parts"
_SEEN = ["format", "width", "height", "taken_at"]  # what decoding finds out, beside the pixels
_NOWHERE = -1
_CLOSED = -2  # nor is anything older


def find_known(
    parts: Sequence[Part],
    settings_hashes: Mapping[str, str],
    stands_on: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> pa.Table | None:
    """Where what these modules said of all bytes that landed is: the table of a `KnownBytes`; None: nowhere.

    Only what was computed with the same settings and is no error, and nothing of a module where one that it `stands_on`
    looked again since. Keeps 16 bytes of each sha256, and 8 a module. Raises `LandingError`.
    """
    parts = [part for part in newest_first(parts) if any(_current(part, *module) for module in settings_hashes.items())]
    digest, where = np.empty((0, 2), np.uint64), np.empty((0, len(settings_hashes)), np.int64)
    waiting = [(digest, where)]
    numbers = {part.name: number for number, part in enumerate(parts)}
    for part, table in scan_columns(parts, lambda part: _columns(part, settings_hashes)):
        waiting.append(_places(numbers[part.name], part, table, settings_hashes, stands_on))
        # as many as are kept: each row is sorted a few times, however many parts there are
        if sum(len(one) for one, _ in waiting[1:]) >= max(_FOLD_ROWS, len(waiting[0][0])):
            waiting = [_fold(waiting)]
    digest, where = _fold(waiting)
    if not len(digest):
        return None
    columns: dict[str, np.ndarray] = {"high": digest[:, 0], "low": digest[:, 1]}
    columns |= {f"module.{name}": where[:, column] for column, name in enumerate(settings_hashes)}
    files = json.dumps([[part.name, part.version] for part in parts])
    return pa.table(columns).replace_schema_metadata({_PARTS: files})


def _current(part: Part, name: str, wanted: str) -> bool:
    return name in part.modules and part.modules[name].settings_hash == wanted


def _columns(part: Part, hashes: Mapping[str, str]) -> list[str]:
    return ["status", "sha256", *(f"{name}.error_type" for name in hashes if _current(part, name, hashes[name]))]


def _places(
    number: int, part: Part, table: pa.Table, hashes: Mapping[str, str], stands_on: Mapping[str, Collection[str]]
) -> tuple[np.ndarray, np.ndarray]:
    """Digests of a part's rows, and for each module the place where its struct is."""
    ok = np.asarray(pc.equal(table["status"], schema.Status.OK.value))
    where = np.full((len(table), len(hashes)), _NOWHERE, np.int64)
    for column, (name, wanted) in enumerate(hashes.items()):
        if _current(part, name, wanted):
            said = np.asarray(pc.is_valid(table[name])) & ~np.asarray(
                pc.is_valid(pc.struct_field(table[name], "error_type"))
            )
            where[:, column] = np.where(ok & said, (number << 32) | np.arange(len(table)), _NOWHERE)
        elif name not in part.modules and any(of in part.modules for of in stands_on.get(name, ())):
            where[:, column] = np.where(ok, _CLOSED, _NOWHERE)
    kept = np.flatnonzero((where != _NOWHERE).any(axis=1))
    return digest_ids(table["sha256"].take(pa.array(kept))), where[kept]


def _fold(newest_first: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """One row a digest, sorted: for each module the newest place."""
    digest, where = (np.concatenate(arrays) for arrays in zip(*newest_first, strict=True))
    order, first = sort_digests(digest)
    image, where = np.cumsum(first) - 1, where[order]
    folded = where[first]
    for column in range(where.shape[1]):
        said = np.flatnonzero(where[:, column] != _NOWHERE)
        newest = said[first_of_runs(image[said])]
        folded[image[newest], column] = where[newest, column]
    return digest[order[first]], folded


class KnownBytes:
    """Finds what modules said of bytes that landed before.

    Args:
        table: of `find_known`, perhaps mapped from a file; None: nothing is known.
    """

    def __init__(self, storage: Storage, table: pa.Table | None) -> None:
        files = json.loads((table.schema.metadata or {})[_PARTS]) if table is not None else []
        self._parts = [
            Part(storage=storage, name=name, version=version, rows=0, modules={}, checked=False)
            for name, version in files
        ]
        columns = {name: table[name].to_numpy() for name in table.column_names} if table is not None else {}
        self._digests = DigestTable(np.array([columns["high"], columns["low"]]).T) if columns else None
        self._where = {name.removeprefix("module."): column for name, column in columns.items() if "." in name}

    def find(self, sha256: str, modules: Sequence[str]) -> dict[str, int]:
        """For those of the modules that have seen these bytes (hex), the place of what they said."""
        if self._digests is None:
            return {}
        (row,) = self._digests.find(digest_ids(pa.array([sha256])))
        found = {name: int(self._where[name][row]) for name in modules if name in self._where} if row >= 0 else {}
        return {name: place for name, place in found.items() if place >= 0}

    def read(self, image_ids: Sequence[str], places: Sequence[Mapping[str, int]]) -> list[dict[str, Any]]:
        """What is known of images. Raises `LandingError`.

        Args:
            image_ids: whose faces they are to be from now on.
            places: what `find` returned for each, one module or more.

        Returns:
            A dict an image: `format`, `width`, `height`, `taken_at`, and each module's struct.
        """
        if not image_ids:
            return []
        layers = [_layer(_SEEN, [next(iter(place.values())) for place in places])]
        for name in dict.fromkeys(name for place in places for name in place):
            layers.append(_layer([name], [place.get(name, _NOWHERE) for place in places]))
        (table,) = read_layers(self._parts, [layers])
        return [_of_image(row, image_id) for row, image_id in zip(table.to_pylist(), image_ids, strict=True)]


def _layer(columns: list[str], places: Sequence[int]) -> Layer:
    where = np.array(places, np.int64)
    return Layer(columns=columns, part=where >> 32, row=where & 0xFFFFFFFF)


def _of_image(row: dict[str, Any], image_id: str) -> dict[str, Any]:
    for struct in row.values():
        for face in struct.get("faces") or () if isinstance(struct, dict) else ():
            if "face_id" in face:  # its number stays: where one was forgotten, they do not count up
                face["face_id"] = f"{image_id}#{face['face_id'].rpartition('#')[2]}"
    return row

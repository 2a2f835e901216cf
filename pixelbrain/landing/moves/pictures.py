"""Small pictures of images whose bytes were known: nobody decoded these again, but those of the same bytes fit."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.landing.parts import write_table
from pixelbrain.schema import PICTURE_SCHEMA, PICTURES
from pixelbrain.storage.base import BrokenFileError, Storage

logger = logging.getLogger(__name__)

_ROWS = 5_000  # of a file, at 10 kB each
_ID = ["image_id", "version"]

#: An image_id and a version of what was there.
_Key = tuple[str, str]


def copy_pictures(storage: Storage, alike: Mapping[_Key, Sequence[_Key]], generation: int) -> None:
    """Land the pictures of images again, as those of others of the same bytes that have none.

    Of files that hold none of them, ids alone are read; killed at any point, the next call does the rest. Raises
    `LandingError`.

    Args:
        alike: image_id and version of who may lack pictures -> of all that had its bytes.
        generation: of the run; the new files are named after it.
    """
    if not alike:
        return
    keys = pa.array(list({"\0".join(key) for key in itertools.chain(alike, *alike.values())}), pa.string())
    holders: dict[str, set[_Key]] = {}  # by file, whose of them it holds
    for name in sorted(storage.names(PICTURES)):
        if found := set(_keys(_read(storage, name, _ID, keys))):
            holders[name] = found
    there = set().union(*holders.values())
    heirs: dict[_Key, list[_Key]] = {}
    for new, others in alike.items():
        if new not in there and (old := next((one for one in others if one in there), None)):
            heirs.setdefault(old, []).append(new)
    prefix, waiting = f"moved-{generation:06d}-", PICTURE_SCHEMA.empty_table()
    numbers = itertools.count(sum(name.startswith(prefix) for name in holders))
    wanted = [name for name, found in holders.items() if not found.isdisjoint(heirs)]
    for name in wanted:
        waiting = pa.concat_tables([waiting, _inherited(_read(storage, name, PICTURE_SCHEMA.names, keys), heirs)])
        if len(waiting) >= _ROWS or name == wanted[-1]:
            write_table(storage, f"{PICTURES}/{prefix}{next(numbers):06d}.parquet", waiting.combine_chunks())
            waiting = PICTURE_SCHEMA.empty_table()


def _read(storage: Storage, name: str, columns: list[str], keys: pa.Array) -> pa.Table:
    """The rows of these keys; none of a damaged file, whose pictures the gallery makes of the originals."""
    try:
        with storage.open_parquet(f"{PICTURES}/{name}") as file:
            ids = file.read(columns=_ID)
            mine = pc.is_in(pc.binary_join_element_wise(*ids.columns, "\0"), keys)
            rows = file.read(columns=columns) if columns != _ID and pc.any(mine).as_py() else ids
            return rows.filter(mine)
    except BrokenFileError as error:
        logger.warning("%s; its thumbnails are made of the originals", error)
        return PICTURE_SCHEMA.empty_table().select(columns)


def _keys(table: pa.Table) -> Iterator[_Key]:
    return zip(*(table[name].to_pylist() for name in _ID), strict=True)


def _inherited(table: pa.Table, heirs: Mapping[_Key, list[_Key]]) -> pa.Table:
    """The rows of those that have heirs, once for each, under the heir's id and version."""
    found = [(row, new) for row, old in enumerate(_keys(table)) for new in heirs.get(old, ())]
    rows = table.take(pa.array([row for row, _new in found], pa.int64()))
    named = [pa.array([new[place] for _row, new in found], pa.string()) for place in (0, 1)]
    return pa.table([*named, rows["box"], rows["picture"]], schema=PICTURE_SCHEMA)

"""The reader of part files: whole columns, or chosen rows, of one after another, the next ones fetched ahead."""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pixelbrain.ahead import do_ahead, map_ahead
from pixelbrain.errors import MixedModelsError
from pixelbrain.landing.parts import Part
from pixelbrain.schema import BASE_FIELDS
from pixelbrain.storage.base import BrokenFileError

_BASE = pa.schema(BASE_FIELDS)

#: By whether it is a disk, where one file is decompressed while another one's ids are hashed. In S3 a small file is one
#: request, and waits for the answer most of its time.
_THREADS = {True: 2, False: 16}
_TABLES_AHEAD = {True: 2, False: 4}
_OPEN_FILES = {True: 32, False: 8}  # in S3, an open file keeps what was fetched last


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Columns of the rows (part[i], row[i]), in this order; null where `part` is -1. Both are integers (n,)."""

    columns: list[str]
    part: np.ndarray
    row: np.ndarray


def newest_first(parts: Iterable[Part]) -> list[Part]:
    """In the order in which a row wins over the later ones about the same image.

    Within a generation that is the order of the listing.
    """
    return sorted(parts, key=lambda part: -part.generation)  # stable; parts come in the order of the listing


def read_columns(part: Part, columns: list[str]) -> pa.Table:
    """Columns of a part file; "module.field" is a struct of that field alone. Raises `LandingError`."""
    with part.open() as file:
        return file.read(columns=columns).replace_schema_metadata(None)


def scan_columns(parts: Sequence[Part], columns: Callable[[Part], list[str]]) -> Iterator[tuple[Part, pa.Table]]:
    """Each part with its columns, in this order; memory holds a few parts at a time. Raises `LandingError`."""
    if not parts:
        return
    threads = _THREADS[parts[0].storage.is_local]
    read = map_ahead(lambda part: read_columns(part, columns(part)), parts, threads=threads, ahead=threads, name="read")
    with contextlib.closing(read) as tables:
        yield from zip(parts, tables, strict=True)


def read_layers(
    parts: Sequence[Part], batches: Iterable[Sequence[Layer]], *, vectors: bool = True, ahead: int | None = None
) -> Generator[pa.Table, None, None]:
    """A table a batch: the columns of its layers, side by side. A part file is opened once for all of its columns.

    Memory holds a few batches at a time, and of large files only the row groups that batches ask for. Raises as
    `Storage.reading` does, and `MixedModelsError`: a module's fields changed to another kind, and only some of the
    images were done again.

    Args:
        batches: of layers of the same number of rows, one or more.
        vectors: False leaves out the vectors inside structs, which are most of the bytes.
        ahead: tables that are read at a time; some by default.
    """
    if not parts:
        return
    is_local = parts[0].storage.is_local
    several = () if vectors else {id(part.modules): part.modules for part in parts}.values()  # a run's parts share them
    left_out = frozenset(
        f"{name}.{path}" for modules in several for name, state in modules.items() for path in state.vectors or ()
    )
    opened = functools.lru_cache(_OPEN_FILES[is_local])(lambda number: _OpenPart(parts[number], left_out))
    under_way: collections.deque[Sequence[Layer]] = collections.deque()

    def jobs() -> Iterator[Sequence[Callable[[], list[_Piece]]]]:
        for layers in batches:
            under_way.append(layers)
            asked = sorted(_asked(parts, layers).items())
            yield [functools.partial(opened(number).read, picks) for number, picks in asked]

    fetched = do_ahead(jobs(), threads=_THREADS[is_local], ahead=ahead or _TABLES_AHEAD[is_local], name="read")
    with contextlib.closing(fetched):
        for found in fetched:
            yield _join(under_way.popleft(), list(itertools.chain.from_iterable(found)))


#: The number of a layer, the layer, and places in it that one part fills.
_Pick = tuple[int, Layer, np.ndarray]
#: The number of a layer, places in it, and what comes there.
_Piece = tuple[int, np.ndarray, pa.Table]


def _asked(parts: Sequence[Part], layers: Sequence[Layer]) -> dict[int, list[_Pick]]:
    """By the number of a part, what is to be read of it."""
    found: dict[int, list[_Pick]] = {}
    for number, layer in enumerate(layers):
        holders = [part for part in np.unique(layer.part).tolist() if part >= 0]
        if not holders:  # no row of the batch has it: its type is in any part
            having = (i for i, part in enumerate(parts) if all(name in part.modules for name in layer.columns))
            holders = [next(having, 0)]
        for part in holders:
            found.setdefault(part, []).append((number, layer, np.flatnonzero(layer.part == part)))
    return found


def _join(layers: Sequence[Layer], pieces: Sequence[_Piece]) -> pa.Table:
    fields: list[pa.Field] = []
    columns: list[pa.ChunkedArray] = []
    for number, layer in enumerate(layers):
        found = [(places, table) for of, places, table in pieces if of == number]
        if len(empty := np.flatnonzero(layer.part < 0)):
            found.append((empty, pa.table({name: pa.nulls(len(empty)) for name in layer.columns})))
        try:
            table = pa.concat_tables([table for _places, table in found], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise MixedModelsError(
                f"a column is of two kinds ({error}): run `pixelbrain extract` over all its images with one of them"
            ) from None
        places = np.concatenate([places for places, _table in found])
        if (places[1:] < places[:-1]).any():
            table = table.take(pa.array(np.argsort(places)))
        fields += table.schema
        columns += table.columns
    return pa.table(columns, schema=pa.schema(fields))


class _OpenPart:
    """A part file, open from its first read until nobody has it any more; one thread reads it at a time."""

    def __init__(self, part: Part, left_out: frozenset[str]) -> None:
        self._part, self._left_out = part, left_out
        self._lock = threading.Lock()
        self._file: pq.ParquetFile | None = None
        self._names: frozenset[str] = frozenset()  # of its columns

    def read(self, picks: Sequence[_Pick]) -> list[_Piece]:
        """The rows of each pick, in its order; only the row groups that hold some are read."""
        storage, name = self._part.storage, self._part.name
        try:
            with self._lock, storage.reading(name):
                if self._file is None:
                    self._file = storage.parquet_file(name, self._part.version)
                    self._names = frozenset(self._file.schema_arrow.names)
                return self._read(self._file, picks)
        except BrokenFileError as error:  # its footer and its ids are whole
            raise BrokenFileError(f"{error}; move it away, and the next run does its images again", name) from None

    def _read(self, file: pq.ParquetFile, picks: Sequence[_Pick]) -> list[_Piece]:
        leaves = list(dict.fromkeys(name for _number, layer, _places in picks for name in layer.columns))
        absent = [name for name in leaves if name not in self._names]  # in an OUT of an older format
        leaves = [name for name in leaves if name in self._names]
        if self._left_out:
            leaves = [leaf for n in leaves for leaf in _leaves(n, file.schema_arrow.field(n).type, self._left_out)]
        sizes = np.array([file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)], int)
        starts = np.cumsum(sizes) - sizes
        rows = [layer.row[places] for _number, layer, places in picks]
        of_row = [np.searchsorted(starts, one, side="right") - 1 for one in rows]
        groups = np.unique(np.concatenate(of_row))
        shift = np.zeros(len(sizes), int)  # from a group's rows in the file to those in what is read
        shift[groups] = np.cumsum(sizes[groups]) - sizes[groups] - starts[groups]
        # ParquetFile and not read_table: only it picks fields inside lists of structs
        table = file.read_row_groups(groups.tolist(), columns=leaves).replace_schema_metadata(None)
        for name in absent:
            table = table.append_column(name, pa.nulls(len(table), _BASE.field(name).type))
        return [
            (number, places, table.select(layer.columns).take(pa.array(chosen + shift[group])))
            for (number, layer, places), chosen, group in zip(picks, rows, of_row, strict=True)
        ]


def _leaves(prefix: str, kind: pa.DataType, without: frozenset[str]) -> list[str]:
    """What Parquet calls the values inside a column."""
    if pa.types.is_struct(kind):
        return [
            leaf
            for field in (kind.field(i) for i in range(kind.num_fields))
            if f"{prefix}.{field.name}".replace(".list.element", "") not in without
            for leaf in _leaves(f"{prefix}.{field.name}", field.type, without)
        ]
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        return _leaves(f"{prefix}.list.element", kind.value_type, without)
    return [prefix]

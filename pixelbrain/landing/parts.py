"""Part files: what one run landed, complete or absent, with what computed it in its metadata."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pixelbrain import schema
from pixelbrain.locks.run import RunLock
from pixelbrain.storage.base import BrokenFileError, FileGoneError, Storage
from pixelbrain.storage.format import write_format

A = TypeVar("A")
T = TypeVar("T")

#: The folder of OUT that holds the part files.
IMAGES = "images"

_CLAIMED = "work/generation"
_IDS = ["image_id", "version", "status"]
_METADATA_KEY = b"pixelbrain"
_SCHEMA_KEY = b"ARROW:schema"  # where pyarrow writes it, in base64
_PART_NAME = re.compile(r"part-(\d{6})-(\d{8})-(\d{3,})\.parquet")
_THREADS = {True: 4, False: 32}  # for many small requests, by whether it is a disk: of S3 most is waiting
_LISTINGS = 3  # files that vanish while their footers are read, as `pixelbrain compact` makes them, are listed anew
_ROW_GROUP = 1000  # a reader that wants a thousand rows of a file that `compact` made large does not read the others
_MOST_KNOWN = 200_000  # part files, at 0.5 kB each


@dataclass(frozen=True, kw_only=True)
class ModuleState:
    """What computed a module's column."""

    settings: dict[str, Any]
    model: schema.ModelInfo | None
    #: What it stands on, see `PipelineModule.requires`: by module, the hash of the settings that it had.
    stands_on: Mapping[str, str] = field(default_factory=dict)
    by_name: bool = field(default=False, compare=False)  # it depends on the image's name, see `PipelineModule.by_name`
    #: Its vectors, see `schema.vector_fields`; None: as its declared type has them, which `write_part` sees.
    vectors: Mapping[str, int] | None = field(default=None, compare=False)

    @functools.cached_property
    def settings_hash(self) -> str:
        """Equal exactly for equal settings, and the same below."""
        return schema.settings_hash(self.settings | self._below())

    @functools.cached_property
    def computed_by(self) -> str:
        """Equal exactly for equal settings and models."""
        return schema.settings_hash(self._computed())

    def _computed(self) -> dict[str, Any]:
        model = self.model.as_dict() if self.model else None
        return {"settings": self.settings, "model": model, **self._below()}

    def _below(self) -> dict[str, Any]:
        return {"stands_on": dict(self.stands_on)} if self.stands_on else {}

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        more = {"vectors": None if self.vectors is None else dict(self.vectors), "by_name": self.by_name or None}
        return self._computed() | {name: value for name, value in more.items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModuleState:
        """Back from JSON."""
        model = schema.ModelInfo(**data["model"]) if data["model"] else None
        stands_on = data.get("stands_on", {})
        more = {"vectors": data.get("vectors"), "by_name": data.get("by_name", False)}
        return cls(settings=data["settings"], model=model, stands_on=stands_on, **more)

    def of_type(self, kind: pa.DataType) -> ModuleState:
        """With the vectors of a column that is declared so, if it does not say them itself."""
        return self if self.vectors is not None else replace(self, vectors=schema.vector_fields(kind))


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part file."""

    storage: Storage
    name: str  # relative to OUT
    version: str  # of the file: the same block may be landed again
    rows: int
    modules: Mapping[str, ModuleState]  # the struct columns that it holds; shared by all parts of one run
    replaces: tuple[str, ...] = ()  # by `compact`: the `origins` of the files that it put this one in place of
    columns: pa.Schema = field(compare=False, default=pa.schema([]))  # in it, also those that its run did not compute
    checked: bool = field(compare=False)  # whether its ids were read, too, when it was listed

    @functools.cached_property
    def generation(self) -> int:
        """Of the run that wrote it; a higher one is newer."""
        return _numbers(self.name)[0]

    @property
    def origins(self) -> tuple[str, ...]:
        """The files that runs wrote, by name and version, whose rows are here: the same before and after a compact."""
        return self.replaces or (f"{self.name}@{self.version}",)

    def open(self) -> contextlib.AbstractContextManager[pq.ParquetFile]:
        """Open it for reading. Raises as `Storage.open_parquet` does."""
        return self.storage.open_parquet(self.name, self.version)


@dataclass(frozen=True, kw_only=True)
class PartList:
    """The part files of an OUT."""

    parts: list[Part]  # in the order in which their images were listed
    broken: dict[str, str]  # names of those that cannot be read, and why


def part_name(generation: int, block: int, piece: int) -> str:
    """The file of a piece of a run's block of work."""
    return f"{IMAGES}/part-{generation:06d}-{block:08d}-{piece:03d}.parquet"


def _numbers(name: str) -> list[int]:
    """Generation, block and piece of a part file."""
    return [int(number) for number in re.findall(r"\d+", name)]


def claim_generation(storage: Storage) -> int:
    """A number for this run's part files, greater than that of any run before: for who holds OUT's lock meanwhile.

    Also than that of a run that was killed with nothing landed, of which a worker may still be writing its last file:
    it must not write over one of ours. Raises `NewerFormatError`, `LandingError` and `OutLockedError`.
    """
    with RunLock(storage, what="extract"):
        write_format(storage)
        last = storage.read(_CLAIMED)
        landed = [_numbers(name)[0] for name in storage.names(IMAGES) if _PART_NAME.fullmatch(name)]  # broken ones, too
        generation = 1 + max([*landed, int(last or 0)])
        storage.write(_CLAIMED, str(generation).encode())
    return generation


#: By OUT, name and version: what this process has read of part files, which never change.
_known: dict[tuple[str, str, str], Part] = {}


def list_parts(storage: Storage, *, check_ids: bool = False) -> PartList:
    """List the part files, and open the footers of those that this process has not opened yet. Raises `LandingError`.

    Args:
        check_ids: read their ids as well: of a disk that lost power, a footer may be whole where they are not.

    Returns:
        The parts, and apart from them what a power loss left of its last files: what they held counts as not landed.
    """
    for attempt in range(_LISTINGS):
        files = {f"{IMAGES}/{name}": v for name, v in storage.versions(IMAGES).items() if _PART_NAME.fullmatch(name)}
        keys = [(str(storage.local), name, files[name]) for name in sorted(files, key=_numbers)]
        found = {key: _known[key] for key in keys if key in _known and (_known[key].checked or not check_ids)}
        new = [key for key in keys if key not in found]
        try:
            answers = in_threads(storage, lambda key: _open(storage, key[1], key[2], check_ids), new)
            opened = dict(zip(new, answers, strict=True))
            break
        except FileGoneError:
            if attempt + 1 == _LISTINGS:
                raise
    found |= {key: part for key, part in opened.items() if isinstance(part, Part)}
    if len(_known) > _MOST_KNOWN:
        _known.clear()
    _known.update(found)
    return PartList(
        parts=[replace(found[key], storage=storage) for key in keys if key in found],
        broken={key[1]: why for key, why in opened.items() if isinstance(why, str)},
    )


def in_threads(storage: Storage, request: Callable[[A], T], each: Iterable[A]) -> list[T]:
    """What a small request answers for each, in order, as many at a time as suits the storage."""
    with ThreadPoolExecutor(_THREADS[storage.is_local]) as pool:
        return list(pool.map(request, each))


def _open(storage: Storage, name: str, version: str, check_ids: bool) -> Part | str:
    """A part, or what is wrong with its file."""
    try:
        with storage.open_parquet(name, version) as file:
            metadata = (file.metadata.metadata or {}).get(_METADATA_KEY)  # schema_arrow would double the time
            arrow = file.metadata.metadata[_SCHEMA_KEY] if metadata else b""
            columns = _read_columns(arrow) if metadata else pa.schema([])
            rows = file.metadata.num_rows
            if check_ids:
                file.read(columns=_IDS)
    except BrokenFileError as error:
        return str(error)
    said = _read_metadata(metadata, arrow) if metadata else None
    if said is None:
        return f"{storage.uri}/{name} does not say which modules wrote it"
    modules, replaces = said
    return Part(
        storage=storage,
        name=name,
        version=version,
        rows=rows,
        modules=modules,
        replaces=replaces,
        columns=columns,
        checked=check_ids,
    )


def modules_said(file: pq.ParquetFile) -> Mapping[str, ModuleState]:
    """The modules that an open file of OUT says its rows are of."""
    said = _read_metadata((file.metadata.metadata or {}).get(_METADATA_KEY, b""), b"")
    return said[0] if said is not None else {}


@functools.lru_cache(maxsize=256)
def _read_metadata(metadata: bytes, arrow: bytes) -> tuple[Mapping[str, ModuleState], tuple[str, ...]] | None:
    """The modules of a part file, the same in all files of a run, and what it replaces; None if it is not ours."""
    try:
        found = json.loads(metadata)
        modules = {name: ModuleState.from_dict(state) for name, state in found["modules"].items()}
        for name, state in modules.items():  # of an older version: landed lists have no size, and its were called so
            if state.vectors is None:
                modules[name] = replace(state, vectors=_older_vectors(_read_columns(arrow), name, state.model))
        return modules, tuple(found.get("replaces", ()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _older_vectors(columns: pa.Schema, module: str, model: schema.ModelInfo | None) -> dict[str, int]:
    if module not in columns.names or model is None or model.dim < 1:
        return {}
    sized = pa.list_(pa.float32(), model.dim)

    def declared(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_struct(kind):
            fields = [kind.field(i) for i in range(kind.num_fields)]
            return pa.struct([f.with_type(sized if f.name == "embedding" else declared(f.type)) for f in fields])
        return pa.list_(declared(kind.value_type)) if pa.types.is_list(kind) else kind

    return schema.vector_fields(declared(columns.field(module).type))


@functools.lru_cache(maxsize=256)
def _read_columns(serialized: bytes) -> pa.Schema:
    """A part file's columns, the same in all files of a run."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(serialized))).remove_metadata()


def write_table(
    storage: Storage,
    name: str,
    table: pa.Table,
    modules: Mapping[str, ModuleState] | None = None,
    replaces: Sequence[str] = (),
) -> None:
    """Write a Parquet file that is complete or absent, and says which modules computed its columns."""
    said: dict[str, Any] = {"modules": {n: s.as_dict() for n, s in (modules or {}).items()}}
    if replaces:
        said["replaces"] = list(replaces)
    write = functools.partial(
        pq.write_table,
        table.replace_schema_metadata({_METADATA_KEY: json.dumps(said).encode()}),
        compression="zstd",
        row_group_size=_ROW_GROUP,
        use_dictionary=False,  # ids and vectors gain nothing of it: smaller, and written 4 times as fast
        write_page_checksum=True,  # tells damage from data
    )
    storage.write_with(name, write)

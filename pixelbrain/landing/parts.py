"""Part files: what one run landed, complete or absent, with what computed it in its metadata."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pixelbrain import schema
from pixelbrain.storage.base import BrokenFileError, FileGoneError, Storage

__all__ = ["IMAGES", "ModuleState", "Part", "PartList", "latest_generation", "list_parts", "part_name", "write_table"]

#: The folder of OUT that holds the part files.
IMAGES = "images"

_METADATA_KEY = b"pixelbrain"
_PART_NAME = re.compile(r"part-(\d{6})-(\d{8})-(\d{3,})\.parquet")
_READERS = {True: 4, False: 32}  # threads that open footers, by whether they lie on a disk: of S3 most is waiting
_LISTINGS = 3  # files that vanish while their footers are read, as `pixelbrain compact` makes them, are listed anew


@dataclass(frozen=True, kw_only=True)
class ModuleState:
    """What computed a module's column."""

    settings: dict[str, Any]
    model: schema.ModelInfo | None

    @functools.cached_property
    def settings_hash(self) -> str:
        """Equal exactly for equal settings."""
        return schema.settings_hash(self.settings)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"settings": self.settings, "model": self.model.as_dict() if self.model else None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModuleState:
        """Back from JSON."""
        return cls(settings=data["settings"], model=schema.ModelInfo(**data["model"]) if data["model"] else None)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part file."""

    storage: Storage
    name: str  # relative to OUT
    generation: int  # of the run that wrote it; a higher one is newer
    block: int
    piece: int
    rows: int
    modules: Mapping[str, ModuleState]  # the struct columns that it holds; shared by all parts of one run

    def open(self) -> contextlib.AbstractContextManager[pq.ParquetFile]:
        """Open it for reading. Raises as `Storage.open_parquet` does."""
        return self.storage.open_parquet(self.name)

    def __str__(self) -> str:
        return f"{self.storage.uri}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class PartList:
    """The part files of an OUT."""

    parts: list[Part] = field(default_factory=list)  # in the order in which their images were listed
    broken: dict[str, str] = field(default_factory=dict)  # names of those that cannot be read, and why


def part_name(generation: int, block: int, piece: int) -> str:
    """The file of a piece of a run's block of work."""
    return f"{IMAGES}/part-{generation:06d}-{block:08d}-{piece:03d}.parquet"


def latest_generation(storage: Storage) -> int:
    """The highest generation that a file is named after, be it broken; 0 if there is none."""
    return max((int(match[1]) for name in storage.names(IMAGES) if (match := _PART_NAME.fullmatch(name))), default=0)


def list_parts(storage: Storage) -> PartList:
    """Open the footers of all part files.

    Returns:
        The parts, and apart from them what a power loss left of its last files: what they held counts as not landed.

    Raises:
        LandingError: OUT cannot be read.
    """
    for attempt in range(_LISTINGS):
        found = [(name, match) for name in storage.names(IMAGES) if (match := _PART_NAME.fullmatch(name))]
        found.sort(key=lambda item: [int(number) for number in item[1].groups()])
        try:
            with ThreadPoolExecutor(_READERS[storage.is_local]) as pool:
                opened = list(pool.map(lambda item: _open(storage, f"{IMAGES}/{item[0]}", item[1]), found))
            break
        except FileGoneError:
            if attempt + 1 == _LISTINGS:
                raise
    return PartList(
        parts=[part for part in opened if isinstance(part, Part)],
        broken={f"{IMAGES}/{name}": o for (name, _), o in zip(found, opened, strict=True) if isinstance(o, str)},
    )


def _open(storage: Storage, name: str, match: re.Match[str]) -> Part | str:
    """A part, or what is wrong with its file."""
    try:
        with storage.open_parquet(name) as file:
            metadata = (file.metadata.metadata or {}).get(_METADATA_KEY)  # schema_arrow would double the time
            rows = file.metadata.num_rows
    except BrokenFileError as error:
        return str(error)
    modules = _read_states(metadata) if metadata else None
    if modules is None:
        return f"{storage.uri}/{name} does not say which modules wrote it"
    generation, block, piece = (int(number) for number in match.groups())
    return Part(storage=storage, name=name, generation=generation, block=block, piece=piece, rows=rows, modules=modules)


@functools.lru_cache(maxsize=256)
def _read_states(metadata: bytes) -> Mapping[str, ModuleState] | None:
    """The modules of a part file's metadata, which is the same in all files of a run; None if it is not ours."""
    try:
        return {name: ModuleState.from_dict(state) for name, state in json.loads(metadata)["modules"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def write_table(storage: Storage, name: str, table: pa.Table, modules: Mapping[str, ModuleState] | None = None) -> None:
    """Write a Parquet file that is complete or absent, and says which modules computed its columns."""
    states = {n: s.as_dict() for n, s in (modules or {}).items()}
    storage.write_table(name, table, {_METADATA_KEY: json.dumps({"modules": states}).encode()})

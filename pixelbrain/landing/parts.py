"""Part files: what one run landed, complete or absent, with what computed it in its metadata."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pixelbrain import schema
from pixelbrain.errors import LandingError

__all__ = ["ModuleState", "Part", "list_parts", "part_name", "write_table"]

_METADATA_KEY = b"pixelbrain"
_PART_NAME = re.compile(r"part-(\d{6})-(\d{8})-(\d{3})\.parquet")


@dataclass(frozen=True, kw_only=True)
class ModuleState:
    """What computed a module's column."""

    settings: dict[str, Any]
    model: schema.ModelInfo | None

    @property
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

    path: Path
    generation: int  # of the run that wrote it; a higher one is newer
    rows: int
    modules: Mapping[str, ModuleState]  # the struct columns that it holds


def part_name(generation: int, block: int, piece: int) -> str:
    """The file of a run's block of work: a block that is done again writes over its own files."""
    return f"part-{generation:06d}-{block:08d}-{piece:03d}.parquet"


def list_parts(folder: Path) -> list[Part]:
    """The part files in a folder, in the order in which their images were listed.

    Raises:
        LandingError: a file cannot be read as one of ours.
    """
    if not folder.is_dir():
        return []
    parts = []
    for name in sorted(os.listdir(folder)):
        match = _PART_NAME.fullmatch(name)
        if match:
            parts.append(_open(folder / name, int(match[1])))
    return parts


def _open(path: Path, generation: int) -> Part:
    try:
        found = pq.read_metadata(path)
        modules = json.loads((found.metadata or {})[_METADATA_KEY])["modules"]
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise LandingError(
            f"{path} is not a part file of Pixelbrain ({type(error).__name__}: {error}); "
            "move it away, and the next run computes its rows again"
        ) from None
    return Part(
        path=path,
        generation=generation,
        rows=found.num_rows,
        modules={name: ModuleState.from_dict(state) for name, state in modules.items()},
    )


def write_table(table: pa.Table, path: Path, modules: Mapping[str, ModuleState] | None = None) -> None:
    """Write a Parquet file that is complete or absent: under a temporary name, flushed to disk, then renamed."""
    metadata = {_METADATA_KEY: json.dumps({"modules": {n: s.as_dict() for n, s in (modules or {}).items()}})}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            pq.write_table(table.replace_schema_metadata(metadata), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise LandingError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)

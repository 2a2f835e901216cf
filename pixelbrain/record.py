"""OUT/run.json: what was asked, with which versions, and what each stage did in what time."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from pixelbrain.errors import LandingError
from pixelbrain.locks.run import RunLock
from pixelbrain.storage.base import Storage
from pixelbrain.storage.open import open_storage

_NAME = "run.json"
_VERSIONS = ("pixelbrain", "ray", "torch", "torchvision", "facenet-pytorch", "pymongo", "chromadb", "pyarrow", "pillow")


def read_record(out: str | Path | Storage) -> dict[str, Any]:
    """The record of OUT; empty before the first stage.

    Raises:
        LandingError: it is there and not JSON, or OUT cannot be read.
    """
    storage = open_storage(out)
    found = storage.read(_NAME)
    try:
        return json.loads(found) if found is not None else {}
    except ValueError as error:
        raise LandingError(f"cannot read {storage.uri}/{_NAME}: {error}; delete it, it is only a record") from None


def write_stage(
    out: str | Path | Storage, stage: str, figures: Mapping[str, Any], *, settings: Mapping[str, Any]
) -> None:
    """Add a stage's figures; what the other stages wrote is kept.

    Raises:
        LandingError: OUT cannot be read or written.
        OutLockedError: another process works on OUT, and writes it.
    """
    storage = open_storage(out)
    with RunLock(storage, what=stage):
        _write_stage(storage, stage, figures, settings)


def _write_stage(storage: Storage, stage: str, figures: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    record = read_record(storage)
    record["settings"] = {**record.get("settings", {}), **settings}
    record["versions"] = {"python": platform.python_version(), **{n: metadata.version(n) for n in _VERSIONS}}
    finished = datetime.now(timezone.utc).isoformat(timespec="seconds")
    record.setdefault("stages", {})[stage] = {**figures, "finished": finished}
    storage.write(_NAME, (json.dumps(record, indent=2) + "\n").encode())

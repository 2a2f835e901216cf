"""OUT/run.json: what was asked, with which versions, and what each stage did in what time."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from pixelbrain.errors import LandingError

__all__ = ["read_record", "write_stage"]

_VERSIONS = ("pixelbrain", "ray", "torch", "torchvision", "facenet-pytorch", "pymongo", "chromadb", "pyarrow", "pillow")


def read_record(out: str | Path) -> dict[str, Any]:
    """The record of OUT; empty before the first stage.

    Raises:
        LandingError: it is there and not JSON.
    """
    path = _path(out)
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise LandingError(f"cannot read {path}: {error}; delete it, it is only a record") from None


def write_stage(out: str | Path, stage: str, figures: Mapping[str, Any], *, settings: Mapping[str, Any]) -> None:
    """Add a stage's figures; what the other stages wrote is kept."""
    record = read_record(out)
    record["settings"] = {**record.get("settings", {}), **settings}
    record["versions"] = {"python": platform.python_version(), **{n: metadata.version(n) for n in _VERSIONS}}
    finished = datetime.now(timezone.utc).isoformat(timespec="seconds")
    record.setdefault("stages", {})[stage] = {**figures, "finished": finished}
    path = _path(out)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise LandingError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _path(out: str | Path) -> Path:
    return Path(out).expanduser().absolute() / "run.json"

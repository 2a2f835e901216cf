"""What a job must not carry: secrets, which Ray shows to whoever may list jobs, and files that stay behind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixelbrain.config import mask_uri
from pixelbrain.errors import ConfigError

_SECRET_NAME = re.compile(r"(^|_)(API)?(KEY|TOKEN|SECRET|PASS(WORD|WD)?|CREDENTIALS?)(_|$)", re.IGNORECASE)
_URI = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def check_secret(what: str, value: str, variable: str | None = None) -> None:
    """Raises `ConfigError` for a URI with a secret in it; `variable` of the nodes' environment can hold it instead."""
    if _URI.match(value) and mask_uri(value) != value:
        instead = f"set {variable} in the nodes' environment" if variable else "leave it to the nodes' environment"
        raise ConfigError(
            f"{what} {mask_uri(value)} holds a secret, and whoever may list jobs could read it: {instead}"
        )


def read_runtime_env(path: str | Path) -> dict[str, Any]:
    """Ray's runtime environment in a YAML file; raises `ConfigError` also for what looks like a secret in it."""
    import yaml

    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the runtime environment {path}: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # such as a date that no calendar has
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is no runtime environment: write lines such as `working_dir: .`")
    check_runtime_env(found, where=str(path))
    return found


def check_runtime_env(runtime_env: Mapping[str, Any], *, where: str) -> None:
    """Raises `ConfigError` for variables that look like secrets by their name, and for URIs that hold one."""
    variables = runtime_env.get("env_vars") or {}
    if not isinstance(variables, Mapping):
        raise ConfigError(f"{where}: env_vars is {variables!r}: it has names and values")
    for name in variables:
        if _SECRET_NAME.search(str(name)) or name in ("PIXELBRAIN_MONGO", "PIXELBRAIN_CHROMA"):
            raise ConfigError(
                f"{where}: env_vars names {name}, which whoever may list jobs could read: set {name} in the nodes' "
                "environment"
            )
    for value in _texts(runtime_env):
        for word in value.split():
            check_secret(f"{where}:", word)


def check_local_file(what: str, path: str, working_dir: str | None, *, instead: str = "`--working-dir .`") -> None:
    """Raises `ConfigError`, with the way out, for a file of this machine that the working directory does not bring."""
    if Path(path).is_absolute():  # on the nodes, which only they know
        return
    if working_dir is None:
        raise ConfigError(f"{what} {path} is on this machine alone, and does not go along: {instead}")
    if Path(working_dir).is_dir() and not (Path(working_dir) / path).exists():
        raise ConfigError(f"{what} {path} is not in {working_dir}, which is all that goes along: name it from there")


def check_out(out: str) -> None:
    """Raises `ConfigError` for a relative OUT: in a job that is a copy of the working directory, which Ray deletes."""
    if "://" not in out and not Path(out).is_absolute():
        raise ConfigError(
            f"OUT is {out}: a job's own folder is deleted after it, so name s3://bucket/prefix, or the full path of a "
            "folder that all nodes share"
        )


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return [text for part in parts for text in _texts(part)]

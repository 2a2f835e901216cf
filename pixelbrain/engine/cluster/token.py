"""Ray's token: where it is looked for, and a new one where a Ray of ours starts and there is none."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from pixelbrain.errors import EngineError
from pixelbrain.machine import cache_folder

_DEFAULT = Path("~/.ray/auth_token")
_WAY_OUT = "put the cluster's into RAY_AUTH_TOKEN, or the path of a file that holds it into RAY_AUTH_TOKEN_PATH"


@dataclass(frozen=True)
class Token:
    """A token, and where it was found."""

    value: str = field(repr=False)
    source: str


def find_token() -> Token | None:
    """The token that Ray would take, looked for where Ray does: two variables, then `~/.ray/auth_token`."""
    if value := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return Token(value, "RAY_AUTH_TOKEN")
    if path := os.environ.get("RAY_AUTH_TOKEN_PATH"):
        value = _read(Path(path))
        if not value:  # Ray would end the process here
            raise EngineError(f"RAY_AUTH_TOKEN_PATH is {path}: no such file, or it is empty, or not ours to read")
        return Token(value, f"RAY_AUTH_TOKEN_PATH, {path}")
    if value := _read(_DEFAULT):
        return Token(value, "~/.ray/auth_token")
    if value := _read(_fallback()):
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(_fallback())  # Ray knows nothing of this place
        return Token(value, str(_fallback()))
    return None


def ensure_token() -> None:
    """A token for a Ray that starts here, new if there is none: readable by this user alone."""
    if find_token() is not None:
        return
    path = Path(os.path.expanduser(_DEFAULT))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(path.parent, os.W_OK)
    except OSError:
        writable = False
    if not writable or not path.is_absolute():  # a home that is not ours, or none
        path = _fallback()
        path.parent.mkdir(parents=True, exist_ok=True)
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
    with contextlib.suppress(FileExistsError):  # another command was quicker: its token is as good
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))


def refused(where: str, token: Token | None) -> EngineError:
    """The error that says that `where` did not take this token, or wants one."""
    if token is None:
        return EngineError(f"{where} wants a token, and there is none here: {_WAY_OUT}")
    return EngineError(f"{where} refuses the token of {token.source}: {_WAY_OUT}")


def _fallback() -> Path:
    return cache_folder() / "pixelbrain" / "ray_auth_token"


def _read(path: Path) -> str:
    try:
        return Path(os.path.expanduser(path)).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""

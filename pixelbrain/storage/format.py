"""The format of an OUT: an older one is read, a newer one is refused before anything in it is misunderstood."""

from __future__ import annotations

import json
from importlib import metadata

from pixelbrain.errors import LandingError, NewerFormatError
from pixelbrain.storage.base import Storage

#: 1, which no file says: without `taken_at`, `faces`, and the promise that any program can read `images`. 2: with them.
FORMAT = 2

_NAME = "format.json"


def check_format(storage: Storage) -> int:
    """The format of OUT; 1 where none is said.

    Raises `NewerFormatError` of a later Pixelbrain's, and `LandingError`.
    """
    found = storage.read(_NAME)
    if found is None:
        return 1
    try:
        said = json.loads(found)
        number, by = int(said["format"]), said.get("written_by", "a later Pixelbrain")
    except (ValueError, TypeError, KeyError):
        raise LandingError(
            f"{storage.uri}/{_NAME} does not say a format: delete it, and the next run writes it"
        ) from None
    if number > FORMAT:
        raise NewerFormatError(
            f"{storage.uri} is of format {number}, by {by}; this is {_us()}, which reads formats up to {FORMAT}: "
            "pip install --upgrade pixelbrain"
        )
    return number


def has_format(storage: Storage) -> bool:
    """Whether a format is said: of an OUT in which something has landed, whatever was taken out since."""
    return storage.read(_NAME) is not None


def write_format(storage: Storage) -> None:
    """Say that from now on OUT is of this format. Raises as `check_format` does."""
    if check_format(storage) < FORMAT:
        storage.write(_NAME, json.dumps({"format": FORMAT, "written_by": _us()}).encode())


def _us() -> str:
    return f"pixelbrain {metadata.version('pixelbrain')}"

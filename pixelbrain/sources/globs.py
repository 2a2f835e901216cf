"""Globs: which of what is below a folder or a prefix is meant, by names with wildcards."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from pixelbrain.errors import SourceError
from pixelbrain.storage.s3_uri import S3_SCHEME

_MAGIC = re.compile(r"[*?[]")
_ANY_FOLDERS = "**"
_BRACES = re.compile(r"\{([^{}]*)\}")
_MANY = re.compile(r",|^\d+\.\.\d+$")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST = 100_000


class Glob:
    """A path or key with wildcards, as shells have them: `*`, `?` and `[a-z]` in a name, `**` for any folders.

    A folder that is meant is searched with all below it, as one that is named. `place` is such as
    `photos/2026-*/**/*.jpg`, or `s3://bucket/` and a key like that.
    """

    what = "a glob"

    def __init__(self, place: str) -> None:
        first = found.start() if (found := _MAGIC.search(place)) else len(place)
        cut = place.rfind("/", 0, first) + 1
        #: The folder or prefix that it is below: `photos`, `s3://bucket/`; "" is the current folder.
        self.base = place[:cut]
        #: What stands before the first wildcard: all that is meant begins so.
        self.literal = place[:first]
        names = place[cut:].split("/")
        # with a slash at its end, folders are meant: what is in them
        self._names = [name for name in names if name] + (["*"] if not names[-1] else [])

    def matches(self, rest: str) -> bool:
        """Whether a path below `base`, or a folder that it is in, is meant."""
        return _matches([name for name in rest.split("/") if name], self._names)

    def enters(self, rest: str) -> bool:
        """Whether there can be such a path below a folder below `base`."""
        return _enters(rest.split("/"), self._names)


class Flat(Glob):
    """What is in a folder or prefix itself, and not in folders below it."""

    what = "a flat folder"

    def __init__(self, place: str) -> None:
        self.base = self.literal = place

    def matches(self, rest: str) -> bool:
        """Whether it is in the folder itself."""
        return "/" not in rest.removeprefix("/")

    def enters(self, rest: str) -> bool:
        """No folder."""
        return False


def expand_braces(place: str) -> list[str]:
    """What shells make of braces: `a-{000..146}.tar` and `{cats,dogs}/*.jpg`, as webdataset has them in quotes, too.

    A `normal_source` that is there under its very name is what it is. Raises `SourceError` of more than 100,000 names.
    """
    found, left = [], [place]
    while left:
        one = left.pop()
        braces = next((braces for braces in _BRACES.finditer(one) if _MANY.search(braces[1])), None)
        if braces is None or os.path.lexists(one):
            found.append(one)
            continue
        names = _between(*ends.groups()) if (ends := _RANGE.fullmatch(braces[1])) else braces[1].split(",")
        left += [one[: braces.start()] + name + one[braces.end() :] for name in reversed(names)]
        if len(left) + len(found) > _MOST:
            raise SourceError(f"the braces in {place[:200]} mean more than {_MOST:,} names")
    return [*dict.fromkeys(found)]


def _between(first: str, last: str) -> list[str]:
    """Numbers from one to another; if one begins with 0, all are as long as the longer one."""
    padded = any(len(end) > 1 and end.startswith("0") for end in (first, last))
    width = max(len(first), len(last)) if padded else 0
    start, stop = int(first), int(last)
    step = 1 if stop >= start else -1
    return [f"{number:0{width}}" for number in range(start, stop + step, step)[: _MOST + 1]]


def is_glob(place: str) -> bool:
    """Whether a `normal_source` has wildcards, and is not there under this very name.

    Of S3 and its like, nobody can tell, and `?` and `[` are letters of keys as any others: a glob has a `*`.
    """
    if place.startswith((S3_SCHEME, "gs://", "az://")):
        return "*" in place
    folder, name = os.path.split(place)
    if not _MAGIC.search(name) and os.path.isdir(folder):  # of a folder that is called so
        return False
    return bool(_MAGIC.search(place)) and "://" not in place and not os.path.lexists(place)


def _matches(parts: Sequence[str], names: Sequence[str]) -> bool:
    if not names:
        return True
    if names[0] == _ANY_FOLDERS:
        return any(_matches(parts[skipped:], names[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], names[0]) and _matches(parts[1:], names[1:])


def _enters(parts: Sequence[str], names: Sequence[str]) -> bool:
    if not parts or not names or names[0] == _ANY_FOLDERS:
        return True
    return fnmatchcase(parts[0], names[0]) and _enters(parts[1:], names[1:])

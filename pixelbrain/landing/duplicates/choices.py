"""What somebody chose among photos that are alike: small files, appended, by photo and version."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from pixelbrain.errors import ConfigError
from pixelbrain.landing.said.events import EventLog, active, holds, parse_event, whoami
from pixelbrain.locks.run import waiting
from pixelbrain.storage.base import Storage

Kind = Literal["keep", "drop", "best", "apart", "undo"]

#: The folder of OUT that holds them.
CHOICES = "duplicates/choices"


@dataclass(frozen=True, kw_only=True)
class PhotoRef:
    """A photo, so that it is known again after a new run, and where it was moved or touched."""

    image_id: str
    version: str
    sha256: str | None = None  # of its bytes; None: not known


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One choice.

    | kind | what it says of `photos` |
    | --- | --- |
    | keep, drop | each is to be kept, or dropped |
    | best | the first is better than the others, which are dropped unless they are kept by a choice of their own |
    | apart | no two of them are duplicates |
    | undo | `undoes` is taken back |
    """

    kind: Kind
    number: int = 0  # its place in the order of all; 0: not written yet
    at: str = ""  # UTC, ISO 8601
    by: str = ""
    photos: tuple[PhotoRef, ...] = ()
    undoes: int | None = None

    def to_json(self) -> bytes:
        """As it is written."""
        told = {name: value for name, value in asdict(self).items() if value not in (None, ()) or name == "by"}
        return (json.dumps(told, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, name: str) -> Choice:
        """Raises `LandingError` for what is no choice, or is one of a later version."""

        def make(told: dict[str, Any]) -> Choice:
            return cls(**{**told, "photos": tuple(PhotoRef(**one) for one in told.get("photos", ()))})

        return parse_event(data, name, "choice among photos", get_args(Kind), make)


class ChoiceLog(EventLog[Choice]):
    """The choices of an OUT. Several who choose at a time, also on several machines, lose nothing.

    Args:
        storage: of OUT.
        by: who chooses; the user of this machine by default.
        wait_s: in S3, how long to wait for others that work on OUT; on a disk nobody has to.
    """

    def __init__(self, storage: Storage, *, by: str | None = None, wait_s: float = 15.0) -> None:
        super().__init__(storage, CHOICES, Choice.from_json)
        self._by = whoami() if by is None else by
        self._wait_s = wait_s

    def choose(self, kind: Kind, photos: Sequence[PhotoRef]) -> Choice:
        """Raises `OutLockedError`, and `LandingError` if OUT cannot be read or written."""
        return self._write(Choice(kind=kind, photos=tuple(photos), by=self._by))

    def undo(self, number: int) -> Choice:
        """Take a choice back, also an undo. Raises `ConfigError` where there is none that holds, and as above."""
        choices = self.read()
        found = next((one for one in choices if one.number == number), None)
        if found is None:
            raise ConfigError(f"there is no choice {number}")
        if not holds(choices, found):
            raise ConfigError(f"choice {number} is taken back already")
        return self._write(Choice(kind="undo", undoes=number, by=self._by))

    def replace(self, choice: Choice, photos: Sequence[PhotoRef]) -> None:
        """It is about these photos alone, for good; of a best one that goes, about none. For who holds OUT's lock."""
        stays = photos if choice.kind != "best" or choice.photos[:1] == tuple(photos[:1]) else ()
        data = dataclasses.replace(choice, photos=tuple(stays)).to_json()
        self._storage.write(self.path(choice.number), data)

    def last(self) -> Choice | None:
        """The last one that holds."""
        held = active(self.read())
        return held[-1] if held else None

    def _write(self, choice: Choice) -> Choice:
        # a file of a disk is made by one of those who want its number; there are servers of S3 that tell nobody
        local = self._storage.is_local
        with contextlib.nullcontext() if local else waiting(self._storage, what="choices", wait_s=self._wait_s):
            while True:
                before = self.read()
                if (written := self.append(choice, before[-1].number if before else 0)) is not None:
                    return written


class Places:
    """Where the photos that choices are about are, among some that are there.

    A photo is the one that is called and versioned so; else, of the same bytes, the one of that name, or the only one
    that no choice names.

    Args:
        ids, versions, hashes: of each photo that is there; a hash may be None.
        choices: those that hold.
    """

    def __init__(
        self, ids: Sequence[str], versions: Sequence[str], hashes: Sequence[str | None], choices: Iterable[Choice]
    ) -> None:
        at = {pair: row for row, pair in enumerate(zip(ids, versions, strict=True))}
        refs = {ref for choice in choices for ref in choice.photos}
        self._place: dict[PhotoRef, int] = {
            ref: at[ref.image_id, ref.version] for ref in refs if (ref.image_id, ref.version) in at
        }
        left = [ref for ref in refs if ref not in self._place and ref.sha256]
        wanted, taken = {ref.sha256 for ref in left}, set(self._place.values())
        of_bytes: dict[str | None, list[int]] = {}
        for row, sha256 in enumerate(hashes if left else ()):
            if sha256 in wanted and row not in taken:
                of_bytes.setdefault(sha256, []).append(row)
        for ref in left:
            rows = of_bytes.get(ref.sha256, [])
            named = [row for row in rows if ids[row] == ref.image_id] or rows
            if len(named) == 1:
                self._place[ref] = named[0]

    def __contains__(self, ref: PhotoRef) -> bool:
        return ref in self._place

    def of(self, choice: Choice) -> list[int]:
        """The places of its photos; of those that are not there, none."""
        return [self._place[ref] for ref in choice.photos if ref in self._place]

    def apart(self, choices: Iterable[Choice]) -> Mapping[int, set[int]]:
        """By place, the numbers of the choices that say of it that it is no duplicate of others."""
        found: dict[int, set[int]] = {}
        for choice in choices:
            for row in self.of(choice) if choice.kind == "apart" else ():
                found.setdefault(row, set()).add(choice.number)
        return found

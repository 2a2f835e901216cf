"""What people said: one small file an event, appended, in one order that all who write agree on."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Generic, Protocol, TypeVar

from pixelbrain.errors import LandingError
from pixelbrain.storage.base import Storage

_DIGITS = 8  # names sort as their numbers do
_MANY = 64  # so many more than the snapshot has are read one by one
_THREADS = {True: 4, False: 32}  # by whether it is a disk: of S3 most is waiting


class Said(Protocol):
    """An event: a frozen dataclass with these fields, and `at`, the time."""

    @property
    def kind(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def undoes(self) -> int | None: ...
    def to_json(self) -> bytes: ...


E = TypeVar("E", bound=Said)


class EventLog(Generic[E]):
    """The events of a folder of OUT; what was read of them is kept.

    Their files are the truth. What a snapshot has of them counts while it is of the version of the file that is there.

    Args:
        storage: of OUT.
        folder: of the files.
        parse: a file's bytes and its name, for messages, to the event; raises `LandingError`.
    """

    def __init__(self, storage: Storage, folder: str, parse: Callable[[bytes, str], E]) -> None:
        self._storage, self._folder, self._parse = storage, folder, parse
        self._snapshot_name = f"{folder}.snapshot"  # of all up to some time: of many in S3 a few objects are read
        self._known: dict[tuple[str, str], E] = {}  # by name and version of the file
        self._loose = 0  # how many of them no snapshot had

    def read(self) -> list[E]:
        """All of them, in their order. Raises `LandingError`."""
        there = [one for one in self._storage.versions(self._folder).items() if one[0].endswith(".json")]
        known = self._known
        if sum(one not in known for one in there) > _MANY:
            known = self._snapshot() | known
        new = [one for one in there if one not in known]
        if new:
            self._loose = len(new)
            with ThreadPoolExecutor(_THREADS[self._storage.is_local]) as pool:
                known = known | dict(zip(new, pool.map(self._read, [name for name, _ in new]), strict=True))
        self._known = {one: known[one] for one in there}
        return list(self._known.values())

    def append(self, event: E, after: int) -> E | None:
        """Write it as the one that follows number `after`; None: somebody else's does, to be read first."""
        number, at = after + 1, datetime.now(timezone.utc).isoformat(timespec="seconds")
        written = replace(event, number=number, at=at)  # type: ignore[type-var]
        if not self._storage.create(self.path(number), written.to_json()):
            return None
        if self._loose > _MANY:  # who appends holds OUT's lock
            told = [[*key, known.to_json().decode()] for key, known in self._known.items()]
            self._storage.write(self._snapshot_name, json.dumps(told).encode())
            self._loose = 0
        return written

    def path(self, number: int) -> str:
        """The file of an event."""
        return f"{self._folder}/{number:0{_DIGITS}}.json"

    def _snapshot(self) -> dict[tuple[str, str], E]:
        try:
            told = json.loads(self._storage.read(self._snapshot_name) or b"[]")
            return {(name, version): self._parse(text.encode(), name) for name, version, text in told}
        except (ValueError, TypeError, AttributeError, LandingError):  # of another version: the files have it all
            return {}

    def _read(self, name: str) -> E:
        path = f"{self._folder}/{name}"
        return self._parse(self._storage.read(path) or b"", f"{self._storage.uri}/{path}")


def parse_event(data: bytes, name: str, what: str, kinds: Collection[str], make: Callable[[dict[str, Any]], E]) -> E:
    """An event of a file's bytes.

    Args:
        data: JSON of a dict with a `kind`.
        name: of the file, for messages.
        what: the kind of event, for messages.
        kinds: those that are known.
        make: what was read, to the event.

    Raises:
        LandingError: it is no event, or one of a later version.
    """
    try:
        told = json.loads(data)
        if told["kind"] not in kinds:
            raise LandingError(f"{name} is a {what} of a later Pixelbrain ({told['kind']}): update this one")
        return make(told)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise LandingError(f"{name} is no {what}: move it away, or put it back from a copy") from None


def active(events: Iterable[E]) -> list[E]:
    """Those that hold: without those that were undone, and the undos. An undo can be undone."""
    events = list(events)
    undone: set[int] = set()
    for event in reversed(events):  # whatever undoes an event comes after it
        if event.kind == "undo" and event.number not in undone and event.undoes is not None:
            undone.add(event.undoes)
    return [event for event in events if event.kind != "undo" and event.number not in undone]


def holds(events: Iterable[E], event: E) -> bool:
    """Whether an event, also an undo, is not undone."""
    return not any(e.kind == "undo" and e.undoes == event.number and holds(events, e) for e in events)


def whoami() -> str:
    """The name of this user, for events."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        return ""

"""What people said about people: one small file an event, appended, in one order that all who write agree on."""

from __future__ import annotations

import getpass
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Literal, get_args

from pixelbrain.errors import LandingError, PeopleError
from pixelbrain.storage.base import Storage

Kind = Literal["name", "hide", "unhide", "merge", "apart", "split", "assign", "unassign", "reject", "later", "undo"]

#: The folder of OUT that holds them.
EVENTS = "people/events"
#: What is said of one person, and of nobody else's faces.
OF_ONE = ("name", "hide", "unhide")
#: The key of `Event.faces` for faces that are nobody's.
NOBODY = ""

#: Of all up to some time, in one file, so that of many in S3 a few objects are read.
SNAPSHOT = "people/events.snapshot"

_DIGITS = 8  # names sort as their numbers do
_MANY = 64  # so many more than the snapshot has are read one by one
_THREADS = {True: 4, False: 32}  # by whether it is a disk: of S3 most is waiting


@dataclass(frozen=True, kw_only=True)
class FaceRef:
    """A face, so that it is found again: after another detection, by another embedder, or where its photo moved."""

    image_id: str
    sha256: str | None  # of the photo's bytes; None: not known
    version: str  # of the photo
    box: tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the upright original
    face_id: str  # as it was called then: a hint among equals

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> FaceRef:
        """Of JSON."""
        x1, y1, x2, y2 = (float(one) for one in value["box"])
        return cls(**{**value, "box": (x1, y1, x2, y2)})


@dataclass(frozen=True, kw_only=True)
class Event:
    """One correction.

    What `person`, `others` and `faces` (by the person whose they are, most typical first) say:

    | kind | person | others | faces |
    | --- | --- | --- | --- |
    | name, hide, unhide | who | | some of it |
    | merge | who stays | who are the same | some of each |
    | apart | one | who is not the same, if it is no face | some of each; the face that is not `person`'s, of `NOBODY` |
    | later | one | who may be the same | the face in question, of `NOBODY` |
    | split | who is new | whose the faces were | the new one's, and some of what stays |
    | assign | who | | the faces |
    | unassign, reject | | | the faces, of `NOBODY` |
    """

    kind: Kind
    number: int = 0  # its place in the order of all; 0: not written yet
    at: str = ""  # UTC, ISO 8601
    by: str = ""
    person: str | None = None
    others: tuple[str, ...] = ()
    name: str | None = None  # of name; "": none any more
    undoes: int | None = None  # of undo: another event's number
    faces: Mapping[str, Sequence[FaceRef]] = field(default_factory=dict)

    @property
    def people(self) -> tuple[str, ...]:
        """Whom it is about."""
        return (*((self.person,) if self.person else ()), *self.others)

    def to_json(self) -> bytes:
        """As it is written."""
        told = {name: value for name, value in asdict(self).items() if value not in (None, "", (), {}) or name == "by"}
        return (json.dumps(told | ({"name": self.name} if self.kind == "name" else {}), indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, name: str) -> Event:
        """Raises `LandingError` for what is no event, or is one of a later version."""
        try:
            told = json.loads(data)
            if told["kind"] not in get_args(Kind):
                raise LandingError(f"{name} is a correction of a later Pixelbrain ({told['kind']}): update this one")
            told["others"] = tuple(told.get("others", ()))
            told["faces"] = {one: tuple(map(FaceRef.of, refs)) for one, refs in told.get("faces", {}).items()}
            return cls(**told)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise LandingError(f"{name} is no correction of people: move it away, or put it back from a copy") from None

    def __str__(self) -> str:
        what = {
            "name": f'names {self.person} "{self.name}"' if self.name else f"takes the name of {self.person}",
            "merge": f"says that {' and '.join(self.people)} are one",
            "apart": f"says that {' and '.join(self.people)} are not the same"
            if self.others
            else f"says that a face is not {self.person}'s",
            "later": f"puts a question about {' and '.join(self.people)} off",
            "split": f"splits {self.person} from {', '.join(self.others)}",
            "assign": f"gives {len(self.faces.get(self.person or '', ()))} faces to {self.person}",
            "undo": f"takes back {self.undoes}",
            "unassign": f"gives {len(self.faces.get(NOBODY, ()))} faces to nobody",
            "reject": f"says of {len(self.faces.get(NOBODY, ()))} that they are no faces",
        }.get(self.kind, f"{self.kind}s {self.person}")
        if not self.number:
            return f"this {self.kind} {what}"
        return f"event {self.number} ({self.at[:10]}{f', {self.by}' if self.by else ''}) {what}"


class EventLog:
    """The events of an OUT; what was read of them is kept.

    Their files are the truth. What a snapshot has of them counts while it is of the version of the file that is there.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: dict[tuple[str, str], Event] = {}  # by name and version of the file
        self._loose = 0  # how many of them no snapshot had

    def read(self) -> list[Event]:
        """All of them, in their order. Raises `LandingError`."""
        there = [one for one in self._storage.versions(EVENTS).items() if one[0].endswith(".json")]
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

    def append(self, event: Event, after: int) -> Event | None:
        """Write it as the one that follows number `after`; None: somebody else's does, to be read first."""
        number, at = after + 1, datetime.now(timezone.utc).isoformat(timespec="seconds")
        written = replace(event, number=number, at=at)
        name = f"{number:0{_DIGITS}}.json"
        if not self._storage.create(f"{EVENTS}/{name}", written.to_json()):
            return None
        if self._loose > _MANY:  # who appends holds OUT's lock
            told = [[*key, known.to_json().decode()] for key, known in self._known.items()]
            self._storage.write(SNAPSHOT, json.dumps(told).encode())
            self._loose = 0
        return written

    def _snapshot(self) -> dict[tuple[str, str], Event]:
        try:
            told = json.loads(self._storage.read(SNAPSHOT) or b"[]")
            return {(name, version): Event.from_json(text.encode(), name) for name, version, text in told}
        except (ValueError, TypeError, AttributeError, LandingError):  # of another version: the files have it all
            return {}

    def _read(self, name: str) -> Event:
        path = f"{EVENTS}/{name}"
        return Event.from_json(self._storage.read(path) or b"", f"{self._storage.uri}/{path}")


def active(events: Iterable[Event]) -> list[Event]:
    """Those that hold: without those that were undone, and the undos. An undo can be undone."""
    events = list(events)
    undone: set[int] = set()
    for event in reversed(events):  # whatever undoes an event comes after it
        if event.kind == "undo" and event.number not in undone and event.undoes is not None:
            undone.add(event.undoes)
    return [event for event in events if event.kind != "undo" and event.number not in undone]


def undo_of(events: Collection[Event], number: int) -> Event:
    """The event that takes this one back.

    Raises:
        PeopleError: there is none, it is taken back already, or a later one that holds is about whom it made.
    """
    found = next((event for event in events if event.number == number), None)
    if found is None:
        raise PeopleError(f"there is no event {number}: `pixelbrain people history` lists them")
    undos = [event for event in events if event.kind == "undo"]
    holding = [event for event in undos if event.undoes == number and holds(events, event)]
    if holding:
        raise PeopleError(f"event {number} is taken back already, by event {holding[-1].number}: undo that one")
    if found.kind == "split":
        about = [event for event in active(events) if event.number > number and found.person in event.people]
        later = [event for event in about if event.kind not in OF_ONE]  # a name goes with who was made
        if later:
            raise PeopleError(f"{later[-1]}, which {found} made: undo event {later[-1].number} first")
    return Event(kind="undo", undoes=number)


def holds(events: Iterable[Event], event: Event) -> bool:
    """Whether an event, also an undo, is not undone."""
    return not any(e.kind == "undo" and e.undoes == event.number and holds(events, e) for e in events)


def whoami() -> str:
    """The name of this user, for events."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        return ""

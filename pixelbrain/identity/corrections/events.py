"""What people said about people: one small file an event, appended, in one order that all who write agree on."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from pixelbrain.errors import PeopleError
from pixelbrain.landing.said.events import EventLog as Log
from pixelbrain.landing.said.events import active as active
from pixelbrain.landing.said.events import holds as holds
from pixelbrain.landing.said.events import parse_event
from pixelbrain.landing.said.events import whoami as whoami
from pixelbrain.storage.base import Storage

Kind = Literal["name", "hide", "unhide", "merge", "apart", "split", "assign", "unassign", "reject", "later", "undo"]

#: The folder of OUT that holds them.
EVENTS = "people/events"
#: What is said of one person, and of nobody else's faces.
OF_ONE = ("name", "hide", "unhide")
#: The key of `Event.faces` for faces that are nobody's.
NOBODY = ""


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

        def make(told: dict[str, Any]) -> Event:
            told["others"] = tuple(told.get("others", ()))
            told["faces"] = {one: tuple(map(FaceRef.of, refs)) for one, refs in told.get("faces", {}).items()}
            return cls(**told)

        return parse_event(data, name, "correction of people", get_args(Kind), make)

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


class EventLog(Log[Event]):
    """The corrections of an OUT."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage, EVENTS, Event.from_json)


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

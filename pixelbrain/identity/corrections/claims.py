"""What all corrections that hold say together: whose a face is, who are one, and who are not; and contradictions."""

from __future__ import annotations

import collections
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pixelbrain.errors import ContradictionError
from pixelbrain.identity.corrections.events import NOBODY, OF_ONE, Event, FaceRef, active


@dataclass(frozen=True, kw_only=True)
class FaceClaim:
    """Of one face, the person whose it is."""

    person: str  # `NOBODY`: nobody's
    event: Event
    # Somebody pointed at this very face. Else it only stood for its person when something was said of that: it goes
    # where its person goes, unless somebody pointed at it.
    explicit: bool

    @property
    def rejected(self) -> bool:
        """Whether it is no face."""
        return self.event.kind == "reject"


class Claims:
    """All events, in their order, as one statement: those that hold, see `events.active`.

    Raises:
        ContradictionError: A is B, and A is not B.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = active(events)
        self.names: dict[str, str] = {}
        self.hidden: dict[str, bool] = {}
        self.said: list[tuple[FaceRef, FaceClaim]] = []  # in the order in which the later one wins
        self.apart: list[tuple[str, str, Event]] = []
        self.not_theirs: list[tuple[FaceRef, str]] = []  # a face, and a person whose it is not
        self.not_asked: list[tuple[FaceRef, str]] = []  # the same, and those of which nobody wants to be asked
        self._put_off: list[tuple[str, ...]] = []
        self.people: dict[str, None] = {}  # of whom anything is said
        self._one: dict[str, str] = {}  # a union-find; a root is who stays
        weak: list[tuple[FaceRef, FaceClaim]] = []
        explicit: list[tuple[FaceRef, FaceClaim]] = []
        holding = {event.number for event in self.events}
        unmade: set[str | None] = set()
        for event in events:
            if event.kind == "split" and event.number not in holding:  # who was split off is whose the faces were
                self._one[event.person or ""] = self.root(event.others[0])
                unmade.add(event.person)
        back = _given_back(events, holding)
        given = {
            person for event in self.events if event.kind in ("assign", "split", "merge") for person in event.people
        }
        for event in self.events:
            faces: Mapping[str, Sequence[FaceRef]] = event.faces
            if event.kind in OF_ONE:  # a name stands for no face that was taken back, and goes with who was made
                faces = {one: [ref for ref in refs if (one, ref_key(ref)) not in back] for one, refs in faces.items()}
                nobody = event.person not in given and any(event.faces.values()) and not any(faces.values())
                if event.person in unmade or nobody:
                    continue
            self.people |= dict.fromkeys(event.people)
            if event.kind == "name":
                self.names[event.person or ""] = event.name or ""
            elif event.kind in ("hide", "unhide"):
                self.hidden[event.person or ""] = event.kind == "hide"
            elif event.kind == "merge":
                for other in event.others:
                    self._one[self.root(other)] = self.root(event.person or "")
            elif event.kind in ("apart", "split"):
                self.apart += [(event.person or "", other, event) for other in event.others]
            if event.kind == "later":
                self._put_off.append(event.people)
            for person, refs in faces.items():
                if event.kind in ("apart", "later") and person == NOBODY:
                    pairs = [(ref, event.person or "") for ref in refs]
                    self.not_asked += pairs
                    self.not_theirs += pairs if event.kind == "apart" else []
                    continue
                sure = event.kind in ("assign", "unassign", "reject") or (
                    event.kind == "split" and person == event.person
                )
                claim = FaceClaim(person=person, event=event, explicit=sure)
                (explicit if sure else weak).extend((ref, claim) for ref in refs)
        self.said = weak + explicit
        self._check()

    def root(self, person: str) -> str:
        """Who a person is, of those that were said to be one."""
        while (following := self._one.get(person, person)) != person:
            person = following
        return person

    def name(self, person: str) -> str | None:
        """What somebody is called; of those that are one, as the one who stays, or else another."""
        return self._called.get(self.root(person))

    @functools.cached_property
    def _called(self) -> dict[str, str]:
        """By root."""
        found = {self.root(one): name for one, name in sorted(self.names.items(), reverse=True) if name}
        return found | {one: name for one, name in self.names.items() if name and self.root(one) == one}

    @property
    def named(self) -> frozenset[str]:
        """The roots that have names."""
        return frozenset(self._called)

    def kept_apart(self) -> set[frozenset[str]]:
        """Pairs of roots that are not the same."""
        return {frozenset((self.root(a), self.root(b))) for a, b, _event in self.apart}

    @property
    def put_off(self) -> set[frozenset[str]]:
        """Pairs of roots of which somebody wants to be asked no more."""
        return {frozenset(map(self.root, people)) for people in self._put_off if len(people) == 2}

    def _check(self) -> None:
        for a, b, event in self.apart:
            if self.root(a) == self.root(b):
                _refuse(event, *_path(self.events, a, b))
        # "B is A" stands while a face that stood for each of them does
        last = {ref_key(ref): claim for ref, claim in self.said if claim.explicit and not claim.rejected}
        for event in self.events:
            if event.kind != "merge":
                continue
            for person in event.people:
                claims = [last.get(ref_key(ref)) for ref in event.faces.get(person, ())]
                gone = [c for c in claims if c is not None and self.root(c.person) != self.root(person)]
                if claims and len(gone) == len(claims):
                    _refuse(event, max(gone, key=lambda c: c.event.number or 1 << 62).event)


def ref_key(ref: FaceRef) -> tuple[str, str]:
    """Equal for two events about one face, while it is detected as it was."""
    return ref.sha256 or f"{ref.image_id} {ref.version}", ref.face_id.rpartition("#")[2]


def _refuse(*events: Event) -> None:
    told = [event for _number, event in sorted({event.number or 1 << 62: event for event in events}.items())]
    before = [str(event.number) for event in told if event.number]
    raise ContradictionError(
        f"{'; '.join(map(str, told))}: nothing was written. `pixelbrain people undo OUT "
        f"{before[-1] if before else 'EVENT'}` takes the earlier one back"
    )


def _path(events: Iterable[Event], start: str, end: str) -> list[Event]:
    """The merges by which two people are one, the fewest."""
    joins: Mapping[str, list[tuple[str, Event]]] = collections.defaultdict(list)
    for event in events:
        if event.kind == "merge":
            for other in event.others:
                joins[event.person or ""].append((other, event))
                joins[other].append((event.person or "", event))
    paths: dict[str, list[Event]] = {start: []}
    queue = collections.deque([start])
    while queue and end not in paths:
        here = queue.popleft()
        for other, event in joins[here]:
            if other not in paths:
                paths[other] = [*paths[here], event]
                queue.append(other)
    return paths.get(end, [])  # none where it was a split that was taken back


def _given_back(events: Sequence[Event], holding: Collection[int]) -> set[tuple[str, tuple[str, str]]]:
    """People and faces of assigns that were taken back."""
    undone = [event for event in events if event.kind == "assign" and event.number not in holding]
    return {(person, ref_key(ref)) for event in undone for person, refs in event.faces.items() for ref in refs}

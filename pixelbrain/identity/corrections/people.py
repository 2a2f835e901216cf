"""`People`: what people say about the people of an OUT, and who these are then."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import PeopleError, StoreError
from pixelbrain.identity.corrections.apply import Applied
from pixelbrain.identity.corrections.events import NOBODY, Event, EventLog, active, undo_of, whoami
from pixelbrain.identity.corrections.keep import new_id
from pixelbrain.identity.corrections.state import State, as_name, called
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.published import republished
from pixelbrain.landing.registry import write_registry
from pixelbrain.locks.run import waiting
from pixelbrain.shown import Shown
from pixelbrain.storage.base import Storage

if TYPE_CHECKING:
    from pixelbrain.identity.corrections.suggest import Suggestion
    from pixelbrain.stores.database import Database

logger = logging.getLogger(__name__)

#: For how long an edit waits for another one, which takes a second; a run takes longer, and is named.
WAIT_S = 15.0


@dataclass(frozen=True, kw_only=True, repr=False)
class Person(Shown):
    """Somebody, as known now."""

    identity_id: str  # for life
    name: str | None
    hidden: bool
    n_faces: int
    n_images: int
    face_id: str | None  # the most typical face


class People(Shown):
    """The people of an OUT, to be looked at and corrected. A person is named by id, name, or the beginning of an id.

        people = pb.People("out/")
        people.name("person-3f2a", "Ann")
        people.merge("Ann", "person-77c0")
        people.undo(people.history()[-1].number)

    Each correction is an event under `OUT/people/events`, is applied at once, without clustering again, and holds over
    every later `identify`. Each method that corrects returns its event, and raises `PeopleError` for people and faces
    that are not there, `ContradictionError` where an earlier event says the opposite, `OutLockedError` where a run
    works on OUT for longer than `wait_s`, and `LandingError` if OUT cannot be read or written.

    Args:
        out: the folder, or `s3://bucket/prefix`, or what has landed there.
        s3_endpoint: the S3 server, if it is not Amazon's.
        by: who says so; the user of this machine by default.
        database: whose MongoDB follows at once; without, the next `pixelbrain load` brings it in step.
        wait_s: how long to wait for others that work on OUT.
    """

    def __init__(
        self,
        out: str | Path | Storage | Landing,
        *,
        s3_endpoint: str | None = None,
        by: str | None = None,
        database: Database | None = None,
        wait_s: float = WAIT_S,
    ) -> None:
        self.landing = out if isinstance(out, Landing) else Landing(out, s3_endpoint=s3_endpoint)
        self._by = whoami() if by is None else by
        self._database, self._wait_s = database, wait_s
        self._log = EventLog(self.landing.storage)

    def shown(self) -> dict[str, str]:
        return {"out": self.landing.storage.uri}

    # --- what is there -------------------------------------------------------------------------------------------

    def state(self, *, sums: bool = False) -> State:
        """Faces, events and people as they are now."""
        return State(self.landing, self._log.read(), sums=sums)

    def history(self) -> list[Event]:
        """All events, in their order; see `holding`."""
        return self._log.read()

    def holding(self) -> list[Event]:
        """The events that were not taken back."""
        return active(self._log.read())

    def list(self, *, hidden: bool = False) -> list[Person]:
        """Everybody who has a face, those with the most first; `hidden`: and those who are hidden."""
        state = self.state()
        known, faces, images = state.registry, *(state.faces[name].to_pylist() for name in ("face_id", "image_id"))
        distance = pc.fill_null(state.faces["distance"], math.inf).to_pylist()
        rows: dict[str, list[int]] = {}
        for row, who in enumerate(state.person.tolist()):
            if who is not None:
                rows.setdefault(who, []).append(row)
        found = [
            Person(
                identity_id=who,
                name=known.names.get(who),
                hidden=who in known.hidden,
                n_faces=len(mine),
                n_images=len({images[row] for row in mine}),
                face_id=min((distance[row], faces[row]) for row in mine)[1],
            )
            for who, mine in rows.items()
        ]
        found.sort(key=lambda one: (-one.n_faces, one.identity_id))
        return [one for one in found if hidden or not one.hidden]

    def find(self, who: str) -> str:
        """The identity_id of a person. Raises `PeopleError` if nobody, or more than one, is meant."""
        return self.state().find(who)

    def faces(self, who: str) -> pa.Table:
        """Rows of `schema.IDENTITY_SCHEMA`: a person's faces, nearest to its mean first."""
        state = self.state()
        return state.faces.take(pa.array(state.rows_of(state.find(who))))

    def explain(self, face_id: str, *, k: int = 5) -> dict[str, Any]:
        """Why a face is whose it is: see `why.explain`."""
        from pixelbrain.identity.corrections.why import explain

        return explain(self.state(sums=True), face_id, k=k)

    def suggest(self, *, k: int = 20) -> Sequence[Suggestion]:
        """What is most worth a look: see `suggest.suggestions`."""
        from pixelbrain.identity.corrections.suggest import suggestions

        return suggestions(self.state(sums=True), k=k)

    # --- corrections ---------------------------------------------------------------------------------------------

    def name(self, who: str, name: str) -> Event:
        """Call a person so; "" takes the name away."""
        return self._about(who, "name", name=as_name(name))

    def hide(self, who: str) -> Event:
        """Leave a person out of lists and the gallery's front."""
        return self._about(who, "hide")

    def unhide(self, who: str) -> Event:
        """Show a hidden person again."""
        return self._about(who, "unhide")

    def merge(self, who: str, *others: str) -> Event:
        """These are one. The first stays, or the first that has a name; the ids of the others lead to it."""

        def make(state: State) -> Event:
            people = list(dict.fromkeys(map(state.find, (who, *others))))
            if len(people) < 2:
                raise PeopleError(f"{called(state.registry, people[0])} is one person already: name two")
            people.sort(key=lambda one: one not in state.registry.names)  # stable
            faces = [state.stand_for(one) for one in people]
            return Event(kind="merge", person=people[0], others=tuple(people[1:]), faces=_joined(*faces))

        return self._edit(make)

    def apart(self, who: str, other: str) -> Event:
        """These are not the same, whatever a clustering finds; `suggest` asks no more. `other`: a person, or a face."""

        def make(state: State) -> Event:
            if other in state.place:
                person, rows = state.find(who), state.rows([other])
                if state.person[rows[0]] == person:
                    name = called(state.registry, person)
                    raise PeopleError(f"this face is {name}'s: `pixelbrain people unassign` makes it nobody's")
                faces = _joined({NOBODY: state.refs(rows)}, state.stand_for(person))
                return Event(kind="apart", person=person, faces=faces)
            a, b = (one if one in state.registry.place else state.find(one) for one in (who, other))
            if a == b:
                raise PeopleError(
                    f"{called(state.registry, a)} is one person: `pixelbrain people split` takes faces out"
                )
            faces = _joined(*(state.stand_for(state.registry.current(one)) for one in (a, b)))
            return Event(kind="apart", person=a, others=(b,), faces=faces)

        return self._edit(make)

    def later(self, who: str, other: str) -> Event:
        """`suggest` asks no more whether these are the same, until that is taken back. `other`: a person, or a face."""

        def make(state: State) -> Event:
            if other in state.place:
                return Event(kind="later", person=state.find(who), faces={NOBODY: state.refs(state.rows([other]))})
            a, b = state.find(who), state.find(other)
            if a == b:
                raise PeopleError(f"{called(state.registry, a)} is one person: nothing is asked about that")
            return Event(kind="later", person=a, others=(b,))

        return self._edit(make)

    def split(self, who: str, *faces: str, name: str = "") -> Event:
        """These faces of a person are somebody else, the event's `person`, who may be given a name."""
        name = as_name(name)

        def make(state: State) -> Event:
            person, rows = state.find(who), state.rows(faces)
            for row, face in zip(rows, dict.fromkeys(faces), strict=True):
                if state.person[row] != person:
                    whose = called(state.registry, state.person[row]) if state.person[row] else "nobody's"
                    raise PeopleError(f"{face} is not of {called(state.registry, person)}: it is {whose}")
            rest = state.stand_for(person, but=set(rows))
            if not rest:
                raise PeopleError(f"these are all the faces of {called(state.registry, person)}: nobody would be left")
            new = new_id(faces, state.ever)
            told = {new: state.refs(rows), **rest}
            return Event(kind="split", person=new, others=(person,), faces=told)

        event = self._edit(make)
        if name:
            self.name(event.person or "", name)
        return event

    def assign(self, who: str, *faces: str, new: bool = False) -> Event:
        """These faces are this person's; `new`: of somebody who is called so, and whom nobody knew."""
        if new and not (who := as_name(who)):
            raise PeopleError("somebody new needs a name")

        def make(state: State) -> Event:
            rows = state.rows(faces)
            person = new_id(faces, state.ever) if new else state.find(who)
            return Event(kind="assign", person=person, faces={person: state.refs(rows)})

        event = self._edit(make)
        if new:
            self.name(event.person or "", who)
        return event

    def unassign(self, *faces: str) -> Event:
        """These faces are nobody's, until they are assigned."""
        return self._edit(lambda state: Event(kind="unassign", faces={NOBODY: state.refs(state.rows(faces))}))

    def reject(self, *faces: str) -> Event:
        """These are no faces: statues, posters, wheels."""
        return self._edit(lambda state: Event(kind="reject", faces={NOBODY: state.refs(state.rows(faces))}))

    def undo(self, number: int) -> Event:
        """Take an event back, also an undo."""
        return self._edit(lambda state: undo_of(state.events, number))

    # --- inside --------------------------------------------------------------------------------------------------

    def _about(self, who: str, kind: str, name: str | None = None) -> Event:
        def make(state: State) -> Event:
            person = state.find(who)
            return Event(kind=kind, person=person, name=name, faces=state.stand_for(person))  # type: ignore[arg-type]

        return self._edit(make)

    def _edit(self, make: Callable[[State], Event]) -> Event:
        """Append the event that is made of what is there, unless it contradicts another, and do as it says."""
        with waiting(self.landing.storage, what="people", wait_s=self._wait_s):
            self.landing.refresh()
            while True:
                events = self._log.read()
                state = State(self.landing, events, sums=True)
                event = replace(make(state), by=self._by)
                state.after(event)  # refused before anything is written
                written = self._log.append(event, events[-1].number if events else 0)
                if written is not None:
                    break
            digest = IDENTITIES.digest(self.landing)
            found = state.after(written).applied()
            with republished(self.landing, found.faces, found.changed):
                if len(found.changed):
                    IDENTITIES.rewrite(self.landing, found.faces)
                write_registry(self.landing, found.people)
            self._follow(found, digest)
            return written

    def _follow(self, found: Applied, digest: str) -> None:
        """MongoDB says the same; `digest`: of the table that it was loaded with."""
        if self._database is not None:
            images = pc.unique(found.faces["image_id"].take(pa.array(found.changed, pa.int64()))).to_pylist()
            try:
                self._database.store_derived("identities", images, since=digest)
            except StoreError as error:  # what was said is said
                logger.warning("%s; the next `pixelbrain load %s` brings it in step", error, self.landing.storage.uri)


def _joined(*faces: dict) -> dict:
    found: dict = {}
    for one in faces:
        for person, refs in one.items():
            found.setdefault(person, []).extend(refs)
    return found

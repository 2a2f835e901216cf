"""What a form says becomes a correction of people, and a sentence about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pixelbrain.errors import PeopleError
from pixelbrain.identity.corrections.events import NOBODY, Event, holds
from pixelbrain.identity.corrections.state import as_name
from pixelbrain.landing.duplicates.choices import Choice
from pixelbrain.web.data.desk import Desk, Note, View
from pixelbrain.web.data.known import Known, short

UNDO = "/undo"
Said = TypeVar("Said", Event, Choice)


@dataclass(frozen=True)
class Question:
    """Before a name is given that somebody has: is it the same person?"""

    who: str  # identity_id
    name: str
    others: list[str]  # who is called so


@dataclass(frozen=True)
class Form:
    """What was sent."""

    one: Mapping[str, str]  # the last value of each field
    people: Sequence[str]  # keys
    faces: Sequence[str]  # keys


def name_person(desk: Desk, view: View, key: str, form: Form) -> Note | Question:
    """Call somebody so, or join whoever is called so already.

    Raises as `People.name` does, as all here.
    """
    who, known = person(view, key), view.known
    name = as_name(form.one.get("name", ""))
    sure = form.one.get("sure", "")
    if sure and sure != "new":
        other = person(view, sure)
        return _noted(desk.people.merge(other, who), f"{known.called(who)} is {known.called(other)}: one person now.")
    others = [one for one in known.registry.named(name) if one != who and one in known.place] if name else []
    if others and not sure:
        return Question(who, name, others)
    if name == known.registry.names.get(who, ""):
        if not name:
            raise PeopleError("who is it? Write a name")
        return Note(f"{known.called(who)} is called so already.")
    event = desk.people.name(who, name)
    said = f"{known.called(who)} is called {name} now." if name else f"{known.called(who)} has no name any more."
    return _noted(event, said)


def say_of_people(desk: Desk, view: View, form: Form) -> Note:
    """Merge, hide or show the people that are picked."""
    known, do = view.known, form.one.get("do")
    people = list(dict.fromkeys(person(view, key) for key in form.people))
    if not people:
        raise PeopleError("nobody is picked: tick the people that are meant")
    if do == "merge":
        if len(people) < 2:
            raise PeopleError("pick two or more who are the same person")
        event = desk.people.merge(*people)
        stays = event.person or people[0]
        return _noted(event, f"{len(people)} are one person now: {known.called(stays)}.")
    if do in ("hide", "unhide"):
        events = [desk.people.hide(one) if do == "hide" else desk.people.unhide(one) for one in people]
        whom = known.called(people[0]) if len(people) == 1 else f"{len(people)} people"
        return _noted(events, f"{whom} {'will not be shown' if do == 'hide' else 'shown again'}.")
    raise PeopleError("nothing was asked for")


def say_of_faces(desk: Desk, view: View, form: Form) -> Note:
    """Whose the picked faces are: somebody's, nobody's, another person's, or that they are none."""
    known, do, faces = view.known, form.one.get("do"), [_face(view, key) for key in form.faces]
    if not faces:
        raise PeopleError("no face is picked: tick the faces that are meant")
    what = "The face" if len(faces) == 1 else f"{len(faces)} faces"
    are = "is" if len(faces) == 1 else "are"
    if do == "is":
        name = as_name(form.one.get("name", ""))
        if not name:
            raise PeopleError("who is it? Write a name")
        named = [one for one in known.registry.named(name) if one in known.place]
        event = desk.people.assign(name, *faces, new=True) if not named else desk.people.assign(_one(named), *faces)
        return _noted(event, f"{what} {are} {name}'s now.")
    if do == "not":
        return _noted(desk.people.unassign(*faces), f"{what} {are} nobody's now.")
    if do == "noface":
        return _noted(desk.people.reject(*faces), f"{what} {are} not shown any more: no face.")
    if do == "split":
        whose = person(view, form.one.get("whose", ""))
        event = desk.people.split(whose, *faces)
        return _noted(event, f"{what} {are} somebody else's now: {short(event.person or '')}.")
    raise PeopleError("nothing was asked for")


def undo(desk: Desk, view: View, form: Form) -> Note:
    """Take an event back: the one that is named, or the last one that holds."""
    last, asked = desk.last(), form.one.get("number", "").split()
    if not asked and last is None:
        raise PeopleError("nothing was said yet that could be taken back")
    numbers = [int(one) if one.isdecimal() and len(one) < 9 else -1 for one in asked] or [last.number if last else -1]
    before = desk.people.history()
    held = {one.number for one in before if one.number in numbers and holds(before, one)}
    numbers = [one for one in numbers if one in held] or numbers[:1]  # the others were taken back one by one
    events = [desk.people.undo(one) for one in reversed(numbers)]
    first, redone = begun({one.number: one for one in before}, numbers[0])
    text = f"{len(numbers)} steps" if len(numbers) > 1 else told(first, view.known)
    return _noted(events, f"{'Done again' if redone else 'Taken back'}: {text}.", redo=not redone)


def begun(said: Mapping[int, Said], number: int) -> tuple[Said, bool]:
    """What was said first, of a step that may have taken another one back; whether it holds without that step."""
    holds = False
    while (undone := said[number].undoes) is not None:
        number, holds = undone, not holds
    return said[number], holds


def answer(desk: Desk, view: View, form: Form) -> Note:
    """Yes, no, or later, to a question of the queue."""
    key, do = form.one.get("key", ""), form.one.get("do")
    asked = desk.suggestion(key)
    if asked is None:
        raise PeopleError("this question is answered already")
    known, people, face = view.known, [view.known.registry.current(one) for one in asked.people], asked.face_id or ""
    names, other = [known.called(one) for one in people], face or people[-1]
    if do == "skip":
        return _noted(desk.people.later(people[0], other), "Asked no more, until that is taken back.")
    if do == "no" and asked.kind == "whose":  # it may be of somebody who comes later
        return _noted(desk.people.apart(people[0], other), f"The face is not {names[0]}'s.")
    if do == "yes" and asked.kind == "same":
        return _noted(desk.people.merge(*people), f"{' and '.join(names)} are one person now.")
    if do == "yes":
        return _noted(desk.people.assign(people[0], face), f"The face is {names[0]}'s.")
    if do == "no" and asked.kind == "same":
        return _noted(desk.people.apart(*people), f"{' and '.join(names)} are two people.")
    if do == "no":
        return _noted(desk.people.unassign(face), f"The face is not {names[0]}'s.")
    raise PeopleError("answer yes, no or later")


def told(event: Event, known: Known) -> str:
    """An event as a sentence, with names in place of ids."""

    def called(who: str | None) -> str:
        return known.called(known.registry.current(who)) if who in known.registry.place else short(who or "nobody")

    who, others = called(event.person), " and ".join(short(one) for one in event.others)
    faces = event.faces.get(NOBODY if event.kind in ("unassign", "reject") else event.person or "", ())
    parts = " and ".join(map(called, event.others))
    others = others or "a face"  # of apart and later
    some = "a face" if len(faces) == 1 else f"{len(faces)} faces"
    return {
        "name": f"{short(event.person or '')} is called {event.name}" if event.name else f"{who} has no name",
        "hide": f"{who} is hidden",
        "unhide": f"{who} is shown again",
        "merge": f"{short(event.person or '')} and {others} are one person, {who}",
        "apart": f"{who} and {others} are two people" if event.others else f"a face is not {who}'s",
        "later": f"whether {who} and {others} are the same is asked no more",
        "split": f"{some} of {parts} are somebody else's, {short(event.person or '')}",
        "assign": f"{some} given to {who}",
        "unassign": f"{some} given to nobody",
        "reject": f"{some} said to be none",
        "undo": f"step {event.undoes} taken back",
    }[event.kind]


def person(view: View, key: str) -> str:
    """The identity_id behind a key. Raises `PeopleError`."""
    found = view.known.find(key)
    if found is None:
        raise PeopleError("this person is not there any more: look at the people anew")
    return found


def _face(view: View, key: str) -> str:
    row = view.photos.face_by_key.find(key)
    if row is None:
        raise PeopleError("this face is not there any more: its photo changed")
    return view.photos.face_id[row].as_py()


def _one(named: list[str]) -> str:
    if len(named) > 1:
        raise PeopleError(f"{len(named)} people are called so: pick the person, and merge them or name one anew")
    return named[0]


def _noted(said: Event | Sequence[Event], text: str, *, redo: bool = False) -> Note:
    events = [said] if isinstance(said, Event) else said
    return Note(text, undo=tuple(one.number for one in events), redo=redo)

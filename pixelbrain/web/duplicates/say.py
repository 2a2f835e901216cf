"""What a form says of photos that are alike becomes a choice, and a sentence about it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import ConfigError
from pixelbrain.landing.duplicates.choices import Choice, PhotoRef
from pixelbrain.report.gallery import names
from pixelbrain.web.data.desk import Note, View
from pixelbrain.web.duplicates.alike import Alike
from pixelbrain.web.duplicates.groups import Group, Groups
from pixelbrain.web.say import Form, begun

UNDO = "/duplicates/undo"


def choose(alike: Alike, view: View, form: Form) -> Note:
    """Keep, drop, the best, no duplicates. Raises `ConfigError`, and as `ChoiceLog.choose` does."""
    what = "lookalikes" if form.one.get("of") == "lookalikes" else "duplicates"
    groups = alike.groups(view, what)
    code = None if groups is None else groups.place.get(form.one.get("group", ""))
    if groups is None or code is None:
        raise ConfigError("this group is not there any more: look at the page anew")
    group = groups.of(code)
    do, _colon, key = form.one.get("do", "").partition(":")
    if do == "apart":
        said = "They are no duplicates" if what == "duplicates" else "They do not belong together"
        return _noted(alike.log.choose("apart", _refs(groups, group)), f"{said}: this group is shown no more.")
    member = group.member(key) if key else group.best
    if member is None:
        raise ConfigError("this photo is not in the group any more: look at the page anew")
    name = names.visible(member.photo.name)
    ref = _refs(groups, group, member.photo.image_id)
    if do == "best":
        rest = [one for one in _refs(groups, group) if one not in ref]
        also = "" if what == "lookalikes" else "; the others are to be dropped, but for those that you keep"
        return _noted(alike.log.choose("best", ref + rest), f"{name} is the best{also}.")
    if do == "keep":
        return _noted(alike.log.choose("keep", ref), f"{name} is to be kept.")
    if do == "drop":
        after = groups.after(Choice(kind="drop", number=1 << 31, photos=tuple(ref)))
        if after.keeps(member.photo.image_id):
            raise ConfigError("one photo of a group stays, and this is the last one: choose another one first")
        return _noted(alike.log.choose("drop", ref), f"{name} is to be dropped. Nothing is deleted here.")
    raise ConfigError("nothing was asked for")


def undo(alike: Alike, form: Form) -> Note:
    """Take a choice back: the one that is named, or the last one that holds."""
    number, last = form.one.get("number", ""), alike.log.last()
    if not number and last is None:
        raise ConfigError("nothing was chosen yet that could be taken back")
    at = int(number) if number.isdecimal() and len(number) < 9 else last.number if last and not number else -1
    choice = alike.log.undo(at)
    before, redone = begun({one.number: one for one in alike.log.read()}, at)
    more = ""
    if before.kind == "apart" and not redone:  # a rerun since has left the group out
        more = " The group is there again, at the latest when duplicates are looked for again."
    said = f"{'Done again' if redone else 'Taken back'}: {told(before)}.{more}"
    return _noted(choice, said, redo=not redone)


def told(choice: Choice) -> str:
    """A choice as a sentence."""
    photos = [names.visible(names.short_name(one.image_id)) for one in choice.photos] or ["a photo that is gone"]
    first, others = photos[0], len(photos) - 1
    some = first if not others else f"{first} and {others} {'other' if others == 1 else 'others'}"
    are = "are" if others else "is"
    return {
        "keep": f"{some} {are} to be kept",
        "drop": f"{some} {are} to be dropped",
        "best": f"{first} is the best of {len(photos)} photos" if others else f"{first} is the best",
        "apart": f"{some} are no duplicates",
        "undo": f"choice {choice.undoes} taken back",
    }[choice.kind]


def look(alike: Alike) -> Note:
    """Look for duplicates now."""
    alike.look()
    return Note("Looking for duplicates.")


def _refs(groups: Groups, group: Group, image_id: str | None = None) -> list[PhotoRef]:
    """The photos of a group, or one of them, as choices name them."""
    wanted = [one.photo.image_id for one in group.members if image_id in (None, one.photo.image_id)]
    rows = groups.rows.select(["image_id", "image_version", "sha256"])
    found = rows.filter(pc.is_in(rows["image_id"], pa.array(wanted))).to_pylist()
    return [PhotoRef(image_id=one["image_id"], version=one["image_version"], sha256=one["sha256"]) for one in found]


def _noted(choice: Choice, text: str, *, redo: bool = False) -> Note:
    return Note(text, undo=(choice.number,), undo_at=UNDO, redo=redo)

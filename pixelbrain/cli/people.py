"""`pixelbrain people`: name, merge, split, hide and correct the people of an OUT."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pixelbrain.cli.options import EXIT_FAILED, command, json_option, mongo_option, out_options, over_out

if TYPE_CHECKING:
    from pixelbrain.identity.corrections.events import Event
    from pixelbrain.identity.corrections.people import People
    from pixelbrain.stages.stages import Stages


@command(
    "Name, merge, split and correct people.",
    "pixelbrain people list out/",
    'pixelbrain people name out/ person-3f2a "Ann"',
    "pixelbrain people merge out/ Ann person-77c0",
    cls=click.Group,
)
def people() -> None:
    """Say who is who. PERSON is a name, an id, or the beginning of an id; FACE a face_id, as `people show` prints them.

    What is said is kept in OUT/people, holds at once and over every later identify, and can be undone.
    """


_as = click.option("--as", "by", metavar="NAME", help="Who says so. [default: this user]")
_count = click.option("-k", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")


def _people(stages: Stages, by: str | None = None) -> People:
    """The people of OUT; MongoDB follows if a server is named."""
    from pixelbrain.identity.corrections.people import People

    database = stages.context.unopened() if stages.config.mongo else None
    return People(stages.landing, by=by, database=database)


def _correction(short_help: str, *examples: str) -> Callable[..., Any]:
    """A command that appends events, and prints each: of a function that makes them."""

    def decorate(function: Callable[..., Event | list[Event]]) -> Any:
        @functools.wraps(function)
        def told(stages: Stages, **given: Any) -> None:
            found = function(stages, **given)
            for event in found if isinstance(found, list) else [found]:
                click.echo(f"{event}; `pixelbrain people undo {stages.storage} {event.number}` takes it back")

        arguments = vars(told)["__click_params__"]
        vars(told)["__click_params__"] = []
        shared = _as(out_options(mongo_option(over_out(told))))
        vars(shared)["__click_params__"] += arguments  # which come first in a help: click turns them round
        return command(short_help, *examples, group=people)(shared)

    return decorate


_out, _person = click.argument("out"), click.argument("person")
_persons = click.argument("person", nargs=-1, required=True)
_faces = click.argument("face", nargs=-1, required=True)


@command(
    "Who there is.", "pixelbrain people list out/", "pixelbrain people list out/ --json", group=people, name="list"
)
@_out
@click.option("--hidden", is_flag=True, help="And those who are hidden.")
@json_option
@out_options
@over_out
def list_people(stages: Stages, hidden: bool, as_json: bool) -> None:
    """List everybody who has a face, those with the most first."""
    found = _people(stages).list(hidden=hidden)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
        return
    click.echo(f"{'name':<32} {'id':<22} {'faces':>7} {'photos':>7}")
    for one in found:
        name = (one.name or "") + (" (hidden)" if one.hidden else "")
        click.echo(f"{_cut(name, 32):<32} {one.identity_id:<22} {one.n_faces:>7,} {one.n_images:>7,}")


@command(
    "A person's faces, or why a face is whose it is.",
    "pixelbrain people show out/ Ann",
    "pixelbrain people show out/ file:///photos/me.jpg#0 --json",
    group=people,
)
@_out
@click.argument("person_or_face")
@_count
@json_option
@out_options
@over_out
def show(stages: Stages, person_or_face: str, k: int, as_json: bool) -> None:
    """Show a person's faces, the least typical last, and who is near; or why a face is whose it is."""
    from pixelbrain.identity.corrections.why import about, described, described_person, explain

    state = _people(stages).state(sums=True)
    if person_or_face in state.place:
        found = explain(state, person_or_face, k=min(k, 10))
        lines = described(found, state.registry)
    else:
        found = about(state, state.find(person_or_face), k=k)
        lines = described_person(found)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(lines))


@_correction(
    "Give a person a name.", 'pixelbrain people name out/ person-3f2a "Ann"', 'pixelbrain people name out/ Ann ""'
)
@_out
@_person
@click.argument("name")
def name(stages: Stages, by: str | None, person: str, name: str) -> Event:
    """Call PERSON by NAME; an empty one takes the name away."""
    return _people(stages, by).name(person, name)


@_correction("Several are one person.", "pixelbrain people merge out/ Ann person-77c0 person-01ab")
@_out
@_persons
def merge(stages: Stages, by: str | None, person: tuple[str, ...]) -> Event:
    """Say that these are one: the first stays, or the first that has a name, and all their ids lead to it."""
    return _people(stages, by).merge(*person)


@_correction(
    "Two are not the same person.",
    "pixelbrain people apart out/ Ann person-77c0",
    "pixelbrain people apart out/ Ann file:///photos/me.jpg#0",
)
@_out
@_person
@click.argument("other")
def apart(stages: Stages, by: str | None, person: str, other: str) -> Event:
    """Say that two are not the same, whatever a clustering finds; OTHER may be a face that is not PERSON's."""
    return _people(stages, by).apart(person, other)


@_correction("Be asked no more about two.", "pixelbrain people later out/ Ann person-77c0")
@_out
@_person
@click.argument("other")
def later(stages: Stages, by: str | None, person: str, other: str) -> Event:
    """Put off the question whether two are the same, until that is undone; OTHER may be a face."""
    return _people(stages, by).later(person, other)


@_correction(
    "Faces of a person are somebody else's.", "pixelbrain people split out/ Ann file:///photos/me.jpg#0 --name Bea"
)
@_out
@_person
@_faces
@click.option("--name", "called", default="", metavar="NAME", help="Of the new person.")
def split(stages: Stages, by: str | None, person: str, face: tuple[str, ...], called: str) -> Event:
    """Make a person of its own of these faces of PERSON."""
    return _people(stages, by).split(person, *face, name=called)


@_correction("Faces are a person's.", "pixelbrain people assign out/ Ann file:///photos/me.jpg#0")
@_out
@_person
@_faces
@click.option("--new", is_flag=True, help="PERSON is the name of somebody whom nobody knew.")
def assign(stages: Stages, by: str | None, person: str, face: tuple[str, ...], new: bool) -> Event:
    """Give faces to PERSON, whosever they are."""
    return _people(stages, by).assign(person, *face, new=new)


@_correction("Faces are nobody's.", "pixelbrain people unassign out/ file:///photos/me.jpg#0")
@_out
@_faces
def unassign(stages: Stages, by: str | None, face: tuple[str, ...]) -> Event:
    """Take faces from their people; they stay nobody's until they are assigned."""
    return _people(stages, by).unassign(*face)


@_correction("Statues, posters and wheels are no faces.", "pixelbrain people reject out/ file:///photos/me.jpg#0")
@_out
@_faces
def reject(stages: Stages, by: str | None, face: tuple[str, ...]) -> Event:
    """Say that these are no faces: they are nobody's for good, and compared with nobody."""
    return _people(stages, by).reject(*face)


@_correction("Leave people out of lists.", "pixelbrain people hide out/ person-3f2a")
@_out
@_persons
def hide(stages: Stages, by: str | None, person: tuple[str, ...]) -> list[Event]:
    """Leave people out of lists and the gallery's front page."""
    people = _people(stages, by)
    return [people.hide(one) for one in dict.fromkeys(map(people.find, person))]  # all are there, or nothing is said


@_correction("Show hidden people again.", "pixelbrain people unhide out/ person-3f2a")
@_out
@_persons
def unhide(stages: Stages, by: str | None, person: tuple[str, ...]) -> list[Event]:
    """Show people again that were hidden."""
    people = _people(stages, by)
    return [people.unhide(one) for one in dict.fromkeys(map(people.find, person))]


@_correction("Take an event back.", "pixelbrain people undo out/ 3")
@_out
@click.argument("event", type=int)
def undo(stages: Stages, by: str | None, event: int) -> Event:
    """Take back the event of this number, as `people history` counts them; also an undo."""
    return _people(stages, by).undo(event)


@command("What was said.", "pixelbrain people history out/", group=people)
@_out
@json_option
@out_options
@over_out
def history(stages: Stages, as_json: bool) -> None:
    """List all events, those that were taken back in brackets."""
    from pixelbrain.identity.corrections.events import holds

    people = _people(stages)
    events = people.history()
    held = [holds(events, event) for event in events]
    if as_json:
        told = [dataclasses.asdict(event) | {"holds": one} for event, one in zip(events, held, strict=True)]
        click.echo(json.dumps(told, indent=2))
        return
    for event, one in zip(events, held, strict=True):
        click.echo(str(event) if one else f"({event})")


@command(
    "What is most worth a look.",
    "pixelbrain people suggest out/",
    "pixelbrain people suggest out/ --crops look/",
    group=people,
)
@_out
@_count
@click.option("--crops", metavar="DIR", help="Also write a page with the faces, DIR/index.html.")
@json_option
@out_options
@over_out
def suggest(stages: Stages, k: int, crops: str | None, as_json: bool) -> None:
    """People who may be one, and faces nearest to a border: first what says most."""
    from pixelbrain.identity.corrections.suggest import describe, suggestions

    people = _people(stages)
    state = people.state(sums=True)
    found = suggestions(state, k=k)
    if crops:
        from pixelbrain.report.crops import write_crops

        items = [(describe(one, state), one.faces(state)) for one in found]
        page = write_crops(stages.landing, items, state.faces, crops)
        click.echo(f"Open {page.as_uri()}", err=as_json)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
        return
    for one in found:
        click.echo(describe(one, state))
    if not found:
        click.echo("Nothing is near a border: nobody needs a look.", err=True)


@command(
    "Write names for other programs.",
    "pixelbrain people export out/ people.csv",
    "pixelbrain people export out/ sidecars/",
    group=people,
)
@_out
@click.argument("to")
@click.option("--unnamed", is_flag=True, help="In a CSV, also people without a name.")
@click.option("--hidden", is_flag=True, help="And those who are hidden.")
@out_options
@over_out
def export(stages: Stages, to: str, unnamed: bool, hidden: bool) -> None:
    """Write whose faces are where to TO: a .csv, or a folder of XMP sidecars, one a photo, below its photos' folders.

    digiKam, Lightroom and PhotoPrism read the sidecars beside the photos; nothing is written there.
    """
    from pixelbrain.identity.naming.travel import export_names

    found = export_names(_people(stages), Path(to), read=_reader(stages), unnamed=unnamed, hidden=hidden)
    click.echo(f"{found.faces:,} faces in {found.photos:,} photos to {to}")
    if found.unreadable:
        click.secho(
            f"{len(found.unreadable):,} photos cannot be read, such as {found.unreadable[0]}: their sidecars are right "
            "if the photos stand upright as they are stored",
            err=True,
            fg="yellow",
        )


@command(
    "Take names from other programs.",
    "pixelbrain people import out/ people.csv",
    "pixelbrain people import out/ photos/ --dry-run",
    name="import",
    group=people,
)
@_out
@click.argument("source", metavar="FROM")
@click.option("--dry-run", is_flag=True, help="Say what would come of it, and change nothing.")
@_as
@out_options
@mongo_option
@over_out
def import_(stages: Stages, source: str, dry_run: bool, by: str | None) -> None:
    """Take names from FROM: a .csv with photo, name and a box, or a folder of photos or sidecars with XMP face regions.

    Whoever has most of a name's faces is called so; all of its faces are that person's, over every later identify.
    """
    from pixelbrain.identity.naming.travel import import_names

    found = import_names(_people(stages, by), Path(source), read=_reader(stages), dry_run=dry_run)
    would = "would be" if dry_run else "are"
    click.echo(f"{found.people:,} names ({found.new:,} of new people) {would} of {found.faces:,} faces")
    if found.not_found or found.not_in_out:
        click.echo(
            f"{found.not_found:,} named faces were not detected here, and {found.not_in_out:,} photos or sidecars are "
            "of no photo that has landed"
        )
    for problem in found.problems:
        click.secho(problem, err=True, fg="yellow")
    if found.problems:
        raise SystemExit(EXIT_FAILED)


def _reader(stages: Stages) -> Callable[[str], bytes]:
    from pixelbrain.sources import read_bytes

    return functools.partial(read_bytes, s3_endpoint=stages.config.s3_endpoint)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"

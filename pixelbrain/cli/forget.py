"""`pixelbrain forget`: erase a person, faces or photos, for good."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pixelbrain.cli.options import command, json_option, over_out, store_options
from pixelbrain.errors import ConfigError

if TYPE_CHECKING:
    from pixelbrain.stages.stages import Stages


@command(
    "Erase a person, faces or photos, for good.",
    "pixelbrain forget out/ --person person-3f2a --dry-run",
    "pixelbrain forget out/ --person person-3f2a",
    "pixelbrain forget out/ --photo photos/party.jpg --yes",
    "pixelbrain forget out/ --list",
)
@click.argument("out")
@click.option("--person", metavar="ID", help="All faces of this person: its identity_id, or the beginning of it.")
@click.option("--face", "faces", metavar="FACE_ID", multiple=True, help="This face; may be given several times.")
@click.option("--photo", "photos", metavar="PHOTO", multiple=True, help="All rows of this photo: its path or image_id.")
@click.option("--again", is_flag=True, help="Erase once more what was forgotten: other stores, a backup put back.")
@click.option("--list", "show", is_flag=True, help="Show what was forgotten, and do nothing.")
@click.option("--lift", type=int, metavar="N", help="Let what is listed as N come back with a later run.")
@click.option("--dry-run", is_flag=True, help="Show what would be erased, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@store_options
@over_out
def forget(
    stages: Stages,
    person: str | None,
    faces: tuple[str, ...],
    photos: tuple[str, ...],
    again: bool,
    show: bool,
    lift: int | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Erase a person from OUT: vectors, boxes, crops and names, from Parquet, MongoDB, ChromaDB and the gallery.

    The photos stay. A mark that says about where in which photo the face was, and nothing of how it looks, keeps it
    from coming back with a later run. --photo erases all that is known of a photo, and later runs pass it over.
    """
    from pixelbrain.landing.forgotten.marks import lift_mark, read_marks
    from pixelbrain.stages.forget import forget as forget_all

    if show or lift is not None:
        if person or faces or photos or again:
            raise ConfigError("--list and --lift take nothing else that is to be forgotten")
        if lift is not None:
            click.echo(f"lifted  {lift_mark(stages.storage, lift)}", err=as_json)
            click.echo("a photo comes back with the next run; a face with one that has --force", err=as_json)
        marks = read_marks(stages.storage).all
        if as_json:
            click.echo(json.dumps([dataclasses.asdict(mark) for mark in marks], indent=2))
        elif show:
            click.echo("\n".join(map(str, marks)) or "nothing was forgotten")
        return

    def confirm(lines: Sequence[str]) -> bool:
        if yes:
            return True
        click.echo("\n".join(("This erases, for good:", *(f"  {line}" for line in lines))), err=True)
        return click.confirm("Go on?", err=True)

    found = forget_all(stages, person=person, faces=faces, photos=photos, again=again, dry_run=dry_run, confirm=confirm)
    if found is None:
        click.echo("nothing was erased", err=True)
    elif as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))
    elif dry_run:
        click.echo("\n".join(("This would erase, for good:", *(f"  {line}" for line in found.lines))))
    else:
        stores = ", both stores were written anew" if found.stores else ""
        click.echo(f"erased from {found.files:,} files of OUT{stores}, {found.seconds:,.0f} s")
        if found.number is not None:
            click.echo(f"kept from coming back as number {found.number}: `pixelbrain forget OUT --list` shows all")

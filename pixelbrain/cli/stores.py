"""`pixelbrain load`, `identify`, `group`, `duplicates`, `map`; `status`, `verify`, `compact`, `forget`: its upkeep."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixelbrain.cli.options import EXIT_FAILED, command, json_option, out_options, over_out, store_options, where_option
from pixelbrain.config import STRATEGIES
from pixelbrain.errors import ConfigError

if TYPE_CHECKING:
    from pixelbrain.stages.stages import Stages


@command(
    "Fill MongoDB and ChromaDB from OUT.",
    "pixelbrain load out/",
    "pixelbrain load out/ --mongo mongodb://db.example/photos",
)
@click.argument("out")
@store_options
@click.option("--rebuild", is_flag=True, help="Empty both stores first: when they hold another model's vectors.")
@over_out
def load(stages: Stages, rebuild: bool) -> None:
    """Bring MongoDB and ChromaDB in step with the Parquet files of OUT. Running it twice changes nothing."""
    with stages.database("load") as database:
        stages.load(database, rebuild=rebuild)


@command(
    "Cluster the faces to people.",
    "pixelbrain identify out/",
    "pixelbrain identify out/ --strategy dbscan --json",
    "pixelbrain identify s3://bucket/out --address 10.0.0.1:6379",
)
@click.argument("out")
@click.option("--strategy", type=click.Choice(STRATEGIES), help="[default: average]")
@click.option("--threshold", type=float, metavar="COSINE", help="Cosine similarity. [default: the embedder's own]")
@click.option("--rebuild", is_flag=True, help="Link all faces again, not only new ones.")
@click.option(
    "--address",
    "ray_address",
    envvar="RAY_ADDRESS",
    metavar="HOST:PORT",
    help="Compare many faces on all nodes of this Ray. [default: RAY_ADDRESS, or this machine alone]",
)
@json_option
@store_options
@over_out
def identify(stages: Stages, threshold: float | None, rebuild: bool, as_json: bool) -> None:
    """Cluster the faces of OUT to people, over the vector index: new faces among the people known, where there are."""
    with stages.database("identify") as database:
        found = stages.identify(database, threshold=threshold, rebuild=rebuild)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))


@command(
    "Group the images that look alike.",
    "pixelbrain group out/",
    "pixelbrain group out/ --threshold 0.9",
    "pixelbrain group out/ --where 'n_faces == 0'",
)
@click.argument("out")
@click.option("--threshold", type=float, metavar="COSINE", help="Cosine similarity. [default: the classifier's own]")
@click.option(
    "--by", metavar="NAME", default="images", help="clip, or a module of your own, by whose vectors. [default: resnet]"
)
@where_option
@json_option
@store_options
@over_out
def group(stages: Stages, threshold: float | None, by: str, where: str | None, as_json: bool) -> None:
    """Group the images of OUT that look alike, over their ResNet vectors, or a module's of your own."""
    with stages.database("group") as database:
        found = stages.group(database, threshold=threshold, by=by, where=where)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))


@command(
    "Find photos that are there more than once.",
    "pixelbrain duplicates out/",
    "pixelbrain duplicates out/ --csv duplicates.csv --burst 0",
)
@click.argument("out")
@click.option(
    "--bits", type=click.IntRange(0, 24), metavar="N", help="Of 64 of the hash, that may differ. [default: 8]"
)
@click.option(
    "--similarity",
    type=float,
    metavar="COSINE",
    help="Of vectors, from which on it is the same, cut. [default: the classifier's own]",
)
@click.option("--burst", "burst_s", type=float, metavar="SECONDS", help="Between two photos; 0: none. [default: 3]")
@click.option("--vectors/--no-vectors", default=True, help="Look at the classifier's vectors, too. [default: yes]")
@click.option("--csv", "file", metavar="FILE", help="Write what to keep and to drop: .csv, .jsonl or .parquet.")
@json_option
@out_options
@over_out
def duplicates(
    stages: Stages, bits: int | None, similarity: float | None, burst_s: float | None, vectors: bool, file: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Group photos that are copies, near copies, or shots of one burst, and propose the best of each, with why.

    Lands in OUT/duplicates, for `export --table duplicates` and the gallery. No photo is deleted, ever.
    """
    found = stages.duplicates(bits=bits, similarity=similarity, burst_s=burst_s, vectors=vectors)
    if file:
        from pixelbrain.report.export import export

        rows = export(stages.landing, Path(file), "duplicates")
        click.echo(f"{rows:,} duplicates to {file}", err=as_json)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))


@command(
    "Draw a map: what is alike lies together.",
    "pixelbrain map out/",
    "pixelbrain map out/ --by faces",
    name="map",
)
@click.argument("out")
@click.option(
    "--by", metavar="NAME", help="images, faces, clip, or a module of your own: whose vectors. [default: images]"
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another one, another map.")
@json_option
@out_options
@over_out
def map_out(stages: Stages, by: str | None, seed: int, as_json: bool) -> None:
    """Lay out all photos of OUT, or all faces, on a plane by their vectors, for the map of `pixelbrain open`.

    Lands in OUT/maps, for `export --table maps`, too; each other --by is a map of its own.
    """
    found = stages.map(by=by, seed=seed)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))


@command("What is in OUT, and whether it is in step.", "pixelbrain status out/", "pixelbrain status out/ --json")
@click.argument("out")
@json_option
@store_options
@over_out
def status(stages: Stages, as_json: bool) -> None:
    """What is in OUT: images, failures by kind, faces, people, and whether the stores are in step."""
    from pixelbrain.apps.status import describe, read_status

    found = read_status(stages)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(describe(found)))


@command("Do Parquet, MongoDB and ChromaDB agree?", "pixelbrain verify out/", "pixelbrain verify out/ --repair")
@click.argument("out")
@click.option("--repair", is_flag=True, help="Write both stores again from Parquet where they differ.")
@json_option
@store_options
@over_out
def verify(stages: Stages, repair: bool, as_json: bool) -> None:
    """Compare every image and every face in OUT with MongoDB and ChromaDB, value by value; exit 1 if they differ.

    Parquet is the truth: --repair writes the stores again from it, and compares once more.
    """
    with stages.database("verify") as database, stages.context.lock("verify"):
        found = stages.verify(database)
        if repair and not found.ok:
            click.echo("\n".join(found.lines()), err=as_json)
            stages.load(database, rebuild=True)
            found = stages.verify(database)
    click.echo(json.dumps(found.as_dict(), indent=2) if as_json else "\n".join(found.lines()))
    if not found.ok:
        sys.exit(EXIT_FAILED)


@command("Merge the small files of OUT.", "pixelbrain compact out/")
@click.argument("out")
@out_options
@over_out
def compact(stages: Stages) -> None:
    """Merge the Parquet files of OUT/images into large ones, and drop what newer rows replaced.

    It may be stopped or killed at any moment: every image stays there exactly once, and the next call goes on.
    """
    found = stages.compact()
    click.echo(
        f"{found.files_before:,} files with {found.bytes_before / 1e6:,.1f} MB are {found.files_after:,} with "
        f"{found.bytes_after / 1e6:,.1f} MB now: {found.rows:,} images"
    )


@command(
    "Erase a person, faces or photos, for good.",
    "pixelbrain forget out/ --person person-3f2a --dry-run",
    "pixelbrain forget out/ --person Ann",
    "pixelbrain forget out/ --photo photos/party.jpg --yes",
    "pixelbrain forget out/ --list",
)
@click.argument("out")
@click.option("--person", metavar="ID|NAME", help="All faces of this person: by its identity_id, or its name.")
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

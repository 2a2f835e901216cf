"""`pixelbrain open`, `report`, `export` and `search`: what others see and read of OUT."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pixelbrain.cli.options import (
    chroma_option,
    command,
    json_option,
    label_option,
    mongo_option,
    out_options,
    over_out,
    size_option,
)

if TYPE_CHECKING:
    from pixelbrain.stages.stages import Stages


@command("Write the gallery.", "pixelbrain report out/")
@click.argument("out")
@label_option
@size_option
@out_options
@over_out
def report(stages: Stages) -> None:
    """Write the gallery, OUT/report/index.html: it opens from disk, without a network."""
    click.echo(f"Open {stages.report().as_uri()}")


@command(
    "Write a table as CSV, JSON lines or Parquet.",
    "pixelbrain export out/ images.csv",
    "pixelbrain export out/ faces.parquet --table faces",
    "pixelbrain export out/ - --table people --format jsonl",
)
@click.argument("out")
@click.argument("file")
@click.option(
    "--table",
    type=click.Choice(["images", "faces", "people", "groups", "answers"]),
    default="images",
    show_default=True,
    help="A row each of these; of groups, each image in one.",
)
@label_option
@click.option("--format", "form", type=click.Choice(["csv", "jsonl", "parquet"]), help="Of FILE -. [default: csv]")
@out_options
@over_out
def export(stages: Stages, file: str, table: str, form: str | None) -> None:
    """Write a table of OUT to FILE, whose name ends in .csv, .jsonl or .parquet; - is standard output."""
    from pixelbrain.report.export import export as write

    least = stages.config.min_label_score
    if file == "-":
        with tempfile.TemporaryDirectory() as folder:  # all of it or nothing, as a file is
            whole = Path(folder) / f"table.{form or 'csv'}"
            write(stages.landing, whole, table=table, min_label_score=least)
            with open(whole, "rb") as data:
                shutil.copyfileobj(data, sys.stdout.buffer)
        return
    if form:
        raise click.UsageError("--format is for FILE -: the name of a file says its own.")
    rows = write(stages.landing, Path(file), table=table, min_label_score=least)
    click.echo(f"{rows:,} {table} to {file}")


@command(
    "Find the nearest faces or images.",
    "pixelbrain search out/ --image me.jpg",
    "pixelbrain search out/ --image cat.jpg --similar -k 5 --json",
    "pixelbrain search out/ --image cat.jpg --by mymodule",
    'pixelbrain search out/ --person "Ann"',
)
@click.argument("out")
@click.option("--image", metavar="PHOTO", help="A file, or an s3:// URI.")
@click.option("--person", metavar="PERSON", help="A name, or an id: the photos of somebody.")
@click.option("--faces", "by", flag_value="faces", default="faces", help="The nearest faces, and whose. [default]")
@click.option("--embedder", metavar="onnx:FILE", help="Where the ONNX file of OUT's embedder is. [default: as before]")
@click.option("--similar", "by", flag_value="images", help="The images that look most alike.")
@click.option("--by", "module_of", metavar="NAME", help="The vectors of a module of your own, called as it is.")
@click.option("--module", metavar="FILE:CLASS", help="Where that module is. [default: as in the run]")
@click.option("-k", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@json_option
@size_option
@chroma_option
@out_options
@over_out
def search(
    stages: Stages,
    image: str | None,
    person: str | None,
    embedder: str | None,
    by: Any,
    module_of: str | None,
    module: str | None,
    k: int,
    as_json: bool,
) -> None:
    """Find the faces or the images of OUT that are nearest to a photo, by cosine distance (0: same, 2: opposite)."""
    from pixelbrain.apps.photo_search import search_person, search_photo

    if (image is None) == (person is None):
        raise click.UsageError("Missing option '--image': search by a photo, or with --person by somebody.")
    found = (
        search_photo(stages, image, by=module_of or by, k=k, embedder=embedder, module=module)
        if image
        else search_person(stages, person or "", k=k)
    )
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    writer = csv.writer(sys.stdout, delimiter="\t", lineterminator="\n")
    for query in found["queries"]:
        click.echo(query["title"])
        writer.writerow(found["columns"])
        writer.writerows(
            [[match[c] if match[c] is not None else "" for c in found["columns"]] for match in query["matches"]]
        )


@command(
    "Work with the photos and people in a browser.",
    "pixelbrain open out/",
    "pixelbrain open out/ --read-only --no-browser --port 9000",
    "pixelbrain open out/ --host 0.0.0.0 --token 'a long phrase of yours'",
    name="open",
)
@click.argument("out")
@click.option("--port", type=click.IntRange(0, 65535), help="0: any. [default: 8470, or any that is free]")
@click.option("--browser/--no-browser", default=True, help="Open one, or print the address alone.")
@click.option("--read-only", is_flag=True, help="Look, and correct nothing.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Listen there; with --token.")
@click.option("--token", envvar="PIXELBRAIN_TOKEN", metavar="SECRET", help="What opens the pages. [default: a new one]")
@label_option
@size_option
@mongo_option
@out_options
@over_out
def open_out(stages: Stages, port: int | None, browser: bool, read_only: bool, host: str, token: str | None) -> None:
    """Name, merge, split and search people and photos of OUT in a browser of this machine, until Ctrl-C.

    The pages are served to this machine alone, and open with the address that is printed, which holds a secret.
    """
    from pixelbrain.web.serve import serve

    def tell(address: str) -> None:
        click.echo(f"Open {address}\nCtrl-C ends it.", err=False)

    serve(stages, port=port, host=host, token=token or None, read_only=read_only, browser=browser, tell=tell)

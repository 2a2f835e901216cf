"""`pixelbrain open`, `report`, `export` and `search`: what others see and read of OUT."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
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
    where_option,
)

if TYPE_CHECKING:
    from pixelbrain.stages.stages import Stages


#: What is behind each path.
_PATHS = {"paths": "\n", "paths0": "\0"}


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
    "Write a table as CSV, JSON lines or Parquet, or all as COCO or WebDataset.",
    "pixelbrain export out/ images.csv",
    "pixelbrain export out/ faces.parquet --table faces",
    "pixelbrain export out/ - --table people --format jsonl",
    "pixelbrain export out/ ann.csv --where 'person = \"Ann\" and n_faces == 1'",
    "pixelbrain export out/ drop.txt --table duplicates --format paths",
    "pixelbrain export out/ faces.json --format coco",
    "pixelbrain export out/ shards/ --format webdataset --shard-size 1GB",
)
@click.argument("out")
@click.argument("file")
@click.option(
    "--table",
    type=click.Choice(["images", "faces", "people", "groups", "answers", "duplicates", "lookalikes", "maps"]),
    help="A row each of these; of groups, each image in one; of lookalikes, too, with the best. [default: images]",
)
@label_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl", "parquet", "coco", "webdataset", *_PATHS]),
    help="coco: images and faces in one .json; webdataset: photos in tar files; paths: one a line, of duplicates those "
    "to drop; paths0: for xargs -0. Else, of FILE -. [default: csv]",
)
@click.option(
    "--root",
    metavar="FOLDER",
    help="With coco: file names are relative to it. [default: the folder that all photos on disk are in]",
)
@click.option("--shard-size", metavar="SIZE", help="With webdataset: of a tar file, at most. [default: 256MB]")
@where_option
@out_options
@over_out
def export(
    stages: Stages,
    file: str,
    table: str | None,
    form: str | None,
    root: str | None,
    shard_size: str | None,
    where: str | None,
) -> None:
    """Write a table of OUT to FILE, whose name ends in .csv, .jsonl or .parquet; - is standard output.

    With --format coco, FILE is a .json of images, faces and people; with --format webdataset, it is a folder of tar
    files. Both may be in S3.
    """
    for given, name, of in ((root, "--root", "coco"), (shard_size, "--shard-size", "webdataset")):
        if given is not None and form != of:
            raise click.UsageError(f"{name} is for --format {of}.")
    if form in ("coco", "webdataset"):
        if table is not None:
            raise click.UsageError(f"--table is not for --format {form}, which holds images and faces.")
        _export_dataset(stages, file, form, root, shard_size, where)
        return
    from pixelbrain.report.export import export as write

    table, least, images = table or "images", stages.config.min_label_score, stages.context.choose(where)
    if form in _PATHS:
        from pixelbrain.report.export import export_paths

        if file != "-":
            count = export_paths(stages.landing, Path(file), table, images=images, end=_PATHS[form])
            click.echo(f"{count:,} paths to {file}")
            return
        with _to_standard_output("paths.txt") as whole:
            export_paths(stages.landing, whole, table, images=images, end=_PATHS[form])
        return
    if file == "-":
        with _to_standard_output(f"table.{form or 'csv'}") as whole:
            write(stages.landing, whole, table=table, min_label_score=least, images=images)
        return
    if form:
        raise click.UsageError("--format is for FILE -: the name of a file says its own.")
    rows = write(stages.landing, Path(file), table=table, min_label_score=least, images=images)
    click.echo(f"{rows:,} {table} to {file}")


def _export_dataset(
    stages: Stages, file: str, form: str, root: str | None, shard_size: str | None, where: str | None
) -> None:
    from pixelbrain.stages.export import export_coco, export_webdataset

    if form == "webdataset":
        done = export_webdataset(stages, file, shard_size=shard_size, where=where)
        told = [f"{done.photos:,} photos in {done.shards:,} tar files to {file}"]
        told += [f"{done.kept:,} of them as they were"] * bool(done.kept)
        told += [f"{done.failed:,} images that failed are in none"] * bool(done.failed)
        click.echo(", ".join(told))
    elif file == "-":
        with _to_standard_output("faces.json") as whole:
            export_coco(stages, str(whole), root=root, where=where)
    else:
        images, relative = export_coco(stages, file, root=root, where=where)
        click.echo(f"{images:,} images to {file}" + f", their files in {relative}" * bool(relative))


@contextlib.contextmanager
def _to_standard_output(name: str) -> Iterator[Path]:
    """A file that is written there once it is whole: all of it or nothing, as a file is."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / name
        with open(Path(folder) / name, "rb") as data:
            shutil.copyfileobj(data, sys.stdout.buffer)


@command(
    "Find photos by a photo, words or a person.",
    "pixelbrain search out/ --image me.jpg",
    "pixelbrain search out/ --image cat.jpg --similar -k 5 --json",
    "pixelbrain search out/ --image cat.jpg --by mymodule",
    'pixelbrain search out/ --text "a dog on a beach"',
    'pixelbrain search out/ --person "Ann"',
    "pixelbrain search out/ --image me.jpg --where 'n_faces == 1'",
)
@click.argument("out")
@click.option("--image", metavar="PHOTO", help="A file, or an s3:// URI.")
@click.option("--text", metavar="WORDS", help="What photos show, for an OUT of a run with --module clip.")
@click.option("--person", metavar="PERSON", help="A name, or an id: the photos of somebody.")
@click.option("--faces", "by", flag_value="faces", default="faces", help="The nearest faces, and whose. [default]")
@click.option("--embedder", metavar="onnx:FILE", help="Where the ONNX file of OUT's embedder is. [default: as before]")
@click.option("--clip-model", metavar="local-dir:DIR", help="Where OUT's own CLIP model is. [default: as before]")
@click.option("--similar", "by", flag_value="images", help="The images that look most alike.")
@click.option("--by", "module_of", metavar="NAME", help="The vectors of clip, or of a module of your own.")
@click.option("--module", metavar="FILE:CLASS", help="Where that module is. [default: as in the run]")
@click.option("-k", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@where_option
@json_option
@size_option
@chroma_option
@out_options
@over_out
def search(
    stages: Stages,
    image: str | None,
    text: str | None,
    person: str | None,
    embedder: str | None,
    clip_model: str | None,
    by: Any,
    module_of: str | None,
    module: str | None,
    k: int,
    where: str | None,
    as_json: bool,
) -> None:
    """Find the faces or the images of OUT that are nearest to a photo or to words, by cosine distance.

    0 is the same, 2 the opposite; of words the nearest photos are at 0.7 or so: only which are nearer counts.
    """
    from pixelbrain.apps.photo_search import search_person, search_photo, search_text

    if sum(one is not None for one in (image, text, person)) != 1:
        raise click.UsageError("Search by one of --image PHOTO, --text WORDS and --person NAME.")
    own: dict[str, Any] = {"clip_model": clip_model, "module": module, "where": where}
    if image is not None:
        found = search_photo(stages, image, by=module_of or by, k=k, embedder=embedder, **own)
    elif text is not None:
        found = search_text(stages, text, by=module_of or ("images" if by == "images" else "clip"), k=k, **own)
    else:
        found = search_person(stages, person or "", k=k, where=where)
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

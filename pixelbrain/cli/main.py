"""The `pixelbrain` command: each subcommand parses, calls the library, and prints."""

from __future__ import annotations

import csv
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from pixelbrain.cli.ask import ask
from pixelbrain.cli.cluster import cluster
from pixelbrain.cli.options import (
    EXIT_STRICT,
    address_option,
    chroma_option,
    command_options,
    configured,
    examples,
    merged_config,
    out_options,
    run_options,
    store_options,
    workflow_over,
)
from pixelbrain.cli.plan import plan
from pixelbrain.cli.submit import submit
from pixelbrain.cli.upkeep import compact, status, verify
from pixelbrain.cli.weights import weights
from pixelbrain.config import EMBEDDERS, STRATEGIES

if TYPE_CHECKING:
    from pixelbrain.config import RunConfig
    from pixelbrain.display import Display

__all__ = ["cli", "main", "tag_identity_main"]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=examples("pixelbrain demo", "pixelbrain run photos/ --out out/", "pixelbrain run s3://bucket/in --out out/"),
)
@click.version_option(package_name="pixelbrain")
def cli() -> None:
    """Turn a pile of photos, on disk or in S3, into answers: what is in each picture, and who."""


for command in (plan, ask, status, verify, compact, weights, cluster, submit):
    cli.add_command(command)


def main() -> None:
    """The console script `pixelbrain`."""
    cli()


def tag_identity_main() -> None:
    """The console script `tag_identity`."""
    tag_identity()


# --- the whole job -------------------------------------------------------------------------------------------------


@cli.command(
    short_help="The whole job on sample photos, offline.",
    epilog=examples("pixelbrain demo", "pixelbrain demo --out my-demo"),
)
@click.option("--out", default="pixelbrain-demo", show_default=True, metavar="DIR", help="Where the results go.")
@command_options
def demo(out: str, display: Display, debug: bool) -> None:
    """The whole job on the sample photos that come along, with packaged models and embedded databases.

    Needs no network and no server. The embedded MongoDB takes about 300 MB of disk under DIR/db; delete DIR when done.
    """
    from pixelbrain.apps.demo import run_demo

    for line in run_demo(out, display, debug=debug):
        click.echo(line)


@cli.command(
    short_help="Extract, load, identify and report.",
    epilog=examples(
        "pixelbrain run photos/ --out out/",
        "pixelbrain run s3://bucket/prefix --out out/ --module resnet",
        'pixelbrain run photos/ --out out/ --offline --classes tabby,"tiger cat"',
        "pixelbrain run list.csv --out out/ --config pipeline.yaml --limit 100",
    ),
)
@click.argument("source", required=False)
@run_options
@command_options
def run(source: str | None, strict: bool, print_config: bool, display: Display, debug: bool, **given: Any) -> None:
    """Extract, load, identify and report, in one go.

    SOURCE is a folder (searched with all below it), an image, a list file (.txt, or .csv and .parquet with a column
    `uri`), or s3://bucket/prefix. Images that have landed in OUT before are not done again: after an interruption,
    the same command goes on. Ctrl-C lands what is in flight; twice stops at once.
    """
    config = merged_config(source, given)
    if print_config:
        _print_config(config)
        return
    reports = configured(config, display, debug).run()
    click.echo(f"Open {reports['report'].as_uri()}")
    _strict(strict, reports["extract"].failed)


# --- one stage each ------------------------------------------------------------------------------------------------


@cli.command(
    short_help="Run the models; land Parquet in OUT.",
    epilog=examples("pixelbrain extract photos/ --out out/ --module resnet --classifier resnet18"),
)
@click.argument("source", required=False)
@run_options
@command_options
def extract(source: str | None, strict: bool, print_config: bool, display: Display, debug: bool, **given: Any) -> None:
    """Run the models over SOURCE and land a row an image in OUT/images, as Parquet.

    SOURCE is as for `run`. Images that have landed before with the same settings are not done again.
    """
    config = merged_config(source, given)
    if print_config:
        _print_config(config)
        return
    _strict(strict, configured(config, display, debug).extract().failed)


@cli.command(
    short_help="Fill MongoDB and ChromaDB from OUT.",
    epilog=examples("pixelbrain load out/", "pixelbrain load out/ --mongo mongodb://db.example/photos"),
)
@click.argument("out")
@store_options
@click.option("--rebuild", is_flag=True, help="Empty both stores first: when they hold another model's vectors.")
@command_options
def load(out: str, rebuild: bool, display: Display, debug: bool, **given: Any) -> None:
    """Bring MongoDB and ChromaDB in step with the Parquet files of OUT. Running it twice changes nothing."""
    workflow = workflow_over(out, display, debug, **given)
    with workflow.database() as database:
        workflow.load(database, rebuild=rebuild)


@cli.command(
    short_help="Cluster the faces to people.",
    epilog=examples("pixelbrain identify out/", "pixelbrain identify out/ --strategy dbscan"),
)
@click.argument("out")
@click.option("--strategy", type=click.Choice(STRATEGIES), help="[default: average]")
@click.option("--threshold", type=float, metavar="COSINE", help="Cosine similarity. [default: the embedder's own]")
@store_options
@command_options
def identify(out: str, threshold: float | None, display: Display, debug: bool, **given: Any) -> None:
    """Cluster the faces of OUT to people, over the vector index."""
    workflow = workflow_over(out, display, debug, **given)
    with workflow.database() as database:
        workflow.identify(database, threshold=threshold)


@cli.command(
    short_help="Group the images that look alike.",
    epilog=examples("pixelbrain group out/", "pixelbrain group out/ --threshold 0.9"),
)
@click.argument("out")
@click.option("--threshold", type=float, metavar="COSINE", help="Cosine similarity. [default: the classifier's own]")
@store_options
@command_options
def group(out: str, threshold: float | None, display: Display, debug: bool, **given: Any) -> None:
    """Group the images of OUT that look alike, over their ResNet vectors."""
    workflow = workflow_over(out, display, debug, **given)
    with workflow.database() as database:
        workflow.group(database, threshold=threshold)


@cli.command(short_help="Write the gallery.", epilog=examples("pixelbrain report out/"))
@click.argument("out")
@out_options
@command_options
def report(out: str, display: Display, debug: bool, **given: Any) -> None:
    """Write the gallery, OUT/report/index.html: it opens from disk, without a network."""
    click.echo(f"Open {workflow_over(out, display, debug, stores=False, **given).report().as_uri()}")


# --- results -------------------------------------------------------------------------------------------------------


@cli.command(
    short_help="Write a table as CSV, JSON lines or Parquet.",
    epilog=examples("pixelbrain export out/ images.csv", "pixelbrain export out/ faces.parquet --table faces"),
)
@click.argument("out")
@click.argument("file")
@click.option(
    "--table", type=click.Choice(["images", "faces"]), default="images", show_default=True, help="A row each of these."
)
@out_options
@command_options
def export(out: str, file: str, table: str, display: Display, debug: bool, **given: Any) -> None:
    """Write a table of OUT to FILE, whose name ends in .csv, .jsonl or .parquet."""
    from pathlib import Path

    from pixelbrain.report.export import export as write

    rows = write(workflow_over(out, display, debug, stores=False, **given).landing, Path(file), table=table)
    click.echo(f"{rows:,} {table} to {file}")


@cli.command(
    short_help="Find the nearest faces or images.",
    epilog=examples(
        "pixelbrain search out/ --image me.jpg",
        "pixelbrain search out/ --image cat.jpg --similar -k 5 --json",
    ),
)
@click.argument("out")
@click.option("--image", required=True, metavar="PHOTO", help="A file, or an s3:// URI.")
@click.option("--faces", "by", flag_value="faces", default="faces", help="The nearest faces, and whose. [default]")
@click.option("--similar", "by", flag_value="images", help="The images that look most alike.")
@click.option("-k", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@chroma_option
@out_options
@command_options
def search(out: str, image: str, by: str, k: int, as_json: bool, display: Display, debug: bool, **given: Any) -> None:
    """Find the faces or the images of OUT that are nearest to a photo, by cosine distance (0: same, 2: opposite)."""
    from pixelbrain.apps.photo_search import search_photo

    found = search_photo(workflow_over(out, display, debug, stores=False, **given), image, by=by, k=k)
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


# --- the prebuilt app ----------------------------------------------------------------------------------------------


@cli.command(
    "tag-identity",
    short_help="Who is in which photo, as a CSV.",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "tag_identity --data_path photos/ --export people.csv",
        "tag_identity --data_path s3://bucket/prefix --export people.csv --identifying_strategy dbscan --rm",
    ),
)
@click.option("--data_path", required=True, metavar="P", help="A folder, a list file or s3://bucket/prefix.")
@click.option("--export", "export_file", required=True, metavar="FILE.csv", help="A row an image, and who is in it.")
@click.option("--database_id", metavar="ID", help="Names the results, to add to them later. [default: from P]")
@click.option(
    "--identity_field_name", default="identity", show_default=True, metavar="F", help="The column of the identities."
)
@click.option(
    "--identifying_strategy",
    type=click.Choice(STRATEGIES),
    default="average",
    show_default=True,
    help="How faces become people.",
)
@click.option("--rm", "remove", is_flag=True, help="Remove the results' databases after the export.")
@click.option("--embedder", type=click.Choice(EMBEDDERS), help="[default: facenet]")
@click.option("--apply_people_detector", is_flag=True, help="Ask GPT-4 Vision first whether a photo shows a person.")
@click.option("--base_url", metavar="URL", help="Ask another server that speaks OpenAI's API.")
@click.option("--weights_dir", metavar="DIR", help="Look for weights here first.")
@click.option("--offline", is_flag=True, help="Use the packaged model (dlib); download nothing.")
@address_option
@command_options
def tag_identity(display: Display, debug: bool, **given: Any) -> None:
    """Who is in which photo: from a folder or S3 to a CSV, in one line."""
    from pixelbrain.apps.tag_identity import tag_identity as tag

    click.echo(tag(display=display, debug=debug, **given))


# --- shared --------------------------------------------------------------------------------------------------------


def _print_config(config: RunConfig) -> None:
    import yaml

    click.echo(yaml.safe_dump(config.as_dict(), sort_keys=False, allow_unicode=True), nl=False)


def _strict(strict: bool, failed: int) -> None:
    if strict and failed:
        sys.exit(EXIT_STRICT)

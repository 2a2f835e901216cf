"""`pixelbrain status`, `verify` and `compact`: what is in OUT, whether all agrees, and keeping it small."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from pixelbrain.cli.options import (
    EXIT_FAILED,
    command_options,
    examples,
    out_options,
    store_options,
    workflow_over,
)

if TYPE_CHECKING:
    from pixelbrain.display import Display

__all__ = ["compact", "status", "verify"]


@click.command(
    short_help="What is in OUT, and whether it is in step.",
    epilog=examples("pixelbrain status out/", "pixelbrain status out/ --json"),
)
@click.argument("out")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@store_options
@command_options
def status(out: str, as_json: bool, display: Display, debug: bool, **given: Any) -> None:
    """What is in OUT: images, failures by kind, faces, people, and whether the stores are in step."""
    from pixelbrain.apps.status import describe, read_status

    found = read_status(workflow_over(out, display, debug, **given))
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(describe(found)))


@click.command(
    short_help="Do Parquet, MongoDB and ChromaDB agree?",
    epilog=examples("pixelbrain verify out/", "pixelbrain verify out/ --repair"),
)
@click.argument("out")
@click.option("--repair", is_flag=True, help="Write both stores again from Parquet where they differ.")
@store_options
@command_options
def verify(out: str, repair: bool, display: Display, debug: bool, **given: Any) -> None:
    """Compare every image and every face in OUT with MongoDB and ChromaDB, value by value; exit 1 if they differ.

    Parquet is the truth: --repair writes the stores again from it, and compares once more.
    """
    workflow = workflow_over(out, display, debug, **given)
    with workflow.database() as database:
        found = workflow.verify(database)
        if repair and not found.ok:
            click.echo("\n".join(found.lines()))
            workflow.load(database, rebuild=True)
            found = workflow.verify(database)
    click.echo("\n".join(found.lines()))
    if not found.ok:
        sys.exit(EXIT_FAILED)


@click.command(
    short_help="Merge the small files of OUT.",
    epilog=examples("pixelbrain compact out/"),
)
@click.argument("out")
@out_options
@command_options
def compact(out: str, display: Display, debug: bool, **given: Any) -> None:
    """Merge the Parquet files of OUT/images into large ones, and drop what newer rows replaced.

    It may be stopped or killed at any moment: every image stays there exactly once, and the next call goes on.
    """
    found = workflow_over(out, display, debug, stores=False, **given).compact()
    click.echo(
        f"{found.files_before:,} files with {found.bytes_before / 1e6:,.1f} MB are {found.files_after:,} with "
        f"{found.bytes_after / 1e6:,.1f} MB now: {found.rows:,} images"
    )

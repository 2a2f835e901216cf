"""`pixelbrain demo`, `run`, `extract` and `plan`: from a source to OUT, and what that would take."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from pixelbrain.cli.options import (
    EXIT_FAILED,
    EXIT_STRICT,
    command,
    command_options,
    extract_options,
    json_option,
    merged_config,
    merged_settings,
    plan_options,
    run_options,
)

if TYPE_CHECKING:
    from pixelbrain.stages.display import Display
    from pixelbrain.stages.stages import Stages


@command("The whole job on sample photos, offline.", "pixelbrain demo", "pixelbrain demo --out my-demo")
@click.option("--out", default="pixelbrain-demo", show_default=True, metavar="DIR", help="Where the results go.")
@command_options
def demo(out: str, display: Display, debug: bool) -> None:
    """The whole job on the sample photos that come along, with packaged models and embedded databases.

    Needs no network and no server. The embedded MongoDB takes about 50 MB of disk under DIR/db; delete DIR when done.
    """
    from pixelbrain.apps.demo import run_demo

    for line in run_demo(out, display, debug=debug):
        click.echo(line)


@command(
    "Extract, load, identify and report.",
    "pixelbrain run photos/ --out out/",
    "pixelbrain run s3://bucket/prefix --out out/ --module resnet",
    "pixelbrain run photos/ 'more/**/*.jpg' --out out/",
    'pixelbrain run photos/ --out out/ --offline --classes tabby,"tiger cat"',
    "pixelbrain run list.csv --out out/ --config pipeline.yaml --limit 100",
)
@run_options
@command_options
def run(strict: bool, display: Display, debug: bool, **given: Any) -> None:
    """Extract, load, identify and report, in one go.

    SOURCE is a folder (searched with all below it), an image, a list file (.txt, or .csv and .parquet with a column
    `uri`, `url` or `path`), a .tar, s3://bucket/prefix, an https:// URL, or a glob in quotes; or several of them.
    Images that have landed in OUT before are not done again: after an interruption, the same command goes on. Ctrl-C
    lands what is in flight; twice stops at once.
    """
    reports = _stages(given, display, debug).run()
    click.echo(f"Open {reports['report'].as_uri()}")
    if strict and reports["extract"].failed:
        sys.exit(EXIT_STRICT)


@command(
    "Run the models; land Parquet in OUT.",
    "pixelbrain extract photos/ --out out/ --module resnet --classifier resnet18",
    "pixelbrain extract photos/ --out out/ --module facenet --where 'label = \"groom\"'",
)
@extract_options
@command_options
def extract(strict: bool, display: Display, debug: bool, **given: Any) -> None:
    """Run the models over SOURCE and land a row an image in OUT/images, as Parquet.

    SOURCE is as for `run`. Images that have landed before with the same settings are not done again.
    """
    if _stages(given, display, debug).extract().failed and strict:
        sys.exit(EXIT_STRICT)


@command(
    "What a run would do, and whether it fits.",
    "pixelbrain plan photos/ --out out/",
    "pixelbrain plan s3://bucket/in --out s3://bucket/out --address 10.0.0.1:6379 --gpus-per-actor 0.5",
    "pixelbrain plan photos/ --out out/ --layout staged --actors resnet=1:4 --actors decode=8",
)
@plan_options
@json_option
@command_options
def plan(as_json: bool, display: Display, debug: bool, **given: Any) -> None:
    """Print what `run` or `extract` with the same options would do, and do nothing.

    The pools of actors (at least and at most), what each reserves of CPUs, GPUs and memory, how many images go through
    a model at a time, what the object store holds, and whether the Ray at --address, or this machine, has room for it.
    Exits with 1 if not.
    """
    from pixelbrain.apps.plan import describe, plan_run

    found = plan_run(_stages(given, display, debug))
    click.echo(json.dumps(dataclasses.asdict(found), indent=2) if as_json else "\n".join(describe(found)))
    if found.shortage:
        click.secho(f"Error: {found.shortage}", err=True, fg="red")
        sys.exit(EXIT_FAILED)


def _stages(given: dict[str, Any], display: Display, debug: bool) -> Stages:
    """The stages of a run with these settings, which must name a source and an OUT; or the settings, and the end."""
    from pixelbrain.errors import LandingError
    from pixelbrain.stages.configured import run_config

    settings = merged_settings(given)
    try:
        config = run_config(settings)
    except LandingError:  # OUT cannot be read: a source that is wrong is said first
        if given.get("print_config"):  # as if it were not there
            config = merged_config(given)
        elif settings.get("source"):
            from pixelbrain.stages.stages import Stages

            Stages(merged_config(given), display, debug=debug).check("extract")
            raise
        else:
            raise
    if given.get("print_config"):
        import yaml

        click.echo(yaml.safe_dump(config.as_dict(), sort_keys=False, allow_unicode=True), nl=False)
        click.get_current_context().exit()
    if not config.source:
        raise click.UsageError("Missing SOURCE: a folder, an image, a list file or s3://bucket/prefix.")
    if not config.out:
        raise click.UsageError("Missing --out: the folder that results land in.")
    from pixelbrain.stages.stages import Stages

    return Stages(config, display, debug=debug)

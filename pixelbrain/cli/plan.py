"""`pixelbrain plan`: what a run would do, and whether it fits."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from pixelbrain.cli.options import EXIT_FAILED, command_options, configured, examples, merged_config, plan_options

if TYPE_CHECKING:
    from pixelbrain.display import Display

__all__ = ["plan"]


@click.command(
    short_help="What a run would do, and whether it fits.",
    epilog=examples(
        "pixelbrain plan photos/ --out out/",
        "pixelbrain plan s3://bucket/in --out s3://bucket/out --address 10.0.0.1:6379 --gpus-per-actor 0.5",
        "pixelbrain plan photos/ --out out/ --layout staged --actors resnet=1:4 --actors decode=8",
    ),
)
@click.argument("source", required=False)
@plan_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@command_options
def plan(source: str | None, as_json: bool, display: Display, debug: bool, **given: Any) -> None:
    """Print what `run` or `extract` with the same options would do, and do nothing.

    The pools of actors (at least and at most), what each reserves of CPUs, GPUs and memory, how many images go through
    a model at a time, what the object store holds, and whether the Ray at --address, or this machine, has room for it.
    Exits with 1 if not.
    """
    from pixelbrain.apps.plan import describe, plan_run

    found = plan_run(configured(merged_config(source, given), display, debug))
    click.echo(json.dumps(found.as_dict(), indent=2) if as_json else "\n".join(describe(found)))
    if found.shortage:
        click.secho(f"Error: {found.shortage}", err=True, fg="red")
        sys.exit(EXIT_FAILED)

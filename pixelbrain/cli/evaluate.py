"""`pixelbrain evaluate`: how well people were found."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

from pixelbrain.cli.options import command, json_option, out_options, over_out
from pixelbrain.config import STRATEGIES

if TYPE_CHECKING:
    from pixelbrain.stages.stages import Stages


@command(
    "Compare the people with labels of yours.",
    "pixelbrain evaluate out/ --folders photos/",
    "pixelbrain evaluate out/ --labels who.csv --curve curve.svg",
    "pixelbrain evaluate out/ --folders photos/ --calibrate 0.99",
)
@click.argument("out")
@click.option("--folders", metavar="DIR", help="A folder a person, of photos whose largest face is theirs.")
@click.option("--labels", metavar="CSV", help="Columns photo and person; for several faces a photo x1, y1, x2, y2.")
@click.option("--nobody", metavar="NAME", help="With --folders: this folder's photos show nobody, and are left out.")
@click.option("--strategy", type=click.Choice(STRATEGIES), help="Of the curve. [default: average]")
@click.option("--curve", "curve_file", metavar="SVG", help="Draw precision, recall and F over thresholds.")
@click.option("--calibrate", type=float, metavar="P", help="Keep the threshold that reaches this precision of pairs.")
@json_option
@out_options
@over_out
def evaluate(
    stages: Stages,
    folders: str | None,
    labels: str | None,
    nobody: str | None,
    curve_file: str | None,
    calibrate: float | None,
    as_json: bool,
) -> None:
    """Say how well the people that `identify` found in OUT match labels of yours, and choose a threshold by them."""
    from pixelbrain.apps.evaluate import evaluate_people, lines

    found = evaluate_people(
        stages, labels=labels, folders=folders, nobody=nobody, curve_file=curve_file, calibrate=calibrate
    )
    if as_json:
        click.echo(json.dumps({name: dataclasses.asdict(one) for name, one in found.items()}, indent=2))
    else:
        click.echo("\n".join(lines(found, stages.storage.uri)))

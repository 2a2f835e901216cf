"""`pixelbrain load`, `identify` and `group`: the stages between OUT and the stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pixelbrain.cli.options import command, over_out, store_options
from pixelbrain.config import STRATEGIES

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
    with stages.database() as database:
        stages.load(database, rebuild=rebuild)


@command("Cluster the faces to people.", "pixelbrain identify out/", "pixelbrain identify out/ --strategy dbscan")
@click.argument("out")
@click.option("--strategy", type=click.Choice(STRATEGIES), help="[default: average]")
@click.option("--threshold", type=float, metavar="COSINE", help="Cosine similarity. [default: the embedder's own]")
@store_options
@over_out
def identify(stages: Stages, threshold: float | None) -> None:
    """Cluster the faces of OUT to people, over the vector index."""
    with stages.database() as database:
        stages.identify(database, threshold=threshold)


@command("Group the images that look alike.", "pixelbrain group out/", "pixelbrain group out/ --threshold 0.9")
@click.argument("out")
@click.option("--threshold", type=float, metavar="COSINE", help="Cosine similarity. [default: the classifier's own]")
@store_options
@over_out
def group(stages: Stages, threshold: float | None) -> None:
    """Group the images of OUT that look alike, over their ResNet vectors."""
    with stages.database() as database:
        stages.group(database, threshold=threshold)

"""The `pixelbrain` command: the group that holds all others."""

from __future__ import annotations

import click

from pixelbrain.cli.ask import ask
from pixelbrain.cli.cluster import cluster
from pixelbrain.cli.evaluate import evaluate
from pixelbrain.cli.options import command
from pixelbrain.cli.people import people
from pixelbrain.cli.results import export, open_out, report, search
from pixelbrain.cli.run import demo, extract, plan, run
from pixelbrain.cli.stores import compact, duplicates, forget, group, identify, load, map_out, status, verify
from pixelbrain.cli.submit import submit
from pixelbrain.cli.tag_identity import tag_identity
from pixelbrain.cli.weights import weights


@command(
    "From photos to answers.",
    "pixelbrain demo",
    "pixelbrain run photos/ --out out/",
    "pixelbrain run s3://bucket/in --out out/",
    cls=click.Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="pixelbrain")
def cli() -> None:
    """Turn a pile of photos, on disk or in S3, into answers: what is in each picture, and who."""


for one in (
    demo, run, open_out, extract, plan, ask, load, identify, people, evaluate, forget, group, duplicates, map_out,
    report, export, search, status, verify, compact, tag_identity, weights, cluster, submit,
):  # fmt: skip
    cli.add_command(one)


def main() -> None:
    """The console script `pixelbrain`."""
    cli()

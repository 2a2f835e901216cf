"""`tag_identity`, also `pixelbrain tag-identity`: the prebuilt app, with the flags of its predecessor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pixelbrain.cli.options import address_option, command, command_options, embedder_option, executor_option
from pixelbrain.config import STRATEGIES

if TYPE_CHECKING:
    from pixelbrain.stages.display import Display


@command(
    "Who is in which photo, as a CSV.",
    "tag_identity --data_path photos/ --export people.csv",
    "tag_identity --data_path s3://bucket/prefix --export people.csv --identifying_strategy dbscan --rm",
    name="tag-identity",
    context_settings={"help_option_names": ["-h", "--help"]},
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
@embedder_option
@click.option("--apply_people_detector", is_flag=True, help="Ask GPT-4 Vision first whether a photo shows a person.")
@click.option("--base_url", metavar="URL", help="Ask another server that speaks OpenAI's API.")
@click.option("--weights_dir", metavar="DIR", help="Look for weights here first.")
@click.option("--offline", is_flag=True, help="Use the packaged model (dlib); download nothing.")
@click.option("--max_megapixels", type=click.IntRange(1), metavar="N", help="Of an image, at once. [default: 100]")
@executor_option
@address_option
@command_options
def tag_identity(display: Display, debug: bool, **given: Any) -> None:
    """Who is in which photo: from a folder or S3 to a CSV, in one line."""
    from pixelbrain.apps.tag_identity import tag_identity as tag

    click.echo(tag(display=display, debug=debug, **given))

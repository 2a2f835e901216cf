"""`pixelbrain weights`: which weights each model wants, from where, and whether they are here."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from pixelbrain.cli.options import command, command_options, json_option

if TYPE_CHECKING:
    from pixelbrain.modules.weights.find import WeightsState
    from pixelbrain.stages.display import Display


@command(
    "List, fetch or verify model weights.",
    "pixelbrain weights list",
    "pixelbrain weights fetch resnet50 --weights-dir weights/",
    cls=click.Group,
)
def weights() -> None:
    """Which weights each model wants, from where, and whether they are here."""


def _as_dict(state: WeightsState) -> dict[str, Any]:
    """For JSON; `sha256` is what was published, and `trusted` what stands in its place."""
    from pixelbrain.modules.weights.find import trusted_sha256

    file = {name: getattr(state.file, name) for name in ("name", "file_name", "used_by", "origin", "sha256")}
    trusted = trusted_sha256(state.path) if state.path else None
    return file | {"trusted": trusted, "path": state.path and str(state.path), "problem": state.problem}


_weights_dir = click.option("--weights-dir", metavar="DIR", help="Look here first, and put what is fetched here.")


@command(
    "Which weights, from where, and are they here.",
    "pixelbrain weights list --weights-dir weights/",
    group=weights,
    name="list",
)
@_weights_dir
@json_option
@command_options
def weights_list(weights_dir: str | None, as_json: bool, display: Display, debug: bool) -> None:
    """Print every weights file: who uses it, from where it comes, its sha256, and where it is."""
    from pixelbrain.modules.weights.find import list_weights, trusted_sha256

    states = list_weights(weights_dir)
    if as_json:
        click.echo(json.dumps([_as_dict(state) for state in states], indent=2))
        return
    for state in states:
        file = state.file
        click.echo(f"{file.name}: {file.file_name}, for {file.used_by}")
        click.echo(f"  from    {file.origin}")
        trusted = state.path and trusted_sha256(state.path)
        first = f": trusted on first use, {trusted or 'when it is fetched'}"
        click.echo(f"  sha256  {file.sha256 or f'not published{first}'}")
        click.echo(f"  here    {state.path or 'no'}")


@command(
    "Download weights.",
    "pixelbrain weights fetch",
    "pixelbrain weights fetch facenet-vggface2",
    group=weights,
    name="fetch",
)
@click.argument("names", nargs=-1)
@_weights_dir
@command_options
def weights_fetch(names: tuple[str, ...], weights_dir: str | None, display: Display, debug: bool) -> None:
    """Download the named weights (by default all that are downloads, but for those of --module clip), unless here."""
    from pixelbrain.modules.weights.find import fetch_weights
    from pixelbrain.modules.weights.table import WEIGHTS

    for name in names or [file.name for file in WEIGHTS.values() if file.url and not file.extra]:
        with display.stage(name, unit="bytes") as progress:
            path = fetch_weights(name, weights_dir, progress=progress)
        click.echo(f"{name}: {path}")


@command("Check the sha256 of those here.", "pixelbrain weights verify", group=weights, name="verify")
@_weights_dir
@json_option
@command_options
def weights_verify(weights_dir: str | None, as_json: bool, display: Display, debug: bool) -> None:
    """Check the sha256 of the weights that are here; exit 1 if one is not what it should be."""
    from pixelbrain.modules.weights.find import list_weights, trusted_sha256

    states = list_weights(weights_dir, verify=True)
    if as_json:
        click.echo(json.dumps([_as_dict(state) for state in states], indent=2))
    for state in () if as_json else states:
        known = state.file.sha256 or (state.path and trusted_sha256(state.path))
        good = "good" if known else "here, but its publisher names no sha256 to compare with"
        click.echo(f"{state.file.name}: {state.problem or ('missing' if state.path is None else good)}")
    if any(state.problem for state in states):
        sys.exit(1)

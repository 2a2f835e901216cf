"""`pixelbrain cluster`: a Ray on this machine that several commands share."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from pixelbrain.cli.options import EXIT_FAILED, command, command_options

if TYPE_CHECKING:
    from pixelbrain.engine.cluster.local_state import LocalCluster
    from pixelbrain.stages.display import Display


_NONE_RUNS = "No local cluster runs. `pixelbrain cluster up --local` starts one."


@command(
    "Start, look at and end a Ray that commands share.",
    "pixelbrain cluster up --local",
    "pixelbrain cluster down --local",
    cls=click.Group,
)
def cluster() -> None:
    """A Ray on this machine that several commands share, so that its start is paid for once.

    Commands find it by themselves. Clusters of several machines are started by Ray's own tools: cluster/README.md.
    """


def _check_local(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """--local has to be there: nobody should take this machine for a cluster's head by accident."""
    if not value:
        raise click.UsageError(
            "Missing --local: clusters are started here on this machine alone; cluster/README.md has others."
        )


_local = click.option("--local", is_flag=True, expose_value=False, callback=_check_local, help="On this machine.")


@command(
    "Start it.",
    "pixelbrain cluster up --local",
    "pixelbrain cluster up --local --dashboard --num-cpus 8",
    group=cluster,
)
@_local
@click.option("--dashboard", is_flag=True, help="With Ray's dashboard, which `pixelbrain submit` needs.")
@click.option("--num-cpus", type=click.IntRange(1), metavar="N", help="CPUs that Ray counts. [default: all]")
@click.option("--num-gpus", type=click.IntRange(0), metavar="N", help="GPUs that Ray counts. [default: all]")
@command_options
def up(dashboard: bool, num_cpus: int | None, num_gpus: int | None, display: Display, debug: bool) -> None:
    """Start a Ray that outlives this command, and that later commands join. A second call changes nothing.

    Its workers keep the environment that it is started in. It ends with `pixelbrain cluster down --local`.
    """
    from pixelbrain.engine.cluster import local_cluster

    running, new = local_cluster.up(num_cpus=num_cpus, num_gpus=num_gpus, dashboard=dashboard)
    dashboard_line = f", dashboard {running.dashboard}" if running.dashboard else ""
    click.echo(f"{'Started' if new else 'It is there already'}: Ray at {running.address}{dashboard_line}")
    if not new and (num_cpus, num_gpus, dashboard and not running.dashboard) != (None, None, False):
        display.warn("Its CPUs, GPUs and dashboard stay as they are; `pixelbrain cluster down --local` ends it.")


@command("End it.", "pixelbrain cluster down --local", group=cluster)
@_local
@command_options
def down(display: Display, debug: bool) -> None:
    """End the Ray of `pixelbrain cluster up --local` and all its processes. Nobody else's Ray is touched."""
    from pixelbrain.engine.cluster import local_cluster

    ended = local_cluster.down()
    click.echo(f"Ended: Ray at {ended.address}" if ended else "No local cluster runs.")


@command(
    "What runs, and how much of it is in use.",
    "pixelbrain cluster status --local",
    "pixelbrain cluster status --local --json",
    group=cluster,
)
@_local
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@command_options
def status(as_json: bool, display: Display, debug: bool) -> None:
    """Nodes, CPUs, GPUs and memory of the local cluster, its address and its dashboard; exit 1 if none runs."""
    from pixelbrain.engine.cluster import local_cluster, local_state

    running = local_state.find()
    if running is None:
        click.echo(json.dumps({"running": False}) if as_json else _NONE_RUNS)
        sys.exit(EXIT_FAILED)
    used = local_cluster.usage(running)
    click.echo(json.dumps(_as_json(running, used), indent=2) if as_json else "\n".join(_describe(running, used)))


def _as_json(running: LocalCluster, used: dict[str, Any]) -> dict[str, Any]:
    amounts = {name: {"used": used[name][0], "total": used[name][1]} for name in ("cpus", "gpus", "memory_bytes")}
    places = {"address": running.address, "dashboard": running.dashboard, "pid": running.pid, "folder": running.folder}
    return {"running": True, **places, "nodes": used["nodes"], **amounts}


def _describe(running: LocalCluster, used: dict[str, Any]) -> list[str]:
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(running.created))
    memory_used, memory = (amount / 2**30 for amount in used["memory_bytes"])
    return [
        f"address    {running.address}",
        f"dashboard  {running.dashboard or 'none'}",
        f"process    {running.pid}, since {since}",
        f"nodes      {used['nodes']}",
        f"CPUs       {used['cpus'][0]:g} of {used['cpus'][1]:g} in use",
        f"GPUs       {used['gpus'][0]:g} of {used['gpus'][1]:g} in use",
        f"memory     {memory_used:.1f} of {memory:.1f} GiB in use",
    ]

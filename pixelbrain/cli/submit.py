"""`pixelbrain submit`: another command of ours as a job on a Ray cluster, with its log here and its exit code."""

from __future__ import annotations

import contextlib
import itertools
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from pixelbrain.cli.options import EXIT_INTERRUPTED, command, command_options, merged_config
from pixelbrain.config import RunConfig, mask_uri

if TYPE_CHECKING:
    from pixelbrain.engine.cluster.jobs import Jobs
    from pixelbrain.stages.display import Display


#: What makes sense on a cluster: the others print, or write files on the machine that they run on.
_COMMANDS = ("run", "extract", "ask", "load", "identify", "group", "verify", "compact")
#: Where the nodes' environment can hold what must not be an argument.
_VARIABLES = {
    "mongo": "PIXELBRAIN_MONGO",
    "chroma": "PIXELBRAIN_CHROMA",
    "base_url": "OPENAI_BASE_URL",
    "s3_endpoint": "AWS_ENDPOINT_URL",
}


@command(
    "Run a command as a job on a cluster.",
    "pixelbrain submit --address http://HOST:8265 extract s3://bucket/in --out s3://bucket/out",
    "pixelbrain submit --working-dir . run s3://bucket/in --out s3://bucket/out --config pipeline.yaml",
    "pixelbrain submit --no-wait load s3://bucket/out",
    "pixelbrain submit --follow raysubmit_a1b2c3",
    context_settings={"allow_interspersed_args": False},
)
@click.option(
    "--address",
    metavar="URL",
    help="The dashboard's. [default: RAY_API_SERVER_ADDRESS, then that of `pixelbrain cluster up --local`]",
)
@click.option("--working-dir", metavar="DIR", help="Bring this folder along, without what its .gitignore names.")
@click.option("--runtime-env", "runtime_env_file", metavar="YAML", help="Ray's runtime environment, in a file.")
@click.option("--wait/--no-wait", default=True, help="Show the job's log until it ends, or submit and return.")
@click.option("--job-id", metavar="ID", help="The job's name. [default: Ray makes one]")
@click.option("--follow", "followed", metavar="ID", help="Show the log of a job that was submitted before.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND [ARGS]...")
@command_options
def submit(
    address: str | None,
    working_dir: str | None,
    runtime_env_file: str | None,
    wait: bool,
    job_id: str | None,
    followed: str | None,
    words: tuple[str, ...],
    display: Display,
    debug: bool,
) -> None:
    """Run COMMAND, which is one of run, extract, ask, load, identify, group, verify and compact, as a job on a cluster.

    Its arguments are checked here before anything is sent. The job's log is shown as it grows, and its exit code is
    ours. Ctrl-C asks whether to stop the job. Keys and passwords are the nodes' own: they go into their environment
    (OPENAI_API_KEY, AWS_*, PIXELBRAIN_MONGO, PIXELBRAIN_CHROMA), never into a job.
    """
    from pixelbrain.engine.cluster.dashboard import dashboard_address
    from pixelbrain.engine.cluster.job_check import read_runtime_env
    from pixelbrain.engine.cluster.jobs import Jobs

    if bool(words) == (followed is not None):
        raise click.UsageError("Give a COMMAND to submit, or --follow ID.")
    if followed is not None:
        jobs = Jobs(dashboard_address(address))
        sys.exit(_follow(jobs, followed, display))
    runtime_env = read_runtime_env(runtime_env_file) if runtime_env_file else {}
    sent, late_address = _take_address(words)
    if not sent:
        raise click.UsageError("Give a COMMAND to submit, or --follow ID.")
    _check(sent, working_dir or runtime_env.get("working_dir"))
    jobs = Jobs(dashboard_address(address or late_address))
    job_id = jobs.submit(
        f"python -m pixelbrain {shlex.join(sent)}", working_dir=working_dir, runtime_env=runtime_env, job_id=job_id
    )
    if not wait:
        click.echo(job_id)
        return
    display.line(f"submitted as {job_id} to {jobs.address}")
    sys.exit(_follow(jobs, job_id, display))


def _follow(jobs: Jobs, job_id: str, display: Display) -> int:
    """Show the log to its end, and return the exit code; Ctrl-C asks what is to become of the job."""
    from pixelbrain.engine.cluster.jobs import EXIT_STOPPED

    try:
        return jobs.follow(job_id, lambda text: click.echo(text, nl=False))
    except KeyboardInterrupt:
        click.echo(err=True)
    try:
        stop = click.confirm("Stop the job?", default=False, err=True)
    except click.Abort:
        stop = False
    if not stop:
        display.warn(f"It goes on. To follow it: pixelbrain submit --address {jobs.address} --follow {job_id}")
        return EXIT_INTERRUPTED
    jobs.stop(job_id)
    display.line("It lands what is in flight, and stops.")
    with contextlib.suppress(KeyboardInterrupt):  # another one leaves it to end by itself
        jobs.follow(job_id, lambda text: click.echo(text, nl=False))
    return EXIT_STOPPED


def _take_address(words: Sequence[str]) -> tuple[list[str], str | None]:
    """The words without an --address behind the command, which says where the job goes, and is not for the job."""
    kept: list[str] = []
    found: str | None = None
    rest = iter(words)
    for word in rest:
        if word == "--":
            kept += [word, *rest]
        elif word == "--address":
            found = next(rest, None)
            if found is None:
                raise click.UsageError("Option '--address' requires an argument.")
        elif word.startswith("--address="):
            found = word.partition("=")[2]
        else:
            kept.append(word)
    return kept, found


def _check(words: Sequence[str], working_dir: str | None) -> None:
    """Parse the command as it will be parsed on the cluster: a slip of the pen is an error now, not in ten minutes.

    Raises:
        click.UsageError: no such command, or not its arguments.
        ConfigError: settings that cannot work, a secret, or a file that stays behind.
    """
    from pixelbrain.engine.cluster.job_check import check_local_file, check_out, check_secret
    from pixelbrain.sources.globs import Glob, expand_braces, is_glob

    name, arguments = words[0], list(words[1:])
    root = click.get_current_context().find_root()
    group = root.command
    if name not in _COMMANDS or not isinstance(group, click.Group):
        raise click.UsageError(f"{name!r} is none of the commands to submit: {', '.join(_COMMANDS)}.")
    with group.commands[name].make_context(name, arguments, parent=root) as context:
        given = {
            parameter: value
            for parameter, value in context.params.items()
            if context.get_parameter_source(parameter) is ParameterSource.COMMANDLINE
        }
        for parameter, value in given.items():
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str):
                    check_secret(f"--{parameter.replace('_', '-')}", text, _VARIABLES.get(parameter))
        if given.get("config_file"):
            check_local_file("--config", given["config_file"], working_dir)
        for module in given.get("modules") or ():
            file = module.partition(":")[0].replace(".", "/")
            for path in (f"{file}.py", f"{file}/__init__.py"):
                if Path(path).is_file():
                    check_local_file(f"--module {module}:", path, working_dir)
        if "print_config" not in context.params:  # it takes no --config file: all is in the words
            check_out(given["out"])
            return
        config = _merged_config(context, working_dir)
    if config is None:
        return
    for parameter, variable in _VARIABLES.items():
        value = getattr(config, parameter, None)
        if value and mask_uri(value) != value:  # only a file can have it: words were checked
            raise click.UsageError(
                f"{given.get('config_file')} holds a secret in {parameter}, and would be copied to the cluster with "
                f"it: set {variable} in the nodes' environment."
            )
    if not config.source:
        raise click.UsageError("Missing SOURCE: s3://bucket/prefix, a list file, or a folder that all nodes share.")
    if not config.out:
        raise click.UsageError("Missing --out: s3://bucket/prefix, or a folder that all nodes share.")
    check_out(config.out)
    shared = "s3://bucket/prefix, or a folder that all nodes share"
    named = [config.source] if isinstance(config.source, str) else config.source
    for source in itertools.chain.from_iterable(map(expand_braces, named)):
        if "://" not in source:
            place = Glob(source).base or "." if is_glob(source) else source
            check_local_file("SOURCE", place, working_dir, instead=shared)


def _merged_config(context: click.Context, working_dir: str | None) -> RunConfig | None:
    """The settings of `run` or `extract`, its --config file merged in and checked; None if that is on the nodes alone.

    What a variable says here is not what it says on the nodes, and so it is left out.
    """
    given = {
        parameter: value
        for parameter, value in context.params.items()
        if context.get_parameter_source(parameter) is not ParameterSource.ENVIRONMENT
    }
    if given["config_file"]:
        file = Path(working_dir or ".") / given["config_file"]
        if not file.is_file():
            return None
        given["config_file"] = str(file)
    return merged_config(given)

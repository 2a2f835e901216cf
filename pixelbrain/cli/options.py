"""What the commands share: options, most of them derived from the settings of a run, and errors as one line."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
import logging
import os
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pixelbrain.config import Placement, RunConfig, read_config
from pixelbrain.errors import ConfigError, PixelbrainError, StoppedError
from pixelbrain.machine import spare_pandas

if TYPE_CHECKING:
    from pixelbrain.stages.display import Display


F = TypeVar("F", bound=Callable[..., Any])

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_STRICT = 3
EXIT_INTERRUPTED = 130


def command(short_help: str, *examples: str, group: click.Group | None = None, **settings: Any) -> Any:
    """Make a command of a function, with examples at the end of its help: one of a group, or one for `main` to add."""
    lines = "\n".join(f"  {example}" for example in examples)
    return (group or click).command(short_help=short_help, epilog=f"\b\nExamples:\n{lines}", **settings)


def command_options(function: F) -> F:
    """--quiet and --debug, and errors as one line with the way out. The command gets `display` and `debug`.

    The value of an `address_option` is RAY_ADDRESS while the command runs, which is where the engine looks.
    """

    @click.option("--quiet", "-q", is_flag=True, help="Show errors and results only.")
    @click.option("--debug", is_flag=True, help="Show Ray's log, and a traceback where something fails.")
    @functools.wraps(function)
    def wrapper(*args: Any, quiet: bool, debug: bool, ray_address: str | None = None, **kwargs: Any) -> Any:
        from pixelbrain.stages.display import Display

        logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s %(message)s")
        for noisy in ("chromadb", "pymongo", "botocore", "boto3", "urllib3", "PIL", "matplotlib", "s3transfer"):
            logging.getLogger(noisy).setLevel(logging.INFO if debug else logging.ERROR)
        spare_pandas()
        try:
            with _variable("RAY_ADDRESS", ray_address):
                return function(*args, display=Display(quiet=quiet), debug=debug, **kwargs)
        except StoppedError as error:
            click.secho(str(error), err=True, fg="yellow")
            sys.exit(EXIT_INTERRUPTED)
        except PixelbrainError as error:
            if debug:
                traceback.print_exc()
            click.secho(f"Error: {error}", err=True, fg="red")
            sys.exit(EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED)
        except KeyboardInterrupt:
            click.secho("Stopped. What has landed stays; the same command does the rest.", err=True, fg="yellow")
            sys.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_FAILED)

    return wrapper  # type: ignore[return-value]


#: What a command over an OUT may be told of its settings; see `RunConfig`.
OVER_OUT = ("s3_endpoint", "mongo", "chroma", "strategy", "max_megapixels", "min_label_score")


def over_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """`command_options` for a command over an OUT that is there already, which gets `stages`; see `Stages.over`."""

    @command_options
    @functools.wraps(function)
    def wrapper(*, out: str, display: Display, debug: bool, **given: Any) -> Any:
        from pixelbrain.stages.stages import Stages

        chosen = {name: given.pop(name) for name in OVER_OUT if name in given}
        stages = Stages.over(out, display, debug=debug, stores={"mongo", "chroma"} <= chosen.keys(), **chosen)
        return function(stages=stages, **given)

    return wrapper


@contextlib.contextmanager
def _variable(name: str, value: str | None) -> Iterator[None]:
    """A variable of the environment, inside; nothing is changed where there is no value."""
    before = os.environ.get(name)
    if value:
        os.environ[name] = value
    try:
        yield
    finally:
        if before is not None:
            os.environ[name] = before
        elif value:
            del os.environ[name]


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one, in the order of the help."""
    return lambda function: functools.reduce(lambda decorated, option: option(decorated), reversed(options), function)


def _settings(*names: str, unlisted: Collection[str] = ()) -> Callable[[F], F]:
    """The options that set these fields of `RunConfig`, as they are described there; `unlisted` ones are not in helps.

    The value None, or an empty one, means that nothing was given, so that a --config file or a default decides.
    """
    fields = RunConfig.__dataclass_fields__
    return _options(*(_option(fields[name], hidden=name in unlisted) for name in names))


def _option(setting: dataclasses.Field, *, hidden: bool) -> Callable[[F], F]:
    how = {"hidden": hidden, **setting.metadata}
    names = [how.pop("flag", f"--{setting.name.replace('_', '-')}"), setting.name]
    if "choices" in how:
        how["type"] = click.Choice(how.pop("choices"))
    if "span" in how:
        how["type"] = click.IntRange(*how.pop("span"))
    if how.pop("commas", False):
        how["callback"] = lambda _context, _option, value: next(csv.reader([value or ""], skipinitialspace=True), [])
    if "envvar" in how:  # a variable that is empty is none, and an empty value is the default, whatever a variable says
        how["callback"] = lambda _context, _option, value: value or None
    if "by_pool" in how:
        how |= {"multiple": True, "callback": functools.partial(_by_pool, how.pop("by_pool"), str(setting.type))}
    if setting.type == "bool":
        how |= {"is_flag": True, "default": None}
    return click.option(*names, **how)


def _by_pool(
    separator: str, type_: str, context: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> dict[str, Any]:
    """`NAME<separator>VALUE`, or `VALUE` for all pools, as a mapping."""
    found: dict[str, Any] = {}
    for value in values:
        name, there, rest = value.partition(separator)
        pool, wanted = (name, rest) if there else ("", value)
        try:
            found[pool] = float(wanted) if "float" in type_ else wanted
        except ValueError:
            raise click.BadParameter(f"{value!r}: write 0.5, or NAME=0.5") from None
    return found


#: The same as JSON, for programs; what people are told besides goes to standard error.
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
#: Of which images a command is to be, of those in OUT.
where_option = click.option(
    "--where", metavar="EXPR", help='Only these images, as: n_faces > 0 and person = "Ann". See docs/filters.md.'
)
#: Where OUT is, if it is s3://bucket/prefix.
out_options = _settings("s3_endpoint")
chroma_option = _settings("chroma")
mongo_option = _settings("mongo")
#: Which labels are shown as such.
label_option = _settings("min_label_score")
#: How large the images may be that are decoded.
size_option = _settings("max_megapixels")
#: What makes faces comparable, and what does the work.
embedder_option = _settings("embedder")
executor_option = _settings("executor")
#: Where OUT, MongoDB and ChromaDB are.
store_options = _settings("s3_endpoint", "mongo", "chroma")

#: Which Ray to join; the command gets nothing of it, see `command_options`.
address_option = click.option(
    "--address",
    "ray_address",
    envvar="RAY_ADDRESS",
    metavar="HOST:PORT",
    help="Join this Ray. [default: RAY_ADDRESS, then the cluster of `pixelbrain cluster up --local`, then its own]",
)


def _of_a_run(*unused: str, unlisted: Collection[str] = ()) -> Callable[[F], F]:
    """What a run does, to which images, where: without what a command has no use for."""

    def settings(*names: str) -> Callable[[F], F]:
        return _settings(*(name for name in names if name not in unused), unlisted=unlisted)

    return _options(
        click.argument("source", nargs=-1, metavar="SOURCE..."),
        settings("out", "modules", "classifier", "classes", "top_k", "min_label_score"),
        settings("embedder", "turns", "strategy", "clip_model", "labels", "label_template", "weights_dir", "offline"),
        settings(*Placement.__dataclass_fields__),
        address_option,
        settings("s3_endpoint", "mongo", "chroma"),
        settings("column", "where", "hidden", "limit", "max_megapixels", "retry_failed", "force"),
        settings("prune", "prune_gone_source", "thumbnails"),
        click.option("--config", "config_file", metavar="YAML", help="The same settings in a file; flags win."),
    )


_OF_LATER_STAGES = ("min_label_score", "strategy", "mongo", "chroma")
_ENDS = _options(
    click.option("--print-config", is_flag=True, help="Print the merged settings as YAML, and do nothing."),
    click.option("--strict", is_flag=True, help="Exit with 3 when any image failed."),
)
run_options = _options(_of_a_run(), _ENDS)
extract_options = _options(_of_a_run(*_OF_LATER_STAGES), _ENDS)
#: It is asked with the options of a run or an extract, and so it takes all of theirs.
plan_options = _of_a_run(unlisted=(*_OF_LATER_STAGES, "prune", "prune_gone_source", "thumbnails"))


def merged_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `plan_options` over those of their --config file; as yet unchecked. Raises `ConfigError`."""
    settings = read_config(given["config_file"]) if given["config_file"] else {}
    flags = {name: given[name] for name in RunConfig.__dataclass_fields__ if given.get(name) not in (None, (), [], {})}
    return settings | flags


def merged_config(given: Mapping[str, Any]) -> RunConfig:
    """The same, checked, whatever OUT has. Raises `ConfigError`."""
    return RunConfig(**merged_settings(given))

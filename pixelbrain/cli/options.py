"""What the commands share: their options, and how an error becomes one line and an exit code."""

from __future__ import annotations

import contextlib
import csv
import functools
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pixelbrain.cli.placement_options import placement_options
from pixelbrain.config import CLASSIFIERS, DEVICES, EMBEDDERS, STRATEGIES
from pixelbrain.errors import ConfigError, PixelbrainError, StoppedError

if TYPE_CHECKING:
    from pixelbrain.config import RunConfig
    from pixelbrain.display import Display
    from pixelbrain.workflow import Workflow

__all__ = [
    "address_option",
    "chroma_option",
    "command_options",
    "configured",
    "examples",
    "merged_config",
    "out_options",
    "plan_options",
    "run_options",
    "store_options",
    "workflow_over",
]

F = TypeVar("F", bound=Callable[..., Any])

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_STRICT = 3
EXIT_INTERRUPTED = 130


def examples(*lines: str) -> str:
    """A help text's last paragraph."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def command_options(function: F) -> F:
    """--quiet and --debug, and errors as one line with the way out. The command gets `display` and `debug`.

    The value of an `address_option` is RAY_ADDRESS while the command runs, which is where the engine looks.
    """

    @click.option("--quiet", "-q", is_flag=True, help="Show errors and results only.")
    @click.option("--debug", is_flag=True, help="Show Ray's log, and a traceback where something fails.")
    @functools.wraps(function)
    def wrapper(*args: Any, quiet: bool, debug: bool, ray_address: str | None = None, **kwargs: Any) -> Any:
        from pixelbrain.display import Display

        logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s %(message)s")
        for noisy in ("chromadb", "pymongo", "botocore", "boto3", "urllib3", "PIL", "matplotlib", "s3transfer"):
            logging.getLogger(noisy).setLevel(logging.INFO if debug else logging.ERROR)
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


@contextlib.contextmanager
def _variable(name: str, value: str | None) -> Iterator[None]:
    """A variable of the environment, inside; nothing is changed where there is no value."""
    before = os.environ.get(name)
    if value:
        os.environ[name] = value
    try:
        yield
    finally:
        if value:
            os.environ.pop(name, None)
            if before is not None:
                os.environ[name] = before


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


#: Where OUT is, if it is s3://bucket/prefix.
out_options = click.option("--s3-endpoint", metavar="URL", help="Another S3 server than AWS's.")

#: Which Ray to join; the command gets nothing of it, see `command_options`.
address_option = click.option(
    "--address",
    "ray_address",
    envvar="RAY_ADDRESS",
    metavar="HOST:PORT",
    help="Join this Ray. [default: RAY_ADDRESS, then the cluster of `pixelbrain cluster up --local`, then its own]",
)

#: Where ChromaDB is. A variable that is empty is none, and an empty value is the default, whatever a variable says.
chroma_option = click.option(
    "--chroma",
    envvar="PIXELBRAIN_CHROMA",
    metavar="URL_OR_DIR",
    callback=lambda context, parameter, value: value or None,
    help="ChromaDB: http://host:port/name or a folder. [default: PIXELBRAIN_CHROMA, or OUT/db/chroma]",
)

#: Where OUT, MongoDB and ChromaDB are. Passwords come by the variables: a command line is for everyone to see.
store_options = _options(
    out_options,
    click.option(
        "--mongo",
        envvar="PIXELBRAIN_MONGO",
        metavar="URI",
        callback=lambda context, parameter, value: value or None,
        help="MongoDB, as mongodb://host/name. [default: PIXELBRAIN_MONGO, or embedded, in OUT/db/mongo]",
    ),
    chroma_option,
)

#: What a run does, to which images, where. None means: not given, so that a --config file or a default decides.
plan_options = _options(
    click.option("--out", metavar="OUT", help="The folder, or s3://bucket/prefix, that results land in."),
    click.option(
        "--module",
        "modules",
        metavar="NAME",
        multiple=True,
        help="resnet, facenet, or your own as package.file:Class; repeatable. [default: resnet and facenet]",
    ),
    click.option("--classifier", type=click.Choice(CLASSIFIERS), help="[default: resnet50]"),
    click.option("--classes", metavar="A,B", help='Pick out of these ImageNet classes alone: tabby,"tiger cat".'),
    click.option("--top-k", type=click.IntRange(1, 1000), metavar="N", help="Labels a photo gets. [default: 5]"),
    click.option("--embedder", type=click.Choice(EMBEDDERS), help="[default: facenet, which is vggface2]"),
    click.option("--strategy", type=click.Choice(STRATEGIES), help="How faces become people. [default: average]"),
    click.option("--weights-dir", metavar="DIR", help="Look for weights here first."),
    click.option(
        "--offline/--online",
        default=None,
        help="Use the packaged models (efficientnet-lite0, dlib) unless others are named; download nothing.",
    ),
    click.option("--device", type=click.Choice(DEVICES), help="[default: auto]"),
    *placement_options,
    address_option,
    store_options,
    click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N images."),
    click.option("--retry-failed", is_flag=True, default=None, help="Do images again that failed."),
    click.option("--force", is_flag=True, default=None, help="Start over: do all images again."),
    click.option("--prune", is_flag=True, default=None, help="Remove images from OUT that are gone from SOURCE."),
    click.option("--config", "config_file", metavar="YAML", help="The same settings in a file; flags win."),
)

#: What `run` and `extract` can be told: that, and how to end.
run_options = _options(
    plan_options,
    click.option("--print-config", is_flag=True, help="Print the merged settings as YAML, and do nothing."),
    click.option("--strict", is_flag=True, help="Exit with 3 when any image failed."),
)


def workflow_over(out: str, display: Display, debug: bool, *, stores: bool = True, **given: Any) -> Workflow:
    """The stages over an OUT that is there already; see `Workflow.over`."""
    from pixelbrain.workflow import Workflow

    return Workflow.over(out, display, debug=debug, stores=stores, **given)


def merged_config(source: str | None, given: dict[str, Any]) -> RunConfig:
    """The settings of `run_options` over those of their --config file. Raises `ConfigError`."""
    from pixelbrain.config import RunConfig, read_config

    file = given.pop("config_file")
    settings = read_config(file) if file else {}
    if given["classes"] is not None:
        given["classes"] = next(csv.reader([given["classes"]], skipinitialspace=True), [])
    flags = {name: value for name, value in {"source": source, **given}.items() if value not in (None, ())}
    return RunConfig(**{**settings, **flags})


def configured(config: RunConfig, display: Display, debug: bool) -> Workflow:
    """The stages of a run with these settings, which must name a source and an OUT."""
    if not config.source:
        raise click.UsageError("Missing SOURCE: a folder, an image, a list file or s3://bucket/prefix.")
    if not config.out:
        raise click.UsageError("Missing --out: the folder that results land in.")
    from pixelbrain.workflow import Workflow

    return Workflow(config, display, debug=debug)

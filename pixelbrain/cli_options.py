"""What the commands share: their options, and how an error becomes one line and an exit code."""

from __future__ import annotations

import functools
import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pixelbrain.config import CLASSIFIERS, DEVICES, EMBEDDERS, STRATEGIES
from pixelbrain.errors import ConfigError, PixelbrainError, StoppedError

if TYPE_CHECKING:
    from pixelbrain.display import Display
    from pixelbrain.workflow import Workflow

__all__ = ["command_options", "examples", "out_options", "run_options", "store_options", "workflow_over"]

F = TypeVar("F", bound=Callable[..., Any])

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_STRICT = 3
EXIT_INTERRUPTED = 130


def examples(*lines: str) -> str:
    """A help text's last paragraph."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def command_options(function: F) -> F:
    """--quiet and --debug, and errors as one line with the way out. The command gets `display` and `debug`."""

    @click.option("--quiet", "-q", is_flag=True, help="Show errors and results only.")
    @click.option("--debug", is_flag=True, help="Show Ray's log, and a traceback where something fails.")
    @functools.wraps(function)
    def wrapper(*args: Any, quiet: bool, debug: bool, **kwargs: Any) -> Any:
        from pixelbrain.display import Display

        logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s %(message)s")
        for noisy in ("chromadb", "pymongo", "botocore", "boto3", "urllib3", "PIL", "matplotlib", "s3transfer"):
            logging.getLogger(noisy).setLevel(logging.INFO if debug else logging.ERROR)
        try:
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


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


#: Where OUT is, if it is s3://bucket/prefix.
out_options = click.option("--s3-endpoint", metavar="URL", help="Another S3 server than AWS's.")

#: Where OUT, MongoDB and ChromaDB are.
store_options = _options(
    out_options,
    click.option(
        "--mongo", metavar="URI", help="MongoDB, as mongodb://host/name. [default: embedded, in OUT/db/mongo]"
    ),
    click.option(
        "--chroma", metavar="URL_OR_DIR", help="ChromaDB: http://host:port or a folder. [default: OUT/db/chroma]"
    ),
)

#: What `run` and `extract` do to which images. None means: not given, so that a --config file or a default decides.
run_options = _options(
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
    store_options,
    click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N images."),
    click.option("--retry-failed", is_flag=True, default=None, help="Do images again that failed."),
    click.option("--force", is_flag=True, default=None, help="Start over: do all images again."),
    click.option("--prune", is_flag=True, default=None, help="Remove images from OUT that are gone from SOURCE."),
    click.option("--config", "config_file", metavar="YAML", help="The same settings in a file; flags win."),
    click.option("--print-config", is_flag=True, help="Print the merged settings as YAML, and do nothing."),
    click.option("--strict", is_flag=True, help="Exit with 3 when any image failed."),
)


def workflow_over(out: str, display: Display, debug: bool, *, stores: bool = True, **given: Any) -> Workflow:
    """The stages over an OUT that is there already; see `Workflow.over`."""
    from pixelbrain.workflow import Workflow

    return Workflow.over(out, display, debug=debug, stores=stores, **given)

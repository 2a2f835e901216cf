"""One Ray for all stages of a run: found, joined, or started here and stopped afterwards."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator

from pixelbrain.errors import EngineError

__all__ = ["ray_session"]

logger = logging.getLogger(__name__)

_OBJECT_STORE_BYTES = 256 * 1024 * 1024  # no pixel travels through it: manifests and summaries do


@contextlib.contextmanager
def ray_session(*, debug: bool = False) -> Iterator[None]:
    """Ray, ready to use: the one that runs in this process, the one at RAY_ADDRESS, or a local one of our own.

    Raises:
        EngineError: no Ray answers at RAY_ADDRESS, or none can be started.
    """
    # read when ray is imported: no call home, and the interpreter that runs us for the workers too
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    _quieten(debug)
    if ray.is_initialized():
        yield
        return
    with contextlib.nullcontext() if debug else _native_stderr_dropped():
        _start(debug)
        try:
            yield
        finally:
            ray.shutdown()


def _start(debug: bool) -> None:
    address = os.environ.get("RAY_ADDRESS")
    for left in (1, 0):
        try:
            _init(address, debug)
            return
        except Exception as error:  # Ray raises nothing narrower when its processes take too long to start
            if left and not address:  # as on a busy machine: the second time, its files are in memory
                logger.info("Ray did not start, once more: %s", error)
                continue
            where = f"no Ray answers at RAY_ADDRESS={address}" if address else "a local Ray could not be started"
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise EngineError(f"{where}: {reason}") from error


def _init(address: str | None, debug: bool) -> None:
    import ray

    local = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        ray.init(
            address=address or "local",
            log_to_driver=debug,
            logging_level=logging.INFO if debug else logging.ERROR,
            **({} if address else local),
        )


@contextlib.contextmanager
def _native_stderr_dropped() -> Iterator[None]:
    """Ray's C++ parts write straight to file descriptor 2; what Python writes to sys.stderr still arrives.

    Left alone where sys.stderr is not that descriptor: in a notebook, or under a test's capture.
    """
    try:
        ours = sys.stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        yield
        return
    original, kept = sys.stderr, os.dup(2)
    sys.stderr.flush()
    with open(os.devnull, "wb") as nowhere, os.fdopen(kept, "w", buffering=1, errors="backslashreplace") as screen:
        os.dup2(nowhere.fileno(), 2)
        sys.stderr = screen
        try:
            yield
        finally:
            sys.stderr = original
            os.dup2(screen.fileno(), 2)


def _quieten(debug: bool) -> None:
    """Ray's log lines stay off the user's screen; ours say what goes on."""
    if not debug:  # errors too: they come back as exceptions
        logging.getLogger("ray").setLevel(logging.CRITICAL)

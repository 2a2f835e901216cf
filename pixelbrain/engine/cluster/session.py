"""One Ray for all stages of a run: found, joined, or started here and stopped afterwards."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from pixelbrain.engine.cluster.address import check_address, check_reachable
from pixelbrain.engine.cluster.local_state import find_fitting
from pixelbrain.engine.ray_private import bare_start, running_here
from pixelbrain.errors import EngineError
from pixelbrain.machine import bypass_proxies, ray_parent

logger = logging.getLogger(__name__)

#: Of every Ray that we start: no call home, the interpreter that runs us for the workers too, and GPUs as they are;
#: workers stay for the next stage or command, where Ray would end them after a second and start others; and a model's
#: thread that waits for the others soon sleeps, where libgomp would have it keep the CPU that they, or decoding, could
#: have: of 24 photos on two busy CPUs, faces took 9 s of CPU instead of 29 to 49; on two that were nearly free, they
#: took as long as before (to sleep at once, by OMP_WAIT_POLICY=PASSIVE, takes a quarter longer). Ray Data starts 32
#: actors for the footers of Parquet files, however few, of which each takes a second to import what it needs. What a
#: dashboard says of nodes and processes is looked up every 15 s, where Ray does so every 5 s, for .06 s of CPU each.
RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
    "GOMP_SPINCOUNT": "1000",
    "RAY_DATA_PARQUET_FOOTER_NUM_ACTORS": "2",
    "REPORTER_UPDATE_INTERVAL_MS": "15000",
}
#: Of a Ray on one machine: no pixel travels through it; manifests and summaries do.
OBJECT_STORE_BYTES = 256 * 1024 * 1024


@contextlib.contextmanager
def ray_session(*, address: str | None = None, debug: bool = False) -> Iterator[None]:
    """Ray, ready to use.

    The one that runs in this process; else the one at `address` or RAY_ADDRESS; else the local cluster, if one runs
    (`pixelbrain cluster up --local`); else one of our own, which ends with the block.

    Raises:
        ConfigError: an address that is none of a Ray's.
        EngineError: no Ray that we can join answers there, or none can be started.
    """
    set_environment()
    import ray

    if not debug:
        quiet_ray()
    if ray.is_initialized():
        yield
        return
    with contextlib.nullcontext() if debug else _native_stderr_dropped():
        _start(find_ray(address), debug)
        try:
            yield
        finally:
            ray.shutdown()


def quiet_ray() -> None:
    """Ray's log stays off the screen, its errors too: they come back as exceptions."""
    import ray  # noqa: F401  (sets the level, so that it comes first)

    logging.getLogger("ray").setLevel(logging.CRITICAL)


def find_ray(address: str | None = None) -> str | None:
    """Where the Ray to join answers, see `ray_session`; None: there is none. Raises as that does."""
    set_environment()
    if given := address or os.environ.get("RAY_ADDRESS"):
        address = check_address(given)
        if address == "auto":
            try:
                address = running_here()
            except ConnectionError as error:
                raise EngineError(f"RAY_ADDRESS=auto: {_line(error)}") from None
        if address == "local":
            return None
        check_reachable(address)
        return address
    if (cluster := find_fitting()) is not None:
        try:
            check_reachable(cluster.address)
            return cluster.address
        except EngineError as error:  # nobody asked for it by name
            logger.warning("the local cluster is no use, this command starts a Ray of its own: %s", error)
    return None


def connected() -> bool:
    """Whether this process has a Ray already."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


def set_environment() -> None:
    """Say what Ray reads when it is imported, and have it ask no proxy for this machine's own addresses."""
    bypass_proxies()
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _start(address: str | None, debug: bool) -> None:
    for left in (1, 0):
        try:
            _init(address, debug)
            return
        except Exception as error:  # Ray raises nothing narrower when its processes take too long to start
            if left and not address:  # as on a busy machine: the second time, its files are in memory
                logger.info("Ray did not start, once more: %s", error)
                continue
            where = f"the Ray at {address} cannot be joined" if address else "a local Ray could not be started"
            raise EngineError(f"{where}: {_line(error)}") from error


def _line(error: BaseException) -> str:
    """What an error says, as one line: of two versions that do not fit, both are said."""
    return " ".join(str(error).split()) or type(error).__name__


def _init(address: str | None, debug: bool) -> None:
    import ray

    local: dict[str, Any] = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    if not address:
        local["_temp_dir"] = str(ray_parent("ray") / "ray")  # where Ray has it, if that is short enough
    with warnings.catch_warnings(), contextlib.nullcontext() if address else bare_start(logs=debug):
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
    ours = False
    with contextlib.suppress(OSError, ValueError, AttributeError):
        ours = sys.stderr.fileno() == 2
    if not ours:
        yield
        return
    original, kept = sys.stderr, os.dup(2)
    sys.stderr.flush()
    with open(os.devnull, "wb") as nowhere, os.fdopen(kept, "w", buffering=1, errors="backslashreplace") as screen:
        os.dup2(nowhere.fileno(), 2)
        sys.stderr = screen
        heard = [h for h in logging.getLogger().handlers if getattr(h, "stream", None) is original]
        for handler in heard:  # what we warn of is written to the screen, too
            handler.setStream(screen)
        try:
            yield
        finally:
            for handler in heard:
                handler.setStream(original)
            sys.stderr = original
            os.dup2(screen.fileno(), 2)

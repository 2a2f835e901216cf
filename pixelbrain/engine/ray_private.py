"""What Ray keeps private, asked for here alone: a Ray that has changed it is an `EngineError` of one line."""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from pixelbrain.errors import EngineError

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.job_submission import JobSubmissionClient

#: The versions with which all of this was seen to work, from the first on and before the last; as in pyproject.
SEEN = ("2.60", "2.64")
#: `ray` in a process, without what `ray serve` and `ray job` import, pandas too: .8 of 1.6 s of CPU.
RAY = (
    sys.executable,
    "-c",
    "import sys; sys.modules |= dict.fromkeys(('ray.serve', 'ray.dashboard.modules.job.cli')); "
    "from ray.scripts.scripts import main; main()",
)

_HANDED_AHEAD = 64  # blocks that wait for an actor: a step, of a tenth of a second at most, hands out no more
_KEPT = 256  # blocks that were handed out last: with hundreds of actors, what they have in hand is of these
_NEXT_BLOCK_S = 0.1


def actors_restarting() -> list[str]:
    """Ids of this job's actors that wait for a node or a process."""
    import ray

    # the public list of actors asks the dashboard, which may not run
    state = _private("ray._private.state", "state")
    job = ray.JobID(bytes.fromhex(ray.get_runtime_context().get_job_id()))
    try:
        return list(state.actor_table(None, job, "RESTARTING"))
    except (AttributeError, TypeError):
        raise _changed("ray._private.state.state.actor_table") from None


def between_steps(look: Callable[[], Callable[[], None]], feed: Feed) -> list[type]:
    """Classes for Ray Data's `custom_execution_callback_classes`, of a dataset that is made of no block.

    For each pass, `look` makes what is called between two steps, in the thread that hands out the work; what that
    raises comes out of the pass. Then `feed` gives the blocks that the dataset has, as there is room for them.
    """
    base = _private("ray.data._internal.execution.execution_callback", "ExecutionCallback")

    class BetweenSteps(base):  # type: ignore[misc,valid-type]
        def __init__(self) -> None:
            self._look = look()

        def before_execution_starts(self, executor: Any) -> None:
            self._source = _Source(executor, feed)

        def on_execution_step(self, executor: Any) -> None:
            self._look()
            self._source.go_on()

    return [BetweenSteps]


class Feed(Protocol):
    """Blocks that are made while others are worked off."""

    ended: bool  # whether all were given

    def __call__(self, most: int, wait_s: float) -> list[pa.Table]:
        """The next ones, at most so many; the first is waited for so long."""


class _Source:
    """Where a pass's blocks come from: Ray Data has all of them when it begins, or a process that makes them.

    One that was handed out is kept until many others were: what a node took with it is made again of it.
    """

    def __init__(self, executor: Any, feed: Feed) -> None:
        self._feed = feed
        try:
            self._operator, state = next(iter(executor._topology.items()))
            self._queue, self._blocks = state.output_queue, self._operator._input_data
            self._operator._input_data_index, self._queue.num_blocks  # noqa: B018
        except (AttributeError, TypeError):
            raise _changed("ray.data's StreamingExecutor._topology") from None
        self._operator.has_execution_finished = lambda: feed.ended

    def go_on(self) -> None:
        """Add what there is room for; where nothing is left to hand out, the next block is waited for."""
        waiting = self._queue.num_blocks
        self._blocks += map(_bundle, self._feed(_HANDED_AHEAD - waiting, 0 if waiting else _NEXT_BLOCK_S))
        if (old := self._operator._input_data_index - _KEPT) > 0:
            del self._blocks[:old]
            self._operator._input_data_index = _KEPT


def _bundle(block: pa.Table) -> Any:
    """A block as Ray Data hands it out."""
    import ray
    from ray.data.block import BlockAccessor

    interfaces = "ray.data._internal.execution.interfaces"
    entry = _private(interfaces, "BlockEntry")(ray.put(block), BlockAccessor.for_block(block).get_metadata())
    return _private(interfaces, "RefBundle")((entry,), owns_blocks=False, schema=block.schema)


def gpus_here() -> int:
    """GPUs that a Ray would count if it were started here."""
    manager = _private("ray._private.accelerators", "get_accelerator_manager_for_resource")("GPU")
    try:
        count = manager.get_current_node_num_accelerators()
        visible = manager.get_current_process_visible_accelerator_ids()
    except AttributeError:
        raise _changed("ray._private.accelerators") from None
    return count if visible is None else min(count, len(visible))


@contextlib.contextmanager
def bare_start(*, logs: bool) -> Iterator[None]:
    """A Ray that starts in the block has no process that only others would need.

    None for a dashboard, which Ray starts without one, too, and waits for; none that starts and ends nodes; and without
    `logs` none that looks through the workers' logs for a driver that shows them.
    """
    node = _private("ray._private.node", "Node")
    names = ["start_api_server", "start_monitor", *([] if logs else ["start_log_monitor"])]
    # another Ray may call them otherwise, and starts them
    theirs = {name: getattr(node, name) for name in names if hasattr(node, name)}
    for name in theirs:
        setattr(node, name, lambda *_self, **_given: None)
    try:
        yield
    finally:
        for name, method in theirs.items():
            setattr(node, name, method)


def running_here() -> str:
    """The address of the Ray that was started last on this machine: Ray's `auto`. `ConnectionError`: there is none."""
    return str(_private("ray._private.services", "canonicalize_bootstrap_address_or_die")("auto"))


def ask_version(address: str, *, timeout_s: float) -> str | None:
    """Ray's version at host:port; None: it does not take our token, or wants one. `EngineError`: nobody answers."""
    import grpc

    # knows of RAY_USE_TLS, and shows the token in token mode
    open_channel = _private("ray._private.grpc_utils", "init_grpc_channel")
    request = _private("ray.core.generated.gcs_service_pb2", "CheckAliveRequest")
    nodes = _private("ray.core.generated.gcs_service_pb2_grpc", "NodeInfoGcsServiceStub")
    channel = open_channel(address, [("grpc.enable_http_proxy", 0)])
    try:
        return str(nodes(channel).CheckAlive(request(), timeout=timeout_s).ray_version)
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNAUTHENTICATED:
            return None
        raise EngineError(f"no Ray answers at {address} ({error.code().name})") from None
    finally:
        channel.close()


def show_token() -> bool:
    """Make this process show its token from now on; False: there is none, or RAY_AUTH_MODE says no.

    Ray does so by itself where it finds a Ray, and leaves it to RAY_AUTH_MODE where it is given an address.
    """
    setup = "ray._private.authentication.authentication_token_setup"
    return bool(_private(setup, "maybe_enable_token_auth_if_token_available")(warn_if_disabled=False))


def job_client(
    address: str,
    headers: dict[str, str],
    timeouts: Callable[[str], tuple[float, float]],
    refused: Callable[[], Exception],
) -> JobSubmissionClient:
    """Ray's client for a dashboard's URL, which would wait for ever for an answer.

    Args:
        timeouts: seconds for a connection and for an answer, by the HTTP method.
        refused: the error where it does not take our token.
    """
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    if not hasattr(JobSubmissionClient, "_do_request"):
        raise _changed("JobSubmissionClient._do_request")

    class Client(JobSubmissionClient):
        def _do_request(self, method: str, endpoint: str, **given: Any) -> Any:
            try:
                return super()._do_request(method, endpoint, **{"timeout": timeouts(method), **given})
            except AuthenticationError:
                raise refused() from None

    for noisy in ("ray.dashboard.modules.job.sdk", "ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    return Client(address, headers=headers)


def _private(module: str, name: str) -> Any:
    """What Ray keeps under a name. Raises `EngineError` where it does so no more."""
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise _changed(f"{module}.{name}") from None


def _changed(name: str) -> EngineError:
    return EngineError(
        f"Ray {_version()} has no {name} any more, which Pixelbrain needs: "
        f"pip install 'ray[data,default]>={SEEN[0]},<{SEEN[1]}'"
    )


def _version() -> str:
    import ray

    return ray.__version__

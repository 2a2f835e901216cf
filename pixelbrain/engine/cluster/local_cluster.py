"""Laptop mode: one Ray on this machine that several commands share, so that its start is paid for once."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from pixelbrain.engine.cluster import local_state
from pixelbrain.engine.cluster.jobs import STOP_WAIT_S
from pixelbrain.engine.cluster.local_state import FOLDER, LOG, LocalCluster
from pixelbrain.engine.cluster.session import OBJECT_STORE_BYTES, RAY_ENVIRONMENT, ray_session
from pixelbrain.engine.cluster.token import ensure_token
from pixelbrain.engine.ray_private import RAY
from pixelbrain.errors import EngineError
from pixelbrain.machine import ray_parent

_START_S = 120.0
_GRACE_S = 5.0  # a raylet with workers takes 30 s of its own, over what nobody needs any more
_END_S = 30.0


def up(
    *, num_cpus: int | None = None, num_gpus: int | None = None, dashboard: bool = False
) -> tuple[LocalCluster, bool]:
    """Start the local cluster, in a session of its own, which outlives the caller.

    Args:
        num_cpus, num_gpus: that Ray counts; None: the machine's.
        dashboard: with Ray's dashboard, which job submission needs.

    Returns:
        The cluster, and whether it was started now; False: one was running, and was left as it is.

    Raises:
        EngineError: it did not start within 120 s; with the last line that Ray said.
    """
    with _one_at_a_time():
        if (running := local_state.find()) is not None:
            return running, False
        ensure_token()
        folder = _new_folder()
        head, dashboard_port, client, agent = _free_ports(4)  # Ray's own defaults are another Ray's already
        words = [
            *(*RAY, "start", "--head", "--block", "--disable-usage-stats"),
            *(f"--port={head}", f"--ray-client-server-port={client}", "--min-worker-port=0", "--max-worker-port=0"),
            "--no-monitor",  # a process that would start nodes
            *(f"--include-dashboard={str(dashboard).lower()}", f"--dashboard-port={dashboard_port}"),
            *("--dashboard-host=127.0.0.1", f"--dashboard-agent-listen-port={agent}"),
            *(f"--object-store-memory={OBJECT_STORE_BYTES}", f"--temp-dir={folder}"),
            *([] if num_cpus is None else [f"--num-cpus={num_cpus}"]),
            *([] if num_gpus is None else [f"--num-gpus={num_gpus}"]),
        ]
        with open(folder / LOG, "wb") as log:
            process = subprocess.Popen(
                words, cwd=folder, env=_head_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        try:
            cluster = LocalCluster(
                address=_wait_until_up(process, folder),
                pid=process.pid,
                created=psutil.Process(process.pid).create_time(),
                dashboard=f"http://127.0.0.1:{dashboard_port}" if dashboard else None,
                folder=str(folder),
                environment=local_state.environment(),
            )
            local_state.remember(cluster)
        except BaseException:  # Ctrl-C, too: nothing stays that nobody knows of
            with contextlib.suppress(psutil.NoSuchProcess):
                _end(psutil.Process(process.pid))
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return cluster, True


def down() -> LocalCluster | None:
    """End the local cluster, and nobody else's Ray; returns when all its processes are gone. None: none was running."""
    with _one_at_a_time():
        if (cluster := local_state.find()) is None or (process := cluster.process()) is None:
            return None
        _end(process)
        local_state.forget(cluster)
        return cluster


def usage(cluster: LocalCluster) -> dict[str, Any]:
    """What the cluster has and what of it is reserved: `nodes`, and (used, total) of `cpus`, `gpus`, `memory_bytes`."""
    with ray_session(address=cluster.address):
        import ray

        total, free = ray.cluster_resources(), ray.available_resources()
        found: dict[str, Any] = {"nodes": sum(node["Alive"] for node in ray.nodes())}
    for name, resource in (("cpus", "CPU"), ("gpus", "GPU"), ("memory_bytes", "memory")):
        there = total.get(resource, 0)
        found[name] = round(there - free.get(resource, 0), 4), there
    return found


def _head_environment() -> dict[str, str]:
    bin_folder = str(Path(sys.executable).parent)
    theirs = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")}
    return {
        **RAY_ENVIRONMENT,
        "RAY_AUTH_MODE": "token",
        "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S),
        **theirs,
        # jobs say `python`, and mean the one that has Pixelbrain
        "PATH": os.pathsep.join([bin_folder, os.environ.get("PATH", os.defpath)]),
    }


def _wait_until_up(process: subprocess.Popen[bytes], folder: Path) -> str:
    """The address, once the head and its raylet are there."""
    written = folder / "ray_current_cluster"  # by `ray start`, when all is up
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            if address := written.read_text(encoding="utf-8").strip():
                return address
        time.sleep(0.1)
    said = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    why = said[-1] if said else "it says nothing"
    state = "ended" if process.poll() is not None else f"was not up after {_START_S:.0f} s"
    raise EngineError(f"the local cluster {state}: {why}")


def _end(process: psutil.Process) -> None:
    """End a head and all below it; SIGTERM is how Ray is asked to end its processes itself."""
    everything = [process]
    with contextlib.suppress(psutil.Error):
        everything += process.children(recursive=True)
        process.terminate()
    _, alive = psutil.wait_procs(everything, timeout=_GRACE_S)
    for left in list(alive):
        with contextlib.suppress(psutil.Error):
            alive += left.children(recursive=True)  # begun since
    for left in alive:
        with contextlib.suppress(psutil.Error):
            left.kill()
    _, alive = psutil.wait_procs(alive, timeout=_END_S)
    if alive:
        raise EngineError(f"processes of the local cluster do not end: {', '.join(str(p.pid) for p in alive)}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("", 0))
        return [one.getsockname()[1] for one in sockets]


def _new_folder() -> Path:
    """For Ray's logs and sockets; mkdtemp adds eight characters to the name."""
    parent = ray_parent(f"{FOLDER}{8 * '_'}")
    try:
        return Path(tempfile.mkdtemp(prefix=FOLDER, dir=parent))
    except OSError as error:
        raise EngineError(f"there is no room for Ray's folder: {error}; RAY_TMPDIR names another place") from None


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    from filelock import FileLock

    file = local_state.state_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        yield

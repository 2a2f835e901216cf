"""A real Ray of several nodes on one machine: a raylet, ports and an object store each; nodes come, and are killed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

__all__ = ["RayNode", "RayNodes", "ray_nodes"]

_STORE_BYTES = 80_000_000  # the least that Ray takes
_START_S = 120


@dataclass
class RayNode:
    """One `ray start --block`, and the raylet below it."""

    process: subprocess.Popen
    log: Path

    def wait_until_started(self) -> None:
        deadline = time.monotonic() + _START_S
        while "Ray runtime started" not in (text := self.log.read_text()):
            assert self.process.poll() is None and time.monotonic() < deadline, text[-2000:]
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL to the raylet, as when a spot instance is taken back; what it started goes with it."""
        for child in psutil.Process(self.process.pid).children():
            if child.name() == "raylet":
                child.kill()
        self.process.wait(60)

    def end(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        self.process.kill()
        self.process.wait(60)


@dataclass
class RayNodes:
    """The cluster; commands join it with `environment`."""

    folder: Path  # for logs
    environment: dict[str, str]
    address: str
    head_metrics: str  # the URL of the head's
    nodes: list[RayNode] = field(default_factory=list)

    def start(self, *flags: str, prefix: Sequence[str] = ()) -> RayNode:
        """Begin to start a node; `wait_until_started` waits. `prefix` is what runs the command."""
        log = self.folder / f"node-{len(self.nodes)}.log"
        command = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--disable-usage-stats"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*prefix, *command, f"--object-store-memory={_STORE_BYTES}", *flags],
                env={**os.environ, **self.environment}, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self.nodes.append(RayNode(process, log))
        return self.nodes[-1]

    def add(
        self, *, cpus: float = 1, gpus: int = 0, labels: Mapping[str, str] | None = None, hide: Path | None = None
    ) -> RayNode:
        """Begin to start a worker node; GPUs are logical, and need no hardware.

        `hide`: a folder that is another disk's there, and empty; takes a kernel that lets us mount.
        """
        flags = [f"--address={self.address}", f"--num-cpus={cpus}", f"--num-gpus={gpus}"]
        if labels:
            flags.append("--labels=" + ",".join(f"{key}={value}" for key, value in labels.items()))
        prefix = ()
        if hide is not None:
            mount = f'mount -t tmpfs none {shlex.quote(str(hide))} && exec "$@"'
            prefix = ("unshare", "--mount", "--map-root-user", "sh", "-c", mount, "sh")
        return self.start(*flags, prefix=prefix)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextlib.contextmanager
def ray_nodes(folder: Path, *workers: Mapping[str, object], head_cpus: int = 0) -> Iterator[RayNodes]:
    """A head, which runs no tasks unless it is given CPUs, and worker nodes, see `RayNodes.add`; ended at the end."""
    port, metrics = _free_port(), _free_port()
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ADDRESS": "",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        # Ray gives up after 15 and 30 s, in which a busy machine does not start what it waits for
        "RAY_agent_register_timeout_ms": str(1000 * _START_S),
        # the head takes a silent node for dead after 4 s, and not after 15
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_failure_threshold": "3",
        "RAY_raylet_start_wait_time_s": str(_START_S),
    }
    made = RayNodes(folder, environment, f"127.0.0.1:{port}", f"http://127.0.0.1:{metrics}/metrics")
    try:
        made.start(
            "--head",
            f"--port={port}",
            f"--num-cpus={head_cpus}",
            "--num-gpus=0",
            "--include-dashboard=false",
            f"--metrics-export-port={metrics}",
        ).wait_until_started()
        for worker in workers:  # one after another: two that start at once can take each other's ports
            made.add(**worker).wait_until_started()  # type: ignore[arg-type]
        environment["RAY_ADDRESS"] = made.address
        yield made
    finally:
        for node in reversed(made.nodes):
            node.end()

"""A real Ray of several nodes on one machine: a raylet, ports and an object store each; nodes come, and are killed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from pixelbrain.engine.ray_private import RAY

__all__ = ["RayNode", "RayNodes", "ray_nodes"]

_STORE_BYTES = 80_000_000  # the least that Ray takes
_STARTS = 4


class RayNode:
    """One `ray start --block`, and the raylet below it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._command = command
        self._environment = environment
        self._log = log
        self._starts_left = _STARTS
        self._start()

    def _start(self) -> None:
        self._starts_left -= 1
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                self._command, env={**os.environ, **self._environment}, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip

    def wait_until_started(self) -> None:
        """A raylet gives up when its agent, a Python process, does not start in 20 s, as on a busy machine: again."""
        while "Ray runtime started" not in (text := self._log.read_text()):
            if self.process.poll() is not None:
                assert self._starts_left, text[-2000:]
                self._start()
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
        # nobody reads the logs of workers, which a process of each node would follow
        flags = ("--block", "--disable-usage-stats", "--include-log-monitor=false", *flags)
        command = [*prefix, *RAY, "start", f"--object-store-memory={_STORE_BYTES}", *flags]
        self.nodes.append(RayNode(command, self.environment, log))
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
def ray_nodes(folder: Path, *workers: Mapping[str, object]) -> Iterator[RayNodes]:
    """A head, which runs no tasks, and worker nodes, see `RayNodes.add`; ended at the end."""
    port, metrics = _free_port(), _free_port()
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ADDRESS": "",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        # the head takes a silent node for dead after 4 s, and not after 15
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_failure_threshold": "3",
    }
    made = RayNodes(folder, environment, f"127.0.0.1:{port}", f"http://127.0.0.1:{metrics}/metrics")
    try:
        made.start(
            "--head",
            f"--port={port}",
            "--num-cpus=0",
            "--num-gpus=0",
            "--include-dashboard=false",
            "--no-monitor",
            f"--metrics-export-port={metrics}",
        ).wait_until_started()
        for worker in workers:  # one after another: two that start at once can take each other's ports
            made.add(**worker).wait_until_started()  # type: ignore[arg-type]
        environment["RAY_ADDRESS"] = made.address
        yield made
    finally:
        for node in reversed(made.nodes):
            node.end()

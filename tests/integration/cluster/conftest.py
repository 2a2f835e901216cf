"""One `pixelbrain cluster up --local --dashboard` for all tests here, with a home, a token and secrets of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

BIN = Path(sys.executable).parent
#: What the nodes know by their environment, and nobody should be able to read.
SECRETS = {
    "OPENAI_API_KEY": "sk-a-secret-of-the-nodes",
    "PIXELBRAIN_MONGO": "mongodb://me:hunter2-of-the-nodes@db.example/photos",
    "PIXELBRAIN_CHROMA": "http://me:hunter3-of-the-nodes@chroma.example:8000",
}


@dataclass
class Local:
    """The local cluster, as its users see it."""

    home: Path
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """A shell's, in which the cluster is found; nothing of other tests' Rays, and no secret."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return {**kept, "HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / "cache")}

    @property
    def token(self) -> str:
        return (self.home / ".ray" / "auth_token").read_text()

    def command(
        self, *words: str, check: bool = True, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """`pixelbrain` in this shell."""
        done = subprocess.run(
            [str(BIN / "pixelbrain"), *words], env={**self.env, **env}, cwd=cwd or self.home, text=True,
            capture_output=True, timeout=200,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def start(self, *words: str, cwd: Path) -> subprocess.Popen[str]:
        """The same, as a process that a test talks to."""
        return subprocess.Popen(
            [str(BIN / "pixelbrain"), *words], env=self.env, cwd=cwd, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            # as at a prompt, also where the tests run in the background of a shell, which ignores Ctrl-C there
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip


@pytest.fixture(scope="package")
def local_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """The cluster of all tests here. Its end is a test of its own: `down` leaves no process and no file."""
    local = Local(tmp_path_factory.mktemp("home"))
    started = local.command("cluster", "up", "--local", "--dashboard", "--num-cpus", "2", **SECRETS)
    local.state = json.loads((local.home / "cache" / "pixelbrain" / "cluster.json").read_text())
    assert started.stdout.startswith(f"Started: Ray at {local.state['address']}, dashboard http://127.0.0.1:")
    head = psutil.Process(local.state["pid"])
    yield local
    everything = [head, *head.children(recursive=True)]
    assert len(everything) > 5
    assert local.command("cluster", "down", "--local").stdout == f"Ended: Ray at {local.state['address']}\n"
    assert not [process for process in everything if process.is_running()]
    assert not Path(local.state["folder"]).exists()
    assert local.command("cluster", "down", "--local").stdout == "No local cluster runs.\n"

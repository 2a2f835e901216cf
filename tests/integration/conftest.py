"""Real servers and a real Ray, started once for all integration tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def ray_running(s3: Any) -> Iterator[None]:
    """One local Ray for all tests in this process; its workers know the S3 server's credentials."""
    from pixelbrain.engine.session import ray_session

    with ray_session():
        yield


@pytest.fixture(scope="session")
def s3() -> Iterator[Any]:
    """A boto3 client of a real S3 server over HTTP (moto's); `s3.meta.endpoint_url` is its address."""
    import boto3
    from moto.server import ThreadedMotoServer

    patch = pytest.MonkeyPatch()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        patch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    server.stop()
    patch.undo()


@pytest.fixture(scope="session")
def pixelbrain() -> Callable[..., subprocess.CompletedProcess]:
    """Run the command in a process of its own, as a user does; `check=False` to look at a failure."""

    def run(*args: str, check: bool = True, cwd: Path | None = None, program: str = "pixelbrain", **env: str):
        import os

        done = subprocess.run(
            [str(Path(sys.executable).parent / program), *map(str, args)],
            capture_output=True, text=True, cwd=cwd, env={**os.environ, **env}, timeout=280,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, pixelbrain: Callable[..., Any]) -> tuple[Path, Any]:
    """OUT of a finished demo, and what the command printed."""
    out = tmp_path_factory.mktemp("demo") / "out"
    return out, pixelbrain("demo", "--out", str(out))

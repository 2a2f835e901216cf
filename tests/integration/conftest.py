"""Real servers and a real Ray, started once for all integration tests."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

ROOT = Path(__file__).parent.parent.parent


def without_progress(said: str) -> str:
    """What a command said, without the lines of how far it is: whether they come hangs on the machine's load."""
    return re.sub(r"^\w+ +(at work for|[\d,]+ of [\d,]+ \w+\b).*\n", "", said, flags=re.MULTILINE)


@pytest.fixture(scope="session")
def ray_running(s3: Any) -> Iterator[str]:
    """One local Ray for all tests, which takes half a minute of two cores to start; its address.

    Its workers know the S3 server's credentials, and nothing else of a command's environment. Those that have nothing
    to do stay: Ray ends them after a second, and three would be started again for each run of a few photos.
    """
    from pixelbrain.engine.cluster.session import ray_session

    with contextlib.ExitStack() as session:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_idle_worker_killing_time_threshold_ms", "3600000")
            session.enter_context(ray_session())
        import ray

        yield ray.get_runtime_context().gcs_address


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


def run_pixelbrain(
    *args: Any, check: bool = True, cwd: Path | None = None, program: str = "pixelbrain", **env: str
) -> subprocess.CompletedProcess:
    """Run the command in a process of its own, as a user does; `check=False` to look at a failure."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / program), *map(str, args)],
        capture_output=True, text=True, cwd=cwd, env={**os.environ, **env}, timeout=280,
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stdout + done.stderr
    done.stderr = without_progress(done.stderr)
    return done


@pytest.fixture(scope="session")
def pixelbrain(ray_running: str) -> Callable[..., subprocess.CompletedProcess]:
    """`run_pixelbrain`, joining the Ray of all tests, as on a cluster."""
    return functools.partial(run_pixelbrain, RAY_ADDRESS=ray_running)


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess]:
    """Run the command in this process, where its own process is not what is tested: nothing is imported again.

    Called and answered as `pixelbrain`; it takes the Ray of `ray_running`, if that runs. A user's modules in the
    working folder are imported again, as another test's may have the same name. The workers of a run without Ray are
    forked from one that has imported what they need; `test_without_ray` has those that a user has.
    """
    from pixelbrain.cli.main import cli
    from pixelbrain.engine.local import worker
    from tests.integration.forked import ForkedWorker

    def run(*args: Any, check: bool = True, **env: str) -> subprocess.CompletedProcess:
        words = [str(arg) for arg in args]
        here, known = Path.cwd(), set(sys.modules)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "path", [*sys.path])
            patch.setattr(worker, "start_process", ForkedWorker)
            result = CliRunner().invoke(cli, words, env=env)
        for name in set(sys.modules) - known:
            if here != ROOT and (file := getattr(sys.modules[name], "__file__", None)) and Path(file).parent == here:
                del sys.modules[name]
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert not check or result.exit_code == 0, result.output
        return subprocess.CompletedProcess(words, result.exit_code, result.stdout, without_progress(result.stderr))

    return run


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """OUT of a finished demo, and what the command printed. It starts its own Ray, as a user's does.

    Where a proxy is set, which nobody reaches, and where a path below the temporary folder is too long for a socket.
    """
    folder = tmp_path_factory.mktemp("demo")
    temporary = folder / ("long" * 15)
    temporary.mkdir()
    proxy = "http://127.0.0.1:9"
    around = {"TMPDIR": str(temporary), "http_proxy": proxy, "https_proxy": proxy, "RAY_TMPDIR": ""}
    return folder / "out", run_pixelbrain("demo", "--out", str(folder / "out"), RAY_ADDRESS="local", **around)

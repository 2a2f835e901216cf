"""Commands as jobs: their log and exit code here, Ctrl-C, lost connections, and secrets that stay with the nodes."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest
import requests

import pixelbrain as pb
import pixelbrain.engine.cluster.jobs as jobs_module
from pixelbrain.engine.cluster.jobs import Jobs
from pixelbrain.errors import EngineError
from tests.integration.cluster.conftest import BIN, SECRETS
from tests.integration.cluster.cut_line import Line
from tests.integration.watched import ROOT, World


@pytest.fixture(scope="module")
def submitted(local_cluster, tmp_path_factory, encode) -> tuple[World, subprocess.CompletedProcess[str]]:
    """An extract with --strict of six photos and half a one, as a job, with the user's own module."""
    world = World(tmp_path_factory.mktemp("submitted"), seconds=0)
    for index in range(6):
        (world.photos / f"{index}.png").write_bytes(encode("PNG", size=(8, 8 + index)))
    (world.photos / "half.jpg").write_bytes(encode()[:200])
    words = ["submit", "--working-dir", str(world.folder), "--job-id", "strict", *world.arguments, "--strict"]
    done = local_cluster.command(*words, check=False)
    return world, done


@pytest.fixture
def line(local_cluster) -> Iterator[Line]:
    """To the dashboard."""
    made = Line(int(local_cluster.state["dashboard"].rpartition(":")[2]))
    yield made
    made.close()


@pytest.fixture
def as_a_user(local_cluster, monkeypatch) -> None:
    """This process is in the shell of the cluster's user."""
    monkeypatch.setenv("HOME", str(local_cluster.home))
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)


class Said:
    """What a process says, as it says it."""

    def __init__(self, *streams: IO[str]) -> None:
        self.text = ""
        self._new: queue.Queue[str] = queue.Queue()
        for stream in streams:
            threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        while character := stream.read(1):
            self._new.put(character)

    def wait_for(self, wanted: str, limit_s: float = 60) -> None:
        """Until it has said this."""
        deadline = time.monotonic() + limit_s
        while wanted not in self.text:
            try:
                self.text += self._new.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{wanted!r} was not said in {self.text!r}") from None


def test_a_job_shows_its_log_and_returns_its_exit_code(submitted):
    world, done = submitted
    assert done.returncode == 3, done.stdout + done.stderr
    assert "submitted as strict to http://127.0.0.1:" in done.stderr
    assert re.search(r"^extract   7 images, 1 failed", done.stdout, re.MULTILINE)
    assert pb.Landing(world.out).count_images() == 7
    assert len(world.looks()) == len(world.seen()) == 6


def test_secrets_of_the_nodes_are_nowhere_to_be_read(submitted, local_cluster):
    """In no log of Ray's, and in nothing that its dashboard answers."""
    environment = psutil.Process(local_cluster.state["pid"]).environ()
    assert {name: environment[name] for name in SECRETS} == SECRETS
    wanted = [*SECRETS.values(), "hunter2-of-the-nodes", "hunter3-of-the-nodes", local_cluster.token]
    headers = {"Authorization": f"Bearer {local_cluster.token}"}
    paths = ["jobs/", "jobs/strict", "jobs/strict/logs", "v0/actors?detail=1", "v0/tasks?detail=1"]
    paths += ["v0/workers?detail=1", "v0/nodes?detail=1", "v0/runtime_envs?detail=1", "v0/jobs?detail=1"]
    answers = {}
    for path in paths:
        answer = requests.get(f"{local_cluster.state['dashboard']}/api/{path}", headers=headers, timeout=30)
        assert answer.status_code == 200, path
        answers[path] = answer.text
    nodes = requests.get(f"{local_cluster.state['dashboard']}/nodes?view=summary", headers=headers, timeout=30)
    answers["nodes"] = nodes.text
    assert "pixelbrain extract" in answers["jobs/strict"] and "extract   7 images" in answers["jobs/strict/logs"]
    logs = [file for file in Path(local_cluster.state["folder"]).rglob("*") if file.is_file()]
    assert len(logs) > 10
    answers |= {str(file): file.read_text(errors="replace") for file in logs}
    assert [(where, secret) for where, text in answers.items() for secret in wanted if secret in text] == []


def test_ctrl_c_asks_and_a_lost_line_is_found_again(local_cluster, line, tmp_path, encode):
    world = World(tmp_path, seconds=0.2)
    for index in range(150):
        (world.photos / f"{index:03d}.png").write_bytes(encode("PNG", size=(8, 8 + index % 50)))
    address = f"http://127.0.0.1:{line.port}"
    first = local_cluster.start(
        "submit", "--job-id", "stopped", "--working-dir", ".", *world.arguments, "--address", address, cwd=world.folder
    )
    said = Said(first.stdout, first.stderr)
    said.wait_for("Running entrypoint for job stopped")
    world.wait_for_looks(4, first)
    line.cut()
    said.wait_for(f"the connection to {address} is lost; trying again")
    line.mend()
    first.send_signal(signal.SIGINT)
    said.wait_for("Stop the job? [y/N]:")
    first.stdin.write("n\n")
    first.stdin.flush()
    said.wait_for(f"To follow it: pixelbrain submit --address {address} --follow stopped")
    assert first.wait(30) == 130

    second = local_cluster.start("submit", "--follow", "stopped", cwd=world.folder)
    said = Said(second.stdout, second.stderr)
    said.wait_for("Running entrypoint for job stopped")
    seen = len(world.seen())
    world.wait_for_looks(1, second)  # it went on
    second.send_signal(signal.SIGINT)
    said.wait_for("Stop the job? [y/N]:")
    second.stdin.write("y\n")
    second.stdin.flush()
    assert second.wait(90) == 130
    said.wait_for("the same command does the rest")
    assert said.text.count("Running entrypoint") == 1
    landed = pb.Landing(world.out).count_images()
    assert seen < landed < 150 and landed == len(world.looks()) == len(world.seen())  # nothing was cut off


def test_the_same_by_ray_itself_from_a_checkout(local_cluster):
    """Its working directory is the checkout, small enough to be sent each time."""
    done = subprocess.run(
        [
            *(str(BIN / "ray"), "job", "submit", "--address", local_cluster.state["dashboard"], "--working-dir", "."),
            *("--", "python", "jobs/extract.py", "photos/", "--out", "s3://bucket/out", "--print-config"),
        ],
        env={**local_cluster.env, "RAY_AUTH_MODE": "token"}, cwd=ROOT, text=True, capture_output=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "out: s3://bucket/out" in done.stdout
    (sent,) = Path(local_cluster.state["folder"]).glob("session_2*/**/working_dir_files/_ray_pkg_*/jobs/extract.py")
    package = sent.parent.parent
    assert {"pixelbrain", "jobs", "pyproject.toml"} <= {file.name for file in package.iterdir()}
    assert not {".git", ".venv", "tests"} & {file.name for file in package.iterdir()}
    assert sum(file.stat().st_size for file in package.rglob("*") if file.is_file()) < 10e6


def test_a_job_that_cannot_be(submitted, local_cluster, as_a_user):
    jobs = Jobs(local_cluster.state["dashboard"])
    with pytest.raises(EngineError, match="knows no job nothing"):
        jobs.follow("nothing", print)
    with pytest.raises(EngineError, match="already"):
        jobs.submit("true", job_id="strict")
    with pytest.raises(EngineError, match="absent"):
        jobs.submit("true", working_dir="absent")


def test_a_line_that_stays_cut_is_given_up_with_the_way_to_follow(submitted, line, as_a_user, monkeypatch):
    monkeypatch.setattr(jobs_module, "_LOST_S", 0.5)
    address = f"http://127.0.0.1:{line.port}"
    jobs = Jobs(address)
    assert jobs.follow("strict", print) == 3
    line.cut()
    with pytest.raises(EngineError, match=f"the job may go on: pixelbrain submit --address {address} --follow strict"):
        jobs.follow("strict", print)


@pytest.mark.parametrize(
    ("token", "said"), [("wrong", "refuses the token of RAY_AUTH_TOKEN:"), (None, "wants a token, and there is none")]
)
def test_another_token_or_none_is_one_line(token, said, local_cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    if token:
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    with pytest.raises(EngineError, match=said) as refused:
        Jobs(local_cluster.state["dashboard"])
    assert "RAY_AUTH_TOKEN_PATH" in str(refused.value) and "\n" not in str(refused.value)

"""Which Ray is joined, and what the user sees of Ray's own output; none is started."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest
import ray

from pixelbrain.engine.cluster import session
from pixelbrain.engine.cluster.session import RAY_ENVIRONMENT, find_ray, ray_session
from pixelbrain.errors import ConfigError, EngineError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> None:
    """No Ray is known."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_without_an_address_one_of_our_own(monkeypatch):
    assert find_ray() is None
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert find_ray() is None


def test_the_given_address_wins_over_the_environments(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    with pytest.raises(ConfigError, match="is a dashboard"):
        find_ray()
    assert find_ray("local") is None
    with pytest.raises(EngineError, match="no Ray answers at 127.0.0.1:1 "):
        find_ray("127.0.0.1:1")


def test_auto_is_the_ray_on_this_machine_in_a_line(monkeypatch):
    def none() -> str:
        raise ConnectionError("Could not find\n  any running Ray")

    monkeypatch.setattr(session, "running_here", none)
    with pytest.raises(EngineError, match="^RAY_ADDRESS=auto: Could not find any running Ray$"):
        find_ray("auto")


def test_a_ray_that_does_not_start_is_tried_twice(monkeypatch):
    tries = []

    def init(**given: object) -> None:
        tries.append(given["address"])
        raise RuntimeError("took\ntoo long")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # other tests of this process may have one
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(EngineError, match="^a local Ray could not be started: took too long$"), ray_session():
        pass
    assert tries == ["local", "local"]
    assert logging.getLogger("ray").level == logging.CRITICAL  # nothing of Ray's own on the screen


def test_what_ray_reads_when_it_is_imported_is_said_unless_the_user_says_it(monkeypatch):
    for name in RAY_ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    find_ray()
    assert {name: os.environ[name] for name in RAY_ENVIRONMENT} == {**RAY_ENVIRONMENT, "RAY_USAGE_STATS_ENABLED": "1"}


def test_what_is_written_to_descriptor_2_is_dropped_and_what_we_say_is_not():
    program = (
        "import logging, os, sys\n"
        "from pixelbrain.engine.cluster.session import _native_stderr_dropped\n"
        "logging.basicConfig(stream=sys.stderr, format='%(message)s')\n"
        "with _native_stderr_dropped():\n"
        "    os.write(2, b'of C++\\n')\n"
        "    print('of Python', file=sys.stderr)\n"
        "    logging.warning('of a logger')\n"
        "os.write(2, b'afterwards\\n')\n"
        "logging.warning('and a logger')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["of Python", "of a logger", "afterwards", "and a logger"]

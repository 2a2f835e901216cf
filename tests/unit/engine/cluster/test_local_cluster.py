"""Starting and ending a cluster, with processes that are none of Ray's."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from pixelbrain.engine.cluster import local_cluster
from pixelbrain.engine.cluster.local_cluster import _end, _free_ports, _head_environment, _wait_until_up, down
from pixelbrain.errors import EngineError


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch) -> None:
    """No cluster is known."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))


def test_none_is_ended():
    assert down() is None


def test_a_head_that_ends_says_why(tmp_path):
    (tmp_path / "start.log").write_text("Traceback ...\nValueError: no such port\n\n")
    with (
        subprocess.Popen([sys.executable, "-c", ""]) as process,
        pytest.raises(EngineError, match="the local cluster ended: ValueError: no such port$"),
    ):
        _wait_until_up(process, tmp_path)


def test_a_head_that_is_up_in_time_and_one_that_is_not(tmp_path, monkeypatch):
    (tmp_path / "start.log").write_text("")
    (tmp_path / "ray_current_cluster").write_text("10.0.0.1:6379\n")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert _wait_until_up(process, tmp_path) == "10.0.0.1:6379"
        (tmp_path / "ray_current_cluster").write_text("")
        monkeypatch.setattr(local_cluster, "_START_S", 0.2)
        with pytest.raises(EngineError, match="was not up after 0 s: it says nothing"):
            _wait_until_up(process, tmp_path)


def test_all_below_a_head_ends_with_it_what_ignores_sigterm_too(monkeypatch):
    monkeypatch.setattr(local_cluster, "_GRACE_S", 0.3)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    program = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {deaf!r}]).wait()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"1\n"
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
        _end(family[0])
    assert len(family) == 2 and not psutil.wait_procs(family, timeout=60)[1]


def test_ports_are_free_and_different():
    assert len(set(_free_ports(4))) == 4


def test_a_head_sees_no_other_rays_address_and_finds_our_python(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://head:8265")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")  # who says otherwise is heard
    made = _head_environment()
    assert not {"RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"} & set(made)
    assert made["RAY_AUTH_MODE"] == "token" and made["RAY_USAGE_STATS_ENABLED"] == "1"
    assert made["PATH"].split(os.pathsep)[0] == os.path.dirname(sys.executable)

"""The local cluster's state file: what is in it no longer runs, is not to be read, or is another process by now."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from pixelbrain.engine.cluster.local_cluster import down
from pixelbrain.engine.cluster.local_state import _SAME_AS_AT_START, LocalCluster, find, find_fitting


@pytest.fixture
def state(tmp_path, monkeypatch) -> Path:
    """Where the state file goes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "cache" / "pixelbrain" / "cluster.json"
    file.parent.mkdir(parents=True)
    return file


def cluster(**given) -> LocalCluster:
    """One whose head is this process, unless said otherwise."""
    us = psutil.Process()
    defaults = {
        "pid": us.pid,
        "created": us.create_time(),
        "address": "10.0.0.1:6379",
        "dashboard": None,
        "folder": ".",
    }
    return LocalCluster(**{**defaults, **given})


def test_none(state):
    assert find() is None and find_fitting() is None and down() is None


def test_one_that_runs(state):
    state.write_text(json.dumps(asdict(cluster())))
    assert find() == cluster()


def test_one_whose_process_has_ended_is_forgotten_with_its_folder(state, tmp_path):
    folder = tmp_path / "pixelbrain-ray-x"
    folder.mkdir()
    (folder / "start.log").write_text("")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    state.write_text(json.dumps(asdict(cluster(pid=ended.pid, folder=str(folder)))))
    assert find() is None
    assert not state.exists() and not folder.exists()


def test_one_whose_pid_is_another_process_by_now_is_not_ended(state):
    state.write_text(json.dumps(asdict(cluster(created=psutil.Process().create_time() - 1000))))
    assert down() is None  # or this test would have ended itself
    assert not state.exists()


def test_a_folder_that_is_not_ours_stays(state, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "start.log").write_text("")
    state.write_text(json.dumps(asdict(cluster(pid=2**22 + 1, folder=str(folder)))))
    assert find() is None
    assert folder.exists() and not state.exists()


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"pid": 1}', '{"pid": 1, "more": 2}'])
def test_a_damaged_file_is_none(state, text):
    state.write_text(text)
    assert find() is None


def test_whoever_it_was_started_for(state, monkeypatch, caplog):
    for name in _SAME_AS_AT_START:
        monkeypatch.delenv(name, raising=False)
    state.write_text(json.dumps(asdict(cluster(environment={"Python": sys.prefix, "AWS_PROFILE": "work"}))))
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert find_fitting() is not None
    monkeypatch.setenv("AWS_PROFILE", "home")
    assert find_fitting() is None and "another AWS_PROFILE" in caplog.text

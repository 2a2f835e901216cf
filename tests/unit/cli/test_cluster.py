"""`pixelbrain cluster` acts on this machine alone, and says so; what runs is told as text or JSON."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from pixelbrain.cli.main import cli
from pixelbrain.engine.cluster import dashboard, local_state

assert dashboard.find is local_state.find  # taken before a test puts another one in its place, for the other tests

RUNNING = SimpleNamespace(address="127.0.0.1:6379", dashboard=None, pid=7, folder="/tmp/ray", created=0.0)
USED = {"nodes": 1, "cpus": (1.0, 2.0), "gpus": (0.0, 0.0), "memory_bytes": (2**30, 2**32)}


def cluster(*words):
    return CliRunner().invoke(cli, ["cluster", *words])


@pytest.mark.parametrize("name", ["up", "down", "status"])
def test_a_cluster_is_local(name):
    result = cluster(name)
    assert result.exit_code == 2 and "Missing --local" in result.output


def test_what_runs_is_told(monkeypatch):
    monkeypatch.setattr("pixelbrain.engine.cluster.local_state.find", lambda: RUNNING)
    monkeypatch.setattr("pixelbrain.engine.cluster.local_cluster.usage", lambda running: USED)
    lines = cluster("status", "--local").output.splitlines()
    assert "dashboard  none" in lines and "CPUs       1 of 2 in use" in lines
    assert "memory     1.0 of 4.0 GiB in use" in lines
    found = json.loads(cluster("status", "--local", "--json").output)
    assert found["running"] and found["cpus"] == {"used": 1.0, "total": 2.0} and found["pid"] == 7


def test_that_none_runs_is_an_exit_code(monkeypatch):
    monkeypatch.setattr("pixelbrain.engine.cluster.local_state.find", lambda: None)
    result = cluster("status", "--local", "--json")
    assert result.exit_code == 1 and json.loads(result.output) == {"running": False}
    assert "cluster up --local` starts one" in cluster("status", "--local").output


@pytest.mark.parametrize(
    ("new", "options", "warned"),
    [(True, ["--num-cpus", "2"], False), (False, [], False), (False, ["--num-cpus", "2"], True)],
)
def test_one_that_is_there_stays_as_it_is(new, options, warned, monkeypatch):
    monkeypatch.setattr("pixelbrain.engine.cluster.local_cluster.up", lambda **_: (RUNNING, new))
    result = cluster("up", "--local", *options)
    assert result.exit_code == 0 and ("Started: Ray at" in result.output) == new
    assert ("stay as they are" in result.output) == warned

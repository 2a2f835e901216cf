"""Laptop mode: a Ray that is started once, found by commands, and ended by nobody else."""

from __future__ import annotations

import json
import signal
import socket
import stat
from concurrent import futures

import grpc
import psutil
import pytest
import ray
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

import pixelbrain as pb
from pixelbrain.engine.cluster import address as address_module
from pixelbrain.engine.cluster.address import check_reachable
from pixelbrain.engine.cluster.local_state import find_fitting
from pixelbrain.errors import EngineError
from tests.integration.watched import World


@pytest.fixture
def world(tmp_path, encode) -> World:
    """Sixty photos, and a module that takes two tenths of a second each."""
    made = World(tmp_path, seconds=0.2)
    for index in range(60):
        (made.photos / f"{index:03d}.png").write_bytes(encode("PNG", size=(8, 8 + index)))
    return made


def test_up_a_second_time_changes_nothing(local_cluster):
    said = local_cluster.command("cluster", "up", "--local", "--num-cpus", "1")
    assert said.stdout.startswith(f"It is there already: Ray at {local_cluster.state['address']}")
    assert "stay as they are" in said.stderr
    token = local_cluster.home / ".ray" / "auth_token"
    assert len(local_cluster.token) == 64 and stat.S_IMODE(token.stat().st_mode) == 0o600


def test_status_says_what_is_there_and_in_use(local_cluster):
    found = json.loads(local_cluster.command("cluster", "status", "--local", "--json").stdout)
    assert found["running"] and found["nodes"] == 1
    assert (found["address"], found["dashboard"]) == (local_cluster.state["address"], local_cluster.state["dashboard"])
    assert found["cpus"] == {"used": 0.0, "total": 2.0}
    assert found["memory_bytes"]["total"] > 1e9


def test_it_has_no_process_that_would_start_nodes_and_its_head_has_not_imported_pandas(local_cluster):
    head = psutil.Process(local_cluster.state["pid"])
    words = " ".join(word for process in head.children(recursive=True) for word in process.cmdline())
    assert "raylet" in words and "/monitor.py" not in words
    mapped = " ".join(found.path for found in head.memory_maps())
    assert "/_raylet.so" in mapped and "/pandas/" not in mapped


def test_a_command_finds_it_and_sigterm_lands_what_is_in_flight(world, local_cluster):
    """SIGTERM is what a job's stop sends, and a machine that is taken away."""
    process = local_cluster.start(*world.arguments, cwd=world.folder)
    world.wait_for_looks(8, process)
    workers = {pid for pid, _ in world.seen()}
    heads = [{parent.pid for parent in psutil.Process(pid).parents()} for pid in workers]
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "the same command does the rest" in said and "Traceback" not in said
    assert heads and all(local_cluster.state["pid"] in parents for parents in heads)
    landed = pb.Landing(world.out).count_images()
    assert 0 < landed < 60 and landed == len(world.looks()) == len(world.seen())


def test_another_token_is_refused_with_one_line(local_cluster, world):
    words = [*world.arguments, "--address", local_cluster.state["address"]]
    refused = local_cluster.command(*words, check=False, cwd=world.folder, RAY_AUTH_TOKEN="wrong")
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1
    assert "refuses the token of RAY_AUTH_TOKEN: put the cluster's into RAY_AUTH_TOKEN" in refused.stderr
    assert "RAY_AUTH_TOKEN_PATH" in refused.stderr


def test_one_that_was_started_otherwise_is_not_used(local_cluster, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", local_cluster.env["XDG_CACHE_HOME"])
    fitting = find_fitting()
    assert fitting is not None and fitting.address == local_cluster.state["address"]
    monkeypatch.setenv("AWS_PROFILE", "another")
    assert find_fitting() is None
    assert "another AWS_PROFILE: this command starts a Ray of its own" in caplog.text


def test_nobody_answers():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match=f"no Ray answers at 127.0.0.1:{port}"):
            check_reachable(f"127.0.0.1:{port}")


def test_somebody_answers_nothing(monkeypatch):
    """As behind a firewall that drops what it does not know."""
    monkeypatch.setattr(address_module, "_ANSWER_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(EngineError, match=f"no Ray answers at 127.0.0.1:{port}"):
            check_reachable(f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("2.9.0", "is version 2.9.0, this one is .*: they must be the same"),
        (ray.__version__, "this machine is no node of the Ray at .*: run the command on one, or submit it as a job"),
    ],
)
def test_a_ray_that_cannot_be_joined(version, why):
    """A head that says what Ray's says: of a version that cannot be installed beside ours, or on another machine."""

    class Head(gcs_service_pb2_grpc.NodeInfoGcsServiceServicer):
        def CheckAlive(self, request, context):
            return gcs_service_pb2.CheckAliveReply(ray_version=version)

    server = grpc.server(futures.ThreadPoolExecutor(1))
    gcs_service_pb2_grpc.add_NodeInfoGcsServiceServicer_to_server(Head(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with pytest.raises(EngineError, match=why):
            check_reachable(f"127.0.0.1:{port}")
    finally:
        server.stop(None).wait()

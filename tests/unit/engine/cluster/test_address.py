"""The forms of a Ray's address, and who is a node of the Ray there."""

from __future__ import annotations

import contextlib
import subprocess
import time

import psutil
import pytest

from pixelbrain.engine.cluster.address import _is_node_of, check_address, check_reachable
from pixelbrain.errors import ConfigError, EngineError


@pytest.mark.parametrize("address", ["10.0.0.1:6379", "head.example:6379", "[::1]:6379", "auto", "local", " auto "])
def test_addresses_of_a_ray(address):
    assert check_address(address) == address.strip()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://head:8265", r"is a dashboard.*pixelbrain submit --address http://head:8265"),
        ("ray://head:10001", "submit the command as a job"),
        ("head", "is no address of a Ray"),
        ("head:port", "is no address of a Ray"),
        ("http://me:hunter2@head:8265", r"me:\*\*\*@head"),
    ],
)
def test_addresses_of_none(address, said):
    with pytest.raises(ConfigError, match=said) as refused:
        check_address(address)
    assert "hunter2" not in str(refused.value)


def test_nobody_answers_there(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(EngineError, match="no Ray answers at 127.0.0.1:1 "):
        check_reachable("127.0.0.1:1")


def test_a_raylet_of_that_ray_makes_this_machine_its_node(tmp_path):
    """A process that has a raylet's name and words."""
    (tmp_path / "raylet").symlink_to("/bin/sh")
    words = [str(tmp_path / "raylet"), "-c", "sleep 60; :", "--gcs-address=10.9.8.7:61234"]
    with subprocess.Popen(words) as process:
        deadline = time.monotonic() + 5
        while "--gcs-address=10.9.8.7:61234" not in psutil.Process(process.pid).cmdline():
            assert time.monotonic() < deadline
        try:
            assert _is_node_of("head.example:61234")  # under whatever name: only the port is sure
            assert not _is_node_of("10.9.8.7:6123")
        finally:
            for child in psutil.Process(process.pid).children():
                with contextlib.suppress(psutil.Error):
                    child.kill()
            process.kill()

"""What the machine around us allows: a cache that can be written, short paths for Ray, no proxy to itself."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pixelbrain import machine
from pixelbrain.engine.cluster import local_state, token
from pixelbrain.errors import EngineError, PixelbrainError
from pixelbrain.modules.weights.find import search_folders
from pixelbrain.storage.s3 import S3Storage


@pytest.fixture
def nowhere(tmp_path, monkeypatch) -> Path:
    """A home that is a file, as nobody can write below one, root neither; and a temporary folder."""
    (tmp_path / "home").write_text("")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name in ("TORCH_HOME", "PIXELBRAIN_WEIGHTS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")  # what is said here goes afterwards
        monkeypatch.delenv(name)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return temporary


def test_without_a_home_caches_go_to_a_folder_of_the_users(nowhere, tmp_path, caplog):
    found = machine.cache_folder()
    assert found == nowhere / f"pixelbrain-{os.getuid()}" and found.stat().st_mode & 0o777 == 0o700
    assert "XDG_CACHE_HOME names another place" in caplog.text
    assert local_state.state_file().is_relative_to(found)
    assert S3Storage("s3://bucket/out", endpoint=None).local.is_relative_to(found)
    folders = search_folders()
    assert folders[0].is_relative_to(found)  # what is fetched goes there
    assert tmp_path / "home" / ".cache" / "torch" / "hub" / "checkpoints" in folders  # what came with an image
    token.ensure_token()
    del os.environ["RAY_AUTH_TOKEN_PATH"]  # as in the next command
    made = token.find_token()
    assert made.source.startswith(str(found)) and os.environ["RAY_AUTH_TOKEN_PATH"] == made.source


def test_a_user_whom_the_machine_does_not_know(nowhere, monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: str(path))  # what it does without HOME and an account
    assert machine.cache_folder().is_relative_to(nowhere)
    assert not Path("~").exists()


def test_the_folder_of_somebody_else_is_not_used(nowhere):
    (nowhere / f"pixelbrain-{os.getuid()}").symlink_to(nowhere)
    with pytest.raises(PixelbrainError, match="name a folder in XDG_CACHE_HOME"):
        machine.cache_folder()


def test_ray_has_a_folder_with_a_short_path(tmp_path, monkeypatch, caplog):
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(long))
    with caplog.at_level(logging.WARNING):
        assert machine.ray_parent("ray") == Path("/tmp")
        assert caplog.text == ""  # nobody asked for it
        monkeypatch.setenv("RAY_TMPDIR", str(long))
        assert machine.ray_parent("ray") == Path("/tmp")
    assert "RAY_TMPDIR=" in caplog.text and "leave room" in caplog.text and "Ray's folder is in /tmp" in caplog.text
    short = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        monkeypatch.setenv("RAY_TMPDIR", str(short))
        assert machine.ray_parent("ray") == short
        assert len(f"{short}/ray{machine._BELOW_RAY}") <= 107
    finally:
        short.rmdir()
    monkeypatch.setattr(machine, "_can_write", lambda _folder: False)
    with pytest.raises(EngineError, match="name a short folder in RAY_TMPDIR"):
        machine.ray_parent("ray")


@pytest.mark.parametrize("variable", ["http_proxy", "HTTPS_PROXY", "all_proxy", "GRPC_PROXY"])
def test_no_proxy_is_asked_for_this_machine(variable, monkeypatch):
    for name in [*machine._PROXIES, "no_proxy"]:
        for spelt in (name, name.upper()):
            monkeypatch.setenv(spelt, "")
            monkeypatch.delenv(spelt)
    machine.bypass_proxies()
    assert "no_proxy" not in os.environ
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "internal.example, 10.0.0.1")
    for _ in range(2):
        machine.bypass_proxies()
        names = os.environ["no_proxy"].split(",")
        assert names == os.environ["NO_PROXY"].split(",") and names[:2] == ["internal.example", "10.0.0.1"]
        assert {"localhost", "127.0.0.1", "::1"} < set(names) and len(names) == len(set(names))
    monkeypatch.setenv("no_proxy", "*")
    machine.bypass_proxies()
    assert os.environ["no_proxy"] == "*"


def test_a_container_has_what_it_was_given(tmp_path):
    """As the files of cgroups say it, of version 2 and of version 1."""
    new, old, free = tmp_path / "new", tmp_path / "old", machine.usable_memory(tmp_path)
    assert machine.usable_cpus(tmp_path) == len(os.sched_getaffinity(0)) and free > 2000
    for name, text in {
        "new/cpu.max": "50000 100000\n", "new/memory.max": "2000\n",
        "old/cpu/cpu.cfs_quota_us": "50000\n", "old/cpu/cpu.cfs_period_us": "100000\n",
        "old/memory/memory.limit_in_bytes": "2000\n",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert [machine.usable_cpus(new), machine.usable_cpus(old)] == [0.5, 0.5]
    assert [machine.usable_memory(new), machine.usable_memory(old)] == [2000, 2000]
    (new / "cpu.max").write_text("max 100000\n")
    (new / "memory.max").write_text("max\n")
    (old / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert machine.usable_cpus(new) == machine.usable_cpus(old) == len(os.sched_getaffinity(0))
    assert machine.usable_memory(new) > 2000


def test_pandas_is_not_imported_to_be_asked_and_is_there_for_whoever_wants_it():
    code = """
import sys, pyarrow
from pixelbrain.machine import spare_pandas
spare_pandas()
table = pyarrow.table({"a": [1, None], "b": ["x", "y"]})
print("pandas" in sys.modules, len(table.to_pandas()))
print(pyarrow.array(sys.modules["pandas"].Series([1, float("nan")])).null_count)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "2", "1"]

"""The embedded stores: one process at a time, no mongod left behind, crashes recovered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest

from pixelbrain.errors import StoreError, StoreLockedError
from pixelbrain.stores.chroma.collections import VectorStore
from pixelbrain.stores.database import Database
from pixelbrain.stores.mongo import mongod as mongod_file
from pixelbrain.stores.mongo.embedded import EmbeddedMongo
from pixelbrain.stores.mongo.mongod import find_mongod
from tests.integration.stores.loader import CONTEXT


def _python(code: str, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _gone(pid: int, limit_s: float = 20) -> bool:
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


HOLDER = """
    import sys
    from pixelbrain.stores.database import Database
    database = Database.open(sys.argv[1])
    database.add_images([{"image_id": "file:///a.jpg", "note": 1}])
    database.vectors
    print(database.mongo_connection.embedded.pid, flush=True)
    sys.stdin.readline()
"""


def _hold(out: Path, pipe: Connection) -> None:
    database = Database.open(out)
    database.add_images([{"image_id": "file:///a.jpg", "note": 1}])
    pipe.send(database.mongo_connection.embedded.pid)
    pipe.recv()  # nobody sends anything


def test_closing_leaves_no_process_and_the_data(tmp_path):
    with Database.open(tmp_path) as database:
        database.add_images([{"image_id": "file:///a.jpg"}])
        pid = database.mongo_connection.embedded.pid
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)
    assert sorted(path.name for path in (tmp_path / "db").iterdir() if path.suffix == ".owner") == []
    with Database.open(tmp_path) as database:
        assert database.count_images() == 1


def test_databases_of_one_process_share_the_mongod(tmp_path):
    with Database.open(tmp_path) as first:
        first.add_images([{"image_id": "file:///a.jpg"}])
        link = tmp_path.with_name(tmp_path.name + "-link")
        link.symlink_to(tmp_path)
        with Database.open(link) as second:
            assert second.count_images() == 1
            assert second.mongo_connection.embedded.pid == first.mongo_connection.embedded.pid
            assert second.vectors.count("faces") == first.vectors.count("faces") == 0
        assert first.count_images() == 1
        assert first.vectors.count("images") == 0
        pid = first.mongo_connection.embedded.pid
    assert not psutil.pid_exists(pid)


def test_mongod_killed_mid_way_is_recovered(tmp_path):
    with Database.open(tmp_path) as database:
        assert database.add_images({"image_id": f"file:///{n}.jpg"} for n in range(2500)).written == 2500
        os.kill(database.mongo_connection.embedded.pid, signal.SIGKILL)
        with pytest.raises(StoreError, match="MongoDB at"):
            database.count_images()
        # one more in the same process gets a new mongod, while the first is still open
        with Database.open(tmp_path) as again:
            assert again.count_images() == 2500
    with Database.open(tmp_path) as database:
        assert database.count_images() == 2500


def test_another_process_is_refused_and_told_by_whom(tmp_path):
    holder = _python(HOLDER, tmp_path)
    with holder:
        mongod_pid = int(holder.stdout.readline())
        with Database.open(tmp_path) as database:
            with pytest.raises(StoreLockedError, match=f"MongoDB in .* in use by process {holder.pid} on"):
                _ = database.mongo
            with pytest.raises(StoreLockedError, match=f"ChromaDB in .* in use by process {holder.pid} on"):
                _ = database.vectors
        holder.stdin.write("\n")  # it ends without closing the database
        holder.stdin.close()
        assert holder.wait(30) == 0
    assert _gone(mongod_pid)
    with Database.open(tmp_path) as database:
        assert database.count_images() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_killed_process_takes_its_mongod_along(tmp_path):
    here, there = CONTEXT.Pipe()
    holder = CONTEXT.Process(target=_hold, args=(tmp_path, there))
    holder.start()
    mongod_pid = here.recv()
    holder.kill()
    holder.join()
    # at once: it waits for the old mongod to let go of its folder
    with Database.open(tmp_path) as database:
        assert database.count_images() == 1
    assert _gone(mongod_pid)


def test_a_thread_that_ends_does_not_take_the_mongod_along(tmp_path):
    code = """
        import sys, threading, time
        from pixelbrain.stores.mongo.embedded import EmbeddedMongo
        import pymongo
        servers = []
        thread = threading.Thread(target=lambda: servers.append(EmbeddedMongo(sys.argv[1])))
        thread.start()
        thread.join()
        time.sleep(0.5)
        print(pymongo.MongoClient(servers[0].uri).admin.command("ping")["ok"], flush=True)
    """
    with _python(code, tmp_path / "mongo") as process:
        assert process.stdout.readline().strip() == "1.0"


def test_a_folder_that_is_no_database_says_why(tmp_path):
    folder = tmp_path / "mongo"
    folder.mkdir()
    (folder / "storage.bson").write_text("nonsense")
    with pytest.raises(StoreError, match=r"mongod ended with code 14: Unable to read .*BSON.*mongod\.log") as caught:
        EmbeddedMongo(folder)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.owner"))


def test_without_any_mongod_the_error_names_the_ways(monkeypatch, tmp_path):
    assert find_mongod().is_file()
    monkeypatch.setattr(mongod_file.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreError, match=r"pixelbrain\[local\].*PATH.*--mongo"):
        find_mongod()
    on_path = tmp_path / "mongod"
    on_path.write_text("#!/bin/sh\n")
    on_path.chmod(0o755)
    assert find_mongod() == on_path


def test_a_mongod_that_cannot_start_says_why(monkeypatch, tmp_path):
    monkeypatch.setattr(mongod_file.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    broken = tmp_path / "bin" / "mongod"
    broken.write_text("#!/bin/sh\necho 'libcurl.so.4: cannot open shared object file' >&2\nexit 127\n")
    broken.chmod(0o755)
    with pytest.raises(StoreError, match=r"code 127: libcurl.so.4: cannot open"):
        EmbeddedMongo(tmp_path / "mongo")


def test_a_search_starts_no_mongod(tmp_path):
    VectorStore(tmp_path / "db" / "chroma").close()
    with Database.open(tmp_path) as database, pytest.raises(StoreError, match="pixelbrain load"):
        database.query_vector_field("faces", [[1.0, 0.0]])
    assert not (tmp_path / "db" / "mongo").exists()

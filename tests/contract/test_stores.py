"""Every store, against the same cases: schema, counts, batches, a bad row, nothing, twice, changed, removed."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixelbrain.errors import MixedModelsError, StoreError
from pixelbrain.schema import ModelInfo
from pixelbrain.stores.chroma.collections import VectorStore
from pixelbrain.stores.database import Database
from pixelbrain.stores.mongo.upsert import remove_others, upsert_images
from pixelbrain.stores.results import WriteResult
from pixelbrain.stores.vectors import VectorBatch

MODEL = ModelInfo(model="resnet18", weights_sha256="a" * 64, dim=4)


class Documents:
    """MongoDB's images, as a load writes them."""

    def __init__(self, database: Database) -> None:
        self.images = database.mongo["images"]

    def write(self, ids: list[str], *, version: str = "1", bad: str = "") -> WriteResult:
        documents = ({"_id": one, "version": version, "huge": "x" * (17 << 20) if one == bad else ""} for one in ids)
        return upsert_images(self.images, documents, landed=True)

    def read(self) -> dict[str, Any]:
        return {found["_id"]: found["version"] for found in self.images.find()}

    def keep(self, ids: list[str]) -> int:
        return remove_others(self.images, {}, lambda some: np.isin(some, ids))


class Vectors:
    """ChromaDB's images."""

    def __init__(self, store: VectorStore) -> None:
        self.store = store
        store.ensure("images", MODEL)

    def write(self, ids: list[str], *, version: str = "1", bad: str = "") -> WriteResult:
        vectors = np.random.default_rng(0).normal(size=(len(ids), MODEL.dim)).astype(np.float32)
        if bad:
            vectors[ids.index(bad), 0] = np.inf
        metadata = [{"version": version} for _ in ids]
        return self.store.upsert("images", VectorBatch(ids=ids, vectors=vectors, metadata=metadata))

    def read(self) -> dict[str, Any]:
        pages = self.store.iter_vectors("images", batch=700)
        return {one: values["version"] for page in pages for one, values in zip(page.ids, page.metadata, strict=True)}

    def keep(self, ids: list[str]) -> int:
        return self.store.remove_where("images", lambda some: np.isin(some, ids))


@pytest.fixture(scope="module")
def mongo_out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with Database.open(tmp_path_factory.mktemp("out")) as database:
        yield database


@pytest.fixture(scope="module")
def chroma_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real ChromaDB server on a free loopback port."""
    port = _free_port()
    folder = tmp_path_factory.mktemp("chroma")
    server = _start_chroma(folder, port)
    try:
        until = time.monotonic() + 60
        while not _answers(port):
            assert server.poll() is None and time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _start_chroma(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder), "--host", "127.0.0.1"]
    with open(folder / "log", "a") as log:
        return subprocess.Popen([*command, "--port", str(port)], stdout=log, stderr=log)


@pytest.fixture(params=["mongodb", "chromadb-folder", "chromadb-server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Documents | Vectors]:
    """Each store, empty."""
    if request.param == "mongodb":
        database = request.getfixturevalue("mongo_out")
        database.delete()
        yield Documents(database)
        return
    server = request.param == "chromadb-server"
    vectors = VectorStore(request.getfixturevalue("chroma_url") if server else tmp_path / "chroma")
    vectors.drop("images")
    yield Vectors(vectors)
    vectors.close()


def _ids(count: int) -> list[str]:
    return [f"file:///photos/{number:05d} \u00e9.jpg" for number in range(count)]


def test_what_is_written_is_read_in_batches_of_any_size(store):
    ids = _ids(2345)
    result = store.write(ids)
    assert (result.written, result.unchanged, result.errors) == (2345, 0, ())
    assert store.read() == dict.fromkeys(ids, "1")


def test_twice_is_once(store):
    store.write(_ids(50))
    result = store.write(_ids(50))
    assert (result.written, result.unchanged) == (0, 50)
    assert len(store.read()) == 50


def test_vectors_are_written_again_where_that_is_asked(tmp_path):
    with contextlib.closing(VectorStore(tmp_path / "chroma")) as store:
        store.ensure("images", MODEL)
        batch = VectorBatch(ids=_ids(5), vectors=np.ones((5, MODEL.dim), np.float32), metadata=[{"version": "1"}] * 5)
        results = [store.upsert("images", batch, rewrite=rewrite) for rewrite in (True, True, False)]
        assert [(one.written, one.unchanged) for one in results] == [(5, 0), (5, 0), (0, 5)]
        assert store.count("images") == 5


def test_what_changed_is_written_again(store):
    ids = _ids(50)
    store.write(ids)
    result = store.write(ids, version="2")
    assert (result.written, result.unchanged) == (50, 0)
    assert store.read() == dict.fromkeys(ids, "2")


def test_a_bad_row_costs_only_itself(store):
    ids = _ids(50)
    result = store.write(ids, bad=ids[7])
    assert result.written == 49
    assert [one for one, _ in result.errors] == [ids[7]]
    assert sorted(store.read()) == [one for one in ids if one != ids[7]]


def test_nothing_is_nothing(store):
    assert store.write([]) == WriteResult()
    assert store.read() == {}
    assert store.keep([]) == 0


def test_what_is_not_kept_is_removed(store):
    ids = _ids(2100)
    store.write(ids)
    assert store.keep(ids[::3]) == 1400
    assert sorted(store.read()) == ids[::3]
    assert store.keep(ids[::3]) == 0


@pytest.mark.parametrize("store", ["chromadb-folder", "chromadb-server"], indirect=True)
def test_vector_collections_are_of_one_model_and_cosine(store):
    store.write(["a", "b"])
    other = ModelInfo(model="resnet50", weights_sha256="b" * 64, dim=4)
    with pytest.raises(MixedModelsError, match="resnet50.*--rebuild"):
        store.store.ensure("images", other)
    assert store.store.model("images") == MODEL
    ((first, _second),) = store.store.query("images", np.ones(4), n_results=5)
    assert 0 <= first.distance <= 2
    store.keep([])
    store.store.ensure("images", other)  # an empty collection may change its model
    assert store.store.model("images") == other


def test_a_server_that_is_not_there_is_said_soon():
    began = time.monotonic()
    with pytest.raises(StoreError, match="127.0.0.1:9 does not answer"):
        VectorStore("http://127.0.0.1:9")
    assert time.monotonic() - began < 20  # 30 s are waited for a server without a limit of ours


def test_a_chroma_server_that_restarts_is_waited_for(tmp_path, caplog):
    port = _free_port()
    servers = [_start_chroma(tmp_path, port)]
    try:
        while not _answers(port):
            time.sleep(0.1)
        vectors = Vectors(VectorStore(f"http://127.0.0.1:{port}"))
        vectors.write(_ids(60))
        servers[-1].kill()
        servers[-1].wait()
        restart = threading.Timer(0.5, lambda: servers.append(_start_chroma(tmp_path, port)))
        restart.start()
        assert vectors.write(_ids(60), version="2").written == 60
        restart.join()
        assert vectors.read() == dict.fromkeys(_ids(60), "2")
        vectors.store.close()
    finally:
        servers[-1].kill()
        servers[-1].wait()
    assert "is back after" in caplog.text


def _answers(port: int) -> bool:
    try:
        VectorStore(f"http://127.0.0.1:{port}").close()
    except StoreError:
        return False
    return True

"""Several loads at once into one `chroma run` and one mongod, as from a cluster."""

from __future__ import annotations

import functools
import http.client
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from pixelbrain.errors import OutLockedError, StoreError
from pixelbrain.landing.landing import Landing
from pixelbrain.locks.run import RunLock
from pixelbrain.stores.chroma.collections import VectorStore
from pixelbrain.stores.database import Database
from pixelbrain.stores.load import load
from pixelbrain.stores.mongo.mongod import _free_port, _listens
from pixelbrain.stores.vectors import VectorBatch
from pixelbrain.stores.verify import verify
from tests.integration.stores.conftest import FACE_MODEL, IMAGE_DIM, IMAGE_MODEL, land_rows, make_image
from tests.integration.stores.loader import start_loading
from tests.unit.landing.forgotten import world as forgotten

IMAGES = 1_200
# `chroma run`, less the 2 s in which its script imports all of chromadb, which the server does not need
CHROMA = "import sys, chromadb_rust_bindings as chroma; chroma.cli(['chroma', 'run', *sys.argv[1:]])"


class ChromaServer:
    """A real ChromaDB server, which can be killed and started again."""

    def __init__(self, folder: Path, script: str = CHROMA) -> None:
        self.folder, self.script, self.port = folder, script, _free_port()
        folder.mkdir()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        options = ["--path", str(self.folder), "--host", "127.0.0.1", "--port", str(self.port)]
        with open(self.folder / "log", "a") as log:
            self.process = subprocess.Popen([sys.executable, "-c", self.script, *options], stdout=log, stderr=log)
        until = time.monotonic() + 60
        while not _listens(self.port):
            assert self.process.poll() is None and time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Proxy(ThreadingHTTPServer):
    """Stands before a server; `sick` is what it answers in its place, from which request on, and until which."""

    def __init__(self, port: int, sick: tuple[int, int, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.behind, (self.code, self.first, self.last) = port, sick
        self.seen = 0
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class _Forward(BaseHTTPRequestHandler):
    server: Proxy

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen += 1
        code, kind, said = self.server.code, "text/html", b"<html>\n<title>nginx</title>\n</html>"
        if not self.server.first <= self.server.seen <= self.server.last:
            behind = http.client.HTTPConnection("127.0.0.1", self.server.behind)
            behind.request(self.command, self.path, body, dict(self.headers))
            answer = behind.getresponse()
            code, kind, said = answer.status, answer.headers.get("Content-Type", ""), answer.read()
            behind.close()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PUT = do_DELETE = _forward

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture(scope="module")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    server = ChromaServer(tmp_path_factory.mktemp("server") / "chroma")
    yield server
    server.kill()


@pytest.fixture
def mongo(mongod, request) -> Iterator[Callable[[str], str]]:
    """The URI of a database in the session's mongod, by its name; dropped afterwards."""
    names: set[str] = set()

    def uri(name: str) -> str:
        names.add(name)
        return mongod.uri.replace("/?", f"/servers-{name}?")

    yield uri
    for name in names:
        with Database.open("nowhere", mongo=uri(name)) as database:
            database.mongo.client.drop_database(database.mongo.name)


def _land(out: Path, first: int, count: int = IMAGES) -> Landing:
    return land_rows(out, [make_image(first + number, faces=number % 2) for number in range(count)])


def _assert_whole(landing: Landing, database: Database, count: int, first: int) -> None:
    """All is there, equal to Parquet, and every vector finds itself."""
    found = verify(landing, database)
    assert found.ok, found.lines()
    assert (found.images, found.image_vectors, found.face_vectors) == (count, count, count // 2)
    wanted = [make_image(first + number) for number in range(count)]
    matches = database.query_vector_field("images", np.array([one["resnet"]["embedding"] for one in wanted]), 1)
    assert len(matches) == count
    hits = sum(row[0].id == one["image_id"] for row, one in zip(matches, wanted, strict=True))
    assert hits >= 0.99 * count  # HNSW is approximate


def test_two_outs_at_once_into_servers_of_which_one_is_killed(tmp_path, chroma, mongo):
    outs = {name: _land(tmp_path / name, first) for name, first in {"ann": 0, "bob": 5_000}.items()}
    to = {name: (mongo(name), f"{chroma.url}/{name}") for name in outs}
    loads = [start_loading(landing.storage.local, *to[name], hold=True) for name, landing in outs.items()]
    for one in loads:
        one.go_on()
    time.sleep(random.uniform(0, 0.1))
    chroma.kill()
    chroma.start()
    assert [one.outcome() for one in loads] == ["", ""]
    for (name, landing), first in zip(outs.items(), (0, 5_000), strict=True):
        with Database.open(landing.storage.uri, mongo=to[name][0], chroma=to[name][1]) as database:
            _assert_whole(landing, database, IMAGES, first)
            again = load(landing, database)
            assert (again.images_written, again.image_vectors_written, again.face_vectors_written) == (0, 0, 0)
            assert (again.skipped, again.removed, again.rebuilt) == (2 * IMAGES + IMAGES // 2, 0, ())


@pytest.mark.parametrize("shared", ["mongo", "chroma"])
def test_two_outs_at_once_into_one_database_are_one_and_a_refusal(tmp_path, chroma, mongo, shared):
    outs = {"cid": _land(tmp_path / "cid", 0, 400), "dan": _land(tmp_path / "dan", 5_000, 400)}
    to = {
        name: (
            mongo(f"{shared}-one" if shared == "mongo" else f"{shared}-{name}"),
            f"{chroma.url}/{shared}-{'one' if shared == 'chroma' else name}",
        )
        for name in outs
    }
    loads = {name: start_loading(landing.storage.local, *to[name], until=0) for name, landing in outs.items()}
    outcomes = {name: loading.outcome() for name, loading in loads.items()}
    (loaded,) = (name for name, error in outcomes.items() if not error)
    (refused,) = set(outs) - {loaded}
    held = "holds the images of" if shared == "mongo" else "collection faces of .* holds the vectors of"
    with pytest.raises(StoreError, match=f"{held} .*/{loaded}: .*name another"):
        raise StoreError(outcomes[refused])
    with Database.open(outs[loaded].storage.uri, mongo=to[loaded][0], chroma=to[loaded][1]) as database:
        _assert_whole(outs[loaded], database, 400, 0 if loaded == "cid" else 5_000)


def test_two_loads_of_one_out_are_one_and_a_refusal(tmp_path, chroma, mongo):
    landing = _land(tmp_path / "eva", 0, 400)
    to = (mongo("eva"), f"{chroma.url}/eva")
    first = start_loading(landing.storage.local, *to, hold=True)
    refused = start_loading(landing.storage.local, *to, until=0)
    assert f"is in use by process {first.process.pid} on" in refused.outcome()
    with pytest.raises(OutLockedError), RunLock(landing.storage, what="load"):
        pass
    first.go_on()
    assert first.outcome() == ""
    with Database.open(landing.storage.uri, mongo=to[0], chroma=to[1]) as database:
        _assert_whole(landing, database, 400, 0)


def test_a_collection_that_another_load_replaced_is_not_written(chroma):
    ours, theirs = VectorStore(f"{chroma.url}/replaced"), VectorStore(f"{chroma.url}/replaced")
    batch = VectorBatch(ids=["a"], vectors=np.ones((1, IMAGE_DIM), np.float32), metadata=[{"version": "1"}])
    ours.ensure("images", IMAGE_MODEL, owner="ours")
    ours.upsert("images", batch)
    with pytest.raises(StoreError, match="holds the vectors of ours: name another database.*--rebuild"):
        theirs.ensure("images", IMAGE_MODEL, owner="theirs")
    theirs.drop("images")  # as --rebuild does
    theirs.ensure("images", IMAGE_MODEL, owner="theirs")
    theirs.upsert("images", batch)
    for write in (
        functools.partial(ours.upsert, "images", batch),
        functools.partial(ours.remove_where, "images", lambda ids: np.zeros(len(ids), bool)),
        functools.partial(ours.require_ensured, "images"),
    ):
        with pytest.raises(StoreError, match="was replaced meanwhile"):
            write()
    assert (theirs.count("images"), theirs.model("images")) == (1, IMAGE_MODEL)
    for store in (ours, theirs):
        store.close()


def test_an_empty_collection_of_another_out_is_not_taken(chroma):
    """It may be that of a load which has just begun."""
    first, second = VectorStore(f"{chroma.url}/empty"), VectorStore(f"{chroma.url}/empty")
    first.ensure("images", IMAGE_MODEL, owner="first")
    with pytest.raises(StoreError, match="holds the vectors of first"):
        second.ensure("images", FACE_MODEL, owner="second")
    assert first.model("images") == IMAGE_MODEL
    for store in (first, second):
        store.close()


def test_no_byte_of_a_person_is_left_in_servers(tmp_path, chroma, mongo, command):
    """In ChromaDB's files after its `vacuum`, with which others' collections stay; MongoDB is asked to compact."""
    out, to = tmp_path / "out", {"mongo": mongo("forget"), "chroma": f"{chroma.url}/forget"}
    landing = forgotten.land(out)
    vectors = {name: one for name, one in forgotten.ANN.items() if name.startswith("vector of")}
    with Database.open(out, **to) as database:
        load(landing, database)
        forgotten.identify(landing)
        database.store_derived("identities")
        database.store_field("note", {forgotten.image_id("a.jpg"): "kept"})
    assert forgotten.left_of(chroma.folder, vectors)
    servers = [word for name, where in to.items() for word in (f"--{name}", where)]
    done = command("forget", out, "--person", "person-a11", "--yes", *servers)
    assert "does not compact" not in done.stderr
    with Database.open(out, **to) as database:
        assert verify(landing.refresh() or landing, database).ok
        found = database.get_image(forgotten.image_id("a.jpg"))
        assert found is not None and found["note"] == "kept" and found["identities"] == ["person-b22"]
        assert "person-a11" not in str([*database.mongo["images"].find(), *database.mongo["identities"].find()])
        assert sum(len(batch.ids) for batch in database.iter_vectors("faces")) == 4
    chroma.kill()
    program = CHROMA.replace("'run', *sys.argv[1:]", "'vacuum', '--force', '--path', sys.argv[1]")
    subprocess.run([sys.executable, "-c", program, str(chroma.folder)], check=True, capture_output=True)
    assert forgotten.left_of(chroma.folder, vectors) == []
    chroma.start()


def test_a_proxy_whose_server_is_away_for_a_while_is_waited_for(tmp_path, chroma, mongo):
    landing = _land(tmp_path / "fay", 0, 400)
    with Proxy(chroma.port, (502, 25, 32)) as proxy:
        to = (mongo("fay"), f"http://127.0.0.1:{proxy.server_port}/fay")
        with Database.open(landing.storage.uri, mongo=to[0], chroma=to[1]) as database:
            load(landing, database)
            _assert_whole(landing, database, 400, 0)
        assert proxy.seen > proxy.last
        proxy.shutdown()


@pytest.mark.parametrize(("code", "said"), [(403, "wants a login (403): set"), (500, "HTTP 500 Internal Server Error")])
def test_a_proxy_that_refuses_in_the_middle_is_one_line(tmp_path, chroma, mongo, code, said):
    landing = _land(tmp_path / "out", 0, 20)
    with Proxy(chroma.port, (code, 12, 1_000)) as proxy:
        url = f"http://127.0.0.1:{proxy.server_port}/gus{code}"
        with Database.open(landing.storage.uri, mongo=mongo(f"gus{code}"), chroma=url) as database:
            with pytest.raises(StoreError) as caught:
                load(landing, database)
            assert f"ChromaDB at {url}: {said}" in str(caught.value)
            assert "\n" not in str(caught.value) and "html" not in str(caught.value)
        assert proxy.seen >= proxy.first
        proxy.shutdown()

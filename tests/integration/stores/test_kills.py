"""SIGKILL during a load: after a restart and a rerun, every row is in both stores once, and equal to Parquet."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.errors import StoreError
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.stores import load as load_file
from pixelbrain.stores import reconnect
from pixelbrain.stores.chroma.health import same_direction
from pixelbrain.stores.database import Database
from pixelbrain.stores.in_step import store_state
from pixelbrain.stores.load import load
from pixelbrain.stores.mongo import connection as mongo_file
from pixelbrain.stores.mongo import mongod as mongod_file
from pixelbrain.stores.mongo.documents import documents
from pixelbrain.stores.mongo.mongod import MongodProcess
from pixelbrain.stores.vectors import COLLECTION_COLUMNS, landed_vectors
from pixelbrain.stores.verify import verify
from tests.integration.stores.conftest import land_rows, make_image
from tests.integration.stores.loader import start_loading

ROUNDS = 5
IMAGES = 600  # changed in each round: ChromaDB writes its index to disk every 1,000 changes


@pytest.fixture
def chance() -> random.Random:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def _land(out, version: int, count: int = IMAGES) -> Landing:
    return land_rows(out, [make_image(number, faces=number % 2, version=str(version)) for number in range(count)])


def _land_documents(out, version: int, count: int = 2_000) -> Landing:
    """Rows of a module without vectors: all of the load is MongoDB's."""
    kind = schema.module_struct([pa.field("version", pa.int32()), pa.field("names", pa.list_(pa.string()))])
    rows = [
        {**make_image(number, version=str(version)), "colour": {"version": version, "names": [f"{number}", "x" * 200]}}
        for number in range(count)
    ]
    table = pa.Table.from_pylist(rows, schema=pa.schema([*schema.BASE_FIELDS, pa.field("colour", kind)]))
    landing = Landing(out)
    landing.write_part(
        table, generation=version + 1, block=0, piece=0, modules={"colour": ModuleState(settings={}, model=None)}
    )
    landing.refresh()
    return landing


def _without_nulls(document: dict) -> dict:
    return {key: value for key, value in document.items() if value is not None}


def _assert_documents_equal(landing: Landing, database: Database) -> None:
    wanted = [_without_nulls(one) for table in landing.iter_images(vectors=False) for one in documents(table)]
    found = [{k: v for k, v in one.items() if k != "row_hash"} for one in database.find_images(sort="_id")]
    assert len(found) == len(wanted) == landing.count_images()
    assert found == sorted(wanted, key=lambda one: one["_id"])


def _assert_vectors_equal(landing: Landing, database: Database) -> None:
    for name in COLLECTION_COLUMNS:
        wanted = {}
        for table in landing.iter_images():
            batch = landed_vectors(name, table)
            wanted |= zip(batch.ids, zip(batch.vectors, batch.metadata, strict=True), strict=True)
        pages = list(database.iter_vectors(name))
        ids = [one for page in pages for one in page.ids]
        assert len(ids) == len(wanted) and set(ids) == set(wanted)
        assert [m for page in pages for m in page.metadata] == [wanted[one][1] for one in ids]
        found = np.concatenate([page.vectors for page in pages])
        assert same_direction(found, np.array([wanted[one][0] for one in ids])).all()


def test_mongod_killed_while_it_is_loaded(tmp_path, monkeypatch, chance):
    monkeypatch.setattr(load_file, "BATCH_ROWS", 200)
    monkeypatch.setattr(reconnect, "RECONNECT_LIMIT_S", 0)
    monkeypatch.setattr(mongo_file, "SERVER_SELECTION_TIMEOUT_MS", 300)
    port = mongod_file._free_port()
    monkeypatch.setattr(mongod_file, "_free_port", lambda: port)
    uri = f"mongodb://127.0.0.1:{port}/kills"
    server = MongodProcess(tmp_path / "mongo")
    cut_short = 0
    try:
        for number in range(ROUNDS):
            landing = _land_documents(tmp_path / "out", number)
            moment, delay_s = chance.randrange(200, 1_600, 200), chance.uniform(0, 0.03)

            def kill(done: int, _total: int, pid=server.pid, moment=moment, delay_s=delay_s) -> None:
                if done == moment:
                    time.sleep(delay_s)  # while the next batches are written
                    os.kill(pid, signal.SIGKILL)

            with Database.open(tmp_path / "out", mongo=uri) as database:
                try:
                    load(landing, database, progress=kill)
                except StoreError as error:
                    cut_short += 1
                    assert "does not answer" in str(error) and "same command" in str(error)
            server.stop()
            server = MongodProcess(tmp_path / "mongo")
            with Database.open(tmp_path / "out", mongo=uri) as database:
                load(landing, database)
                _assert_documents_equal(landing, database)
    finally:
        server.stop()
    assert cut_short == ROUNDS


def test_the_loading_process_killed(tmp_path, mongod, chance):
    out, uri = tmp_path / "out", mongod.uri.replace("/?", "/loader_kills?")
    cut_short = 0
    for number in range(ROUNDS):
        landing = _land(out, number)
        loading = start_loading(out, uri, until=chance.choice((200, 400)))
        time.sleep(chance.uniform(0, 0.05))
        loading.kill()
        cut_short += loading.process.exitcode == -signal.SIGKILL
        with Database.open(out, mongo=uri) as database:
            report = load(landing, database)
            assert (report.rebuilt, report.errors) == ((), ())
            _assert_documents_equal(landing, database)
            _assert_vectors_equal(landing, database)
    with Database.open(out, mongo=uri) as database:
        assert verify(landing, database).ok
        database.delete()
    print(f"{cut_short} of {ROUNDS} loads were cut short")
    assert cut_short > 0


def test_the_loading_process_killed_with_its_own_mongod(tmp_path, chance):
    out = tmp_path / "out"
    for number in range(2):
        landing = _land(out, number, 600)
        loading = start_loading(out, None)
        time.sleep(chance.uniform(0, 0.3))
        loading.kill()
        with Database.open(out) as database:  # waits for the mongod of the killed one to end
            load(landing, database)
            _assert_documents_equal(landing, database)
            _assert_vectors_equal(landing, database)
            assert store_state(landing, database).in_step


def test_a_server_that_restarts_under_a_load_is_waited_for(tmp_path, monkeypatch, chance):
    monkeypatch.setattr(load_file, "BATCH_ROWS", 100)
    port = mongod_file._free_port()
    monkeypatch.setattr(mongod_file, "_free_port", lambda: port)
    servers = [MongodProcess(tmp_path / "mongo")]
    moments = itertools.cycle([signal.SIGKILL, signal.SIGTERM])

    def restart() -> None:
        os.kill(servers[-1].pid, next(moments))
        servers[-1].stop()
        servers.append(MongodProcess(tmp_path / "mongo"))

    try:
        with Database.open(tmp_path / "out", mongo=f"mongodb://127.0.0.1:{port}/waits") as database:
            for number in range(2):  # a crash, then an orderly stop
                landing = _land_documents(tmp_path / "out", number)
                thread = threading.Thread(target=restart)
                batches = itertools.count()
                chosen = chance.randrange(1, 15)

                def tell(_done: int, _total: int, batches=batches, chosen=chosen, thread=thread) -> None:
                    if next(batches) == chosen:
                        thread.start()

                load(landing, database, progress=tell)
                thread.join()
                _assert_documents_equal(landing, database)
                assert verify(landing, database).ok
    finally:
        servers[-1].stop()


def test_a_mongod_of_our_own_that_ends_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(reconnect, "RECONNECT_LIMIT_S", 3600)  # a server would be
    landing = _land_documents(tmp_path / "out", 1)
    with Database.open(tmp_path / "out") as database:
        pid = database.mongo.client.admin.command("serverStatus")["pid"]
        with pytest.raises(StoreError, match="mongod of our own .* has ended.*the same command starts it again"):
            load(landing, database, progress=lambda _done, _total: os.kill(pid, signal.SIGKILL))
    with Database.open(tmp_path / "out") as database:
        load(landing, database)
        _assert_documents_equal(landing, database)

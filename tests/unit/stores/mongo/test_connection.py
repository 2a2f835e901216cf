"""A connection to MongoDB: nothing is opened before it is needed, and a mongod of ours that ended is told."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from pymongo.errors import AutoReconnect

from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.stores.mongo import connection as connection_file
from pixelbrain.stores.mongo.connection import MongoConnection, connect


def test_what_it_is_called_and_whether_it_is_there(tmp_path):
    ours = MongoConnection(None, tmp_path / "mongo")
    assert not ours.shared and not ours.exists and ours.name == str(tmp_path / "mongo")
    ours.close()
    (tmp_path / "mongo").mkdir()
    assert ours.exists
    theirs = MongoConnection("mongodb://me:secret@host/db", tmp_path)
    assert theirs.shared and theirs.exists and "secret" not in theirs.name
    with pytest.raises(ConfigError):
        MongoConnection("http://host", tmp_path)


def test_a_mongod_of_ours_that_ended_is_not_waited_for(tmp_path):
    connection = MongoConnection(None, tmp_path / "mongo")
    connection.embedded = SimpleNamespace(alive=lambda: False)

    def step() -> None:
        raise AutoReconnect("gone")

    with pytest.raises(StoreError, match="has ended, killed perhaps"):
        connection.patiently(step)


def test_why_a_socket_or_an_ipv6_address_does_not_answer(tmp_path):
    path = str(tmp_path / "m.sock")
    fast = "photos?serverSelectionTimeoutMS=50"
    with pytest.raises(StoreError, match=f"{path}: there is no such socket: does MongoDB run on this machine"):
        connect(f"mongodb://{quote(path, safe='')}/{fast}")
    with socket.socket(socket.AF_UNIX) as taken:  # bound, and nobody listens
        taken.bind(path)
        with pytest.raises(StoreError, match=f"{path}: connection refused"):
            connect(f"mongodb://{quote(path, safe='')}/{fast}")
    with pytest.raises(ConfigError, match="mongodb://%2Ftmp"):
        connect(f"mongodb://{path}/{fast}")
    with pytest.raises(StoreError, match=r"does not answer: \[::1\]:1: "):
        connect(f"mongodb://[::1]:1/{fast}")


def test_what_fails_to_connect_leaves_no_mongod(tmp_path, monkeypatch):
    stopped = []
    embedded = SimpleNamespace(uri="mongodb://127.0.0.1:1", stop=lambda: stopped.append(True))
    monkeypatch.setattr(connection_file, "EmbeddedMongo", lambda _folder: embedded)

    def connect(uri: str, *, own: bool) -> None:
        assert own and uri == embedded.uri
        raise StoreError("no answer")

    monkeypatch.setattr(connection_file, "connect", connect)
    connection = MongoConnection(None, tmp_path / "mongo")
    with pytest.raises(StoreError, match="no answer"):
        _ = connection.database
    assert stopped == [True] and connection.embedded is None
    with pytest.raises(StoreError, match="no answer"):  # it may be tried again
        _ = connection.database
    connection.close()
    with pytest.raises(StoreError, match="is closed: open it again"):
        _ = connection.database

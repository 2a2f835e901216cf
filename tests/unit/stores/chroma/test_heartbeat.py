"""Which server is let through: the versions that work, and of all else one line with the way out."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.stores.chroma.heartbeat import TOKEN, find_server
from tests.certificates import make_certificate

V1, V2, DESCRIBED = "/api/v1/version", "/api/v2/version", "/openapi.json"


def _described(*properties: str) -> dict[str, Any]:
    return {"components": {"schemas": {"Collection": {"properties": dict.fromkeys(properties)}}}}


Answer = tuple[int, dict[str, str], bytes]
Answers = Callable[[str, dict[str, str]], Answer]


class _Server(ThreadingHTTPServer):
    """Answers as `answers` says of a path and headers."""

    answers: Answers


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        code, headers, body = self.server.answers(self.path, dict(self.headers))
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


def _paths(**given: object) -> Answers:
    """JSON at these paths, 404 elsewhere."""

    def answer(path: str, _headers: dict[str, str]) -> Answer:
        return (200, {}, json.dumps(given[path]).encode()) if path in given else (404, {}, b'{"detail":"Not Found"}')

    return answer


def _always(code: int, body: bytes = b"<html>sorry</html>", **headers: str) -> Answers:
    return lambda _path, _headers: (code, {"Content-Type": "text/html", **headers}, body)


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Starts a server that answers so; its address."""
    servers: list[_Server] = []

    def start(answers: Answers, context: ssl.SSLContext | None = None) -> str:
        server = _Server(("127.0.0.1", 0), _Handler)
        server.answers = answers
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


# what servers of these versions were seen to answer; each 1.x calls itself 1.0.0
@pytest.mark.parametrize(
    "answers",
    [
        _paths(**{V2: "1.0.0", DESCRIBED: _described("id", "configuration_json")}),  # 1.0.6 to 1.5.9
        _paths(**{V2: "1.0.0"}),  # a proxy keeps the description back
        _paths(**{V2: "1.0.6"}),
        _paths(**{V2: "1.7.0-rc1"}),
    ],
)
def test_a_version_that_works_is_let_through(serve, answers):
    server = find_server(f"http://{serve(answers)}/photos")
    assert (server.host, server.ssl, server.headers) == ("127.0.0.1", False, {})


@pytest.mark.parametrize(
    ("answers", "version"),
    [
        (_paths(**{V1: "0.4.24"}), "version 0.4.24"),
        (_paths(**{V1: "0.5.23", V2: "0.5.23"}), "version 0.5.23"),
        (_paths(**{V1: "0.6.3", V2: "0.6.3"}), "version 0.6.3"),
        (_paths(**{V2: "1.0.0", DESCRIBED: _described("id", "configuration")}), "of a version from 1.0.0 to 1.0.5"),
        (_paths(**{V2: "1.0.4"}), "version 1.0.4"),
        (_paths(**{V2: "2.0.1"}), "version 2.0.1"),
    ],
)
def test_another_version_is_named_with_what_works(serve, answers, version):
    with pytest.raises(StoreError) as caught:
        find_server(f"http://{serve(answers)}")
    said = str(caught.value)
    assert f"is {version}, and Pixelbrain works with servers from 1.0.6 to the last 1.x: " in said
    assert "\n" not in said and "--rebuild" not in said  # which would only come back to this line
    assert ("upgrade Pixelbrain" in said) == version.startswith("version 2") == ("pip install" not in said)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (_always(200), "is no ChromaDB server, as it sends no JSON: is the port right"),
        (_always(200, b"\xff\xfe"), "is no ChromaDB server, as it sends no JSON"),
        (_always(200, b'{"version": "1.0.0"}'), "is no ChromaDB server: is the port right"),
        (_always(404), "is no ChromaDB server: is the port right"),
        (_always(502), "a proxy answers 502, as the server behind it is away: when it runs, the same command"),
        (_always(401), f"wants a login (401): set {TOKEN}, or give http://USER:PASSWORD@HOST"),
        (_always(403), f"wants a login (403): set {TOKEN}"),
        (_always(500), "HTTP 500 Internal Server Error"),
        (
            _always(302, Location="https://me:s3cr3t@sso.example/in?t=s3cr3t"),
            "sends us to https://sso.example: is that",
        ),
    ],
)
def test_what_is_no_answer_of_chroma_is_told(serve, answers, said):
    with pytest.raises(StoreError) as caught:
        find_server(f"http://{serve(answers)}")
    assert said in str(caught.value) and "\n" not in str(caught.value) and "s3cr3t" not in str(caught.value)


def test_a_login_is_sent_and_a_wrong_one_told_without_it(serve, monkeypatch):
    def guarded(path: str, headers: dict[str, str]) -> Answer:  # as servers do: the version is for anyone
        let_in = ("Bearer s3cr3t", "Basic bWU6cEBzcw==")  # the second is me:p@ss
        if path == V2 or headers.get("Authorization") in let_in:
            return (200, {}, b'"1.0.6"')
        return (403, {}, b"{}")

    address = serve(guarded)
    with pytest.raises(StoreError, match="wants a login"):
        find_server(f"http://{address}")
    monkeypatch.setenv(TOKEN, "s3cr3t")
    assert "s3cr3t" not in repr(find_server(f"http://{address}"))
    assert find_server(f"http://me:p%40ss@{address}").host == "127.0.0.1"
    monkeypatch.setenv(TOKEN, "0th3r")
    with pytest.raises(StoreError, match="does not accept the login that was given") as caught:
        find_server(f"http://{address}")
    assert "0th3r" not in str(caught.value)


def test_a_password_that_is_not_encoded_is_told_before_anyone_is_asked():
    for url in ("http://rw:p@ss/word@127.0.0.1:9", "http://rw:ss/word@127.0.0.1:9/photos", "http://r:ss?word@h"):
        with pytest.raises(ConfigError, match=r"percent-encode it, as in %40 for @") as caught:
            find_server(url)
        assert (
            "ss" not in str(caught.value).partition("has more")[0] and "word" not in str(caught.value).split(" has")[0]
        )


def test_tls_and_no_tls_are_told_apart(serve, tmp_path: Path, monkeypatch):
    both, certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    answers = _paths(**{V2: "1.0.6"})
    with_tls, without = serve(answers, context), serve(answers)
    with pytest.raises(StoreError, match="with TLS, https:// instead of http://"):
        find_server(f"http://{with_tls}")
    with pytest.raises(StoreError, match="http:// instead of https://"):
        find_server(f"https://{without}")
    with pytest.raises(
        StoreError, match="its certificate is not trusted, self.signed.*: name its CA's file in SSL_CERT"
    ):
        find_server(f"https://{with_tls}")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert find_server(f"https://{with_tls}").ssl


def test_who_is_not_there_is_told():
    with pytest.raises(StoreError, match="does not answer: connection refused: start it with `chroma run .* --port 9`"):
        find_server("http://127.0.0.1:9")
    with pytest.raises(StoreError, match="does not answer: there is no host nobody.invalid: is the name right"):
        find_server("http://nobody.invalid:8000")

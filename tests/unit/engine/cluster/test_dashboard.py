"""Where jobs go, and what answers there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pixelbrain.engine.cluster.dashboard import connect, dashboard_address
from pixelbrain.errors import ConfigError, EngineError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)


class Dashboard(HTTPServer):
    """Says what Ray's says of its version; wants a token, if it is given one."""

    token: str | None = None
    answer: object = {"ray_version": "2.60.0", "version": "4", "session_name": "x"}

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Dashboard

    def do_GET(self) -> None:
        shown = self.headers.get("Authorization")
        self.server.asked.append(shown)
        allowed = self.server.token is None or shown == f"Bearer {self.server.token}"
        self.send_response(200 if allowed else 401 if shown is None else 403)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.answer).encode())

    def log_message(self, *given: object) -> None:
        pass


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    with Dashboard() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_where_jobs_go(monkeypatch):
    with pytest.raises(ConfigError, match="where to"):
        dashboard_address(None)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")  # a Ray's, not a dashboard's
    with pytest.raises(ConfigError, match="where to"):
        dashboard_address(None)
    monkeypatch.setenv("RAY_ADDRESS", "http://third:8265")
    assert dashboard_address(None) == "http://third:8265"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "second:8265")
    assert dashboard_address(None) == "http://second:8265"
    assert dashboard_address("https://first/") == "https://first"
    for wrong in ("ray://head:10001", "http://", "http://me:hunter2@head:8265"):
        with pytest.raises(ConfigError, match="is no dashboard's address") as refused:
            dashboard_address(wrong)
        assert "hunter2" not in str(refused.value)


def test_the_token_goes_only_to_who_asks_for_one(dashboard, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-ann")
    # in a process of its own: where a Ray of ours ran before, Ray's client shows that one's token by itself
    program = "import sys; from pixelbrain.engine.cluster.dashboard import connect; connect(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, dashboard.url], check=True, timeout=60)
    assert dashboard.asked and set(dashboard.asked) == {None}
    dashboard.token = "of-ann"
    connect(dashboard.url)
    assert dashboard.asked[-1] == "Bearer of-ann"


def test_a_token_that_it_does_not_take(dashboard, monkeypatch):
    dashboard.token = "of-bob"
    with pytest.raises(EngineError, match="wants a token, and there is none here"):
        connect(dashboard.url)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-ann")
    with pytest.raises(EngineError, match="refuses the token of RAY_AUTH_TOKEN"):
        connect(dashboard.url)


def test_an_address_that_is_given_wins_over_the_environments(dashboard, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    connect(dashboard.url)
    assert os.environ["RAY_ADDRESS"] == "http://127.0.0.1:1"


@pytest.mark.parametrize("answer", [{"version": "4"}, ["ray_version"], None])
def test_what_is_no_dashboard(dashboard, answer):
    dashboard.answer = answer
    with pytest.raises(EngineError, match="is no dashboard of Ray's"):
        connect(dashboard.url)


def test_nobody_answers():
    with pytest.raises(EngineError, match="no dashboard answers at http://127.0.0.1:1: "):
        connect("http://127.0.0.1:1")

"""Weights without a published sha256: what was fetched first is trusted, and no other file takes its place."""

from __future__ import annotations

import http.server
import threading

import pytest
from click.testing import CliRunner

from pixelbrain.cli.main import cli
from pixelbrain.errors import WeightsError
from pixelbrain.modules.weights import find
from pixelbrain.modules.weights.table import WEIGHTS

NAME = "facenet-casia-webface"


@pytest.fixture
def served(tmp_path, monkeypatch):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path / "served"))

        def log_message(self, *_):
            pass

    (tmp_path / "served").mkdir()
    (tmp_path / "served" / WEIGHTS[NAME].file_name).write_bytes(b"weights of 2018")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(find.MIRROR_VARIABLE, f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()


def test_what_was_fetched_first_is_trusted(served, tmp_path, caplog):
    folder = tmp_path / "weights"
    path = find.fetch_weights(NAME, folder)
    sha256 = find.trusted_sha256(path)
    assert sha256 == find.hash_file(path) and sha256 in caplog.text
    assert find.fetch_weights(NAME, folder) == path
    said = CliRunner().invoke(cli, ["weights", "list", "--weights-dir", str(folder)]).output
    assert f"not published: trusted on first use, {sha256}" in said
    path.write_bytes(b"weights of somebody else")
    with pytest.raises(WeightsError, match="instead of .* has it: delete it"):
        find.fetch_weights(NAME, folder)
    (state,) = [state for state in find.list_weights(folder, verify=True) if state.file.name == NAME]
    assert "instead of" in state.problem
    path.unlink()
    find.trusted_file(path).write_text("0" * 64)
    with pytest.raises(WeightsError, match="0000"):  # a server has another one now
        find.fetch_weights(NAME, folder)

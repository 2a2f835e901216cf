"""A proxy in front of the fake that loses replies: the server has done its work, the client does not learn of it."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

__all__ = ["cutting_proxy"]


@contextmanager
def cutting_proxy(base_url: str, cuts: Counter[str]) -> Iterator[str]:
    """Run the proxy; yields its base_url.

    Args:
        base_url: of the server behind it.
        cuts: how many replies to lose of each "POST /v1/batches" (no ids: `/v1/files/*/content`); of a content
            half is sent. Counted down.
    """
    server = urlsplit(base_url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            behind = http.client.HTTPConnection(server.hostname, server.port, timeout=20)
            kept = {k: v for k, v in self.headers.items() if k.lower() in ("authorization", "content-type")}
            behind.request(self.command, self.path, body, kept)
            reply = behind.getresponse()
            data = reply.read()
            behind.close()
            parts = urlsplit(self.path).path.split("/")
            name = "/".join("*" if part.startswith(("batch_", "file-")) else part for part in parts)
            cut = cuts[f"{self.command} {name}"] > 0
            if cut:
                cuts[f"{self.command} {name}"] -= 1
                self.close_connection = True
                if not name.endswith("/content"):
                    return
            self.send_response(reply.status)
            self.send_header("content-type", reply.headers["content-type"])
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if cut else data)

        do_GET = do_POST = do_DELETE = _pass_on

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}/v1"
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()

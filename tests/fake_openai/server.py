"""The server: `python -m tests.fake_openai.server --port 0`, on loopback, prints its address as a line of JSON.

Beside the API under /v1, and without a key: GET /stats, GET /answered, GET /requests?after=N, POST /control (settings,
and `faults`: a list of orders, see faults.py), POST /reset. The key comes from FAKE_OPENAI_KEY.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import secrets
import signal
import sys
import traceback
from typing import Any

from aiohttp import web

from tests.fake_openai.batches import Batches
from tests.fake_openai.billing import MODELS
from tests.fake_openai.chat import Chat, check_key, read_json
from tests.fake_openai.errors import ApiError, bad_request
from tests.fake_openai.faults import Faults
from tests.fake_openai.files import Files
from tests.fake_openai.images import ImageReader
from tests.fake_openai.ledger import Ledger
from tests.fake_openai.limits import Limits
from tests.fake_openai.settings import Settings, add_options, change

__all__ = ["Server", "main"]

_CHAT = "/v1/chat/completions"


class Server:
    """All parts of the fake, and its routes."""

    def __init__(self, key: str, settings: Settings) -> None:
        self._key = key
        self._settings = settings
        self._at_start = dataclasses.asdict(settings)
        self._broke: list[str] = []
        self._ledger = Ledger()
        self._faults = Faults()
        self._limits = Limits(settings)
        self._reader = ImageReader(settings)
        self._files = Files(settings)
        self._batches = Batches(settings, self._files, self._faults, self._reader, self._ledger)
        self._chat = Chat(key, settings, self._limits, self._faults, self._reader, self._ledger)

    def app(self) -> web.Application:
        """The aiohttp application."""
        # The body's limit is checked on the API's own terms, below.
        app = web.Application(middlewares=[self._errors], client_max_size=int(self._settings.max_body_mb * 1_000_000))
        files, batches = self._files, self._batches
        app.add_routes(
            [
                web.post(_CHAT, self._chat.handle),
                web.post("/{before:openai/.*|api/v1}/chat/completions", self._chat.handle),
                web.get("/v1/models", self._models),
                web.post("/v1/files", files.upload),
                web.get("/v1/files", files.list),
                web.get("/v1/files/{id}", files.retrieve),
                web.get("/v1/files/{id}/content", files.content),
                web.delete("/v1/files/{id}", files.delete),
                web.post("/v1/batches", batches.create),
                web.get("/v1/batches", batches.list),
                web.get("/v1/batches/{id}", batches.retrieve),
                web.post("/v1/batches/{id}/cancel", batches.cancel),
                web.get("/stats", self._stats),
                web.get("/answered", self._answered),
                web.get("/requests", self._requests),
                web.post("/control", self._control),
                web.post("/reset", self._reset),
            ]
        )
        app.on_cleanup.append(self._close)
        return app

    async def _close(self, app: web.Application) -> None:
        await self._batches.close()
        await self._reader.close()
        self._files.close()

    @web.middleware
    async def _errors(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """The key's check for all of /v1 (the chat counts its own), and errors as the API's JSON."""
        try:
            if request.path.startswith("/v1/") and request.path != _CHAT:
                check_key(request, self._key)
            return await handler(request)
        except ApiError as error:
            shown = error
        except web.HTTPRequestEntityTooLarge:
            shown = ApiError(413, f"Request body is larger than {self._settings.max_body_mb:g} MB.")
        except web.HTTPNotFound:
            shown = ApiError(404, f"Invalid URL ({request.method} {request.path})")
        except web.HTTPMethodNotAllowed:
            shown = ApiError(405, f"Not allowed to {request.method} on {request.path}", code="method_not_supported")
        except (ConnectionError, web.RequestPayloadError):
            shown = ApiError(499, "The client went away while it sent its request.")
        except Exception:
            self._broke.append(traceback.format_exc())
            shown = ApiError(500, "The fake broke: see its stats.", type="fake_broke")
        headers = {"x-request-id": f"req_{secrets.token_hex(16)}"} | shown.headers
        return web.json_response(shown.body(), status=shown.status, headers=headers)

    async def _models(self, request: web.Request) -> web.Response:
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "fake"} for name in MODELS]
        return web.json_response({"object": "list", "data": data})

    async def _stats(self, request: web.Request) -> web.Response:
        settings = self._settings
        return web.json_response(
            self._ledger.stats()
            | self._limits.peaks()
            | {
                "window_s": settings.window_s,
                "requests_allowed_per_window": settings.in_window(settings.rpm),
                "tokens_allowed_per_window": settings.in_window(settings.tpm),
                "enqueued_tokens_max": self._batches.enqueued_peak,
                "faults": dict(self._faults.counts),
                "fake_broke": self._broke,  # tracebacks of errors of its own: always to be empty
            }
        )

    async def _answered(self, request: web.Request) -> web.Response:
        return web.json_response(dict(self._ledger.answered))

    async def _requests(self, request: web.Request) -> web.Response:
        after = int(request.query.get("after", 0))
        return web.json_response([entry.as_dict() for entry in self._ledger.entries[after:]])

    async def _control(self, request: web.Request) -> web.Response:
        given = await read_json(request)
        try:
            faults = given.pop("faults", None)
            change(self._settings, given)
            if faults is not None:
                self._faults.order(faults)
        except (ValueError, AttributeError, TypeError) as error:
            raise bad_request(str(error)) from error
        return web.json_response(dataclasses.asdict(self._settings))

    async def _reset(self, request: web.Request) -> web.Response:
        """Settings of the start, no faults, empty windows, nothing logged; files and batches stay."""
        change(self._settings, self._at_start)
        self._faults.reset()
        self._limits.reset()
        self._ledger.reset()
        return web.json_response({})


async def _serve(key: str, settings: Settings, port: int, parent: int | None) -> None:
    runner = web.AppRunner(Server(key, settings).app(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=2048)
    await site.start()
    bound = runner.addresses[0][1]
    print(json.dumps({"base_url": f"http://127.0.0.1:{bound}/v1", "pid": os.getpid()}), flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while not stop.is_set() and (parent is None or os.getppid() == parent):
        try:
            await asyncio.wait_for(stop.wait(), 1.0)
        except asyncio.TimeoutError:
            continue
    await runner.cleanup()


def main(argv: list[str] | None = None) -> None:
    """Serve until SIGTERM, or until the parent is gone."""
    parser = argparse.ArgumentParser(prog="python -m tests.fake_openai.server", description=(__doc__ or "").strip())
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--parent", type=int, help="a process id: end when it is no longer the parent")
    add_options(parser)
    options = vars(parser.parse_args(argv))
    port, parent = options.pop("port"), options.pop("parent")
    key = os.environ.get("FAKE_OPENAI_KEY")
    if not key:
        sys.exit("set FAKE_OPENAI_KEY to the key that is to be accepted")
    try:
        settings = Settings(**options)
    except ValueError as error:
        sys.exit(str(error))
    asyncio.run(_serve(key, settings, port, parent))


if __name__ == "__main__":
    main()

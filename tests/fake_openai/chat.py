"""POST /v1/chat/completions."""

from __future__ import annotations

import asyncio
import hmac
import json
import random
import secrets
from typing import Any

from aiohttp import web

from tests.fake_openai.checks import check_model
from tests.fake_openai.completions import Asked, complete, look_at
from tests.fake_openai.errors import ApiError, bad_request
from tests.fake_openai.faults import Fault, Faults
from tests.fake_openai.images import ImageReader
from tests.fake_openai.ledger import Entry, Ledger
from tests.fake_openai.limits import Limits
from tests.fake_openai.profiles import PROFILES, as_openai_takes_it
from tests.fake_openai.settings import Settings

__all__ = ["Chat", "check_key", "read_json"]


def check_key(request: web.Request, key: str) -> None:
    """Raise a 401 unless the request carries the right key."""
    given = request.headers.get("authorization", "")
    if not given.startswith("Bearer ") or given == "Bearer ":
        message = "You didn't provide an API key. You need to provide your API key in an Authorization header using "
        raise ApiError(401, message + "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).")
    given = given.removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), key.encode()):
        # As the real one does: enough of the key to matter in a log.
        shown = f"{given[:8]}{'*' * 12}{given[-4:]}"
        message = f"Incorrect API key provided: {shown}. You can find your API key at "
        raise ApiError(401, message + "https://platform.openai.com/account/api-keys.", code="invalid_api_key")


async def read_json(request: web.Request) -> Any:
    """The body; raises a 400 where it is no JSON."""
    if request.content_type != "application/json":
        raise bad_request(f"Unsupported content type: {request.content_type!r}; it must be 'application/json'.")
    try:
        return json.loads(await request.read())
    except ValueError as error:
        raise bad_request("We could not parse the JSON body of your request.") from error


class Chat:
    """The endpoint: checks, limits, faults, latency, the answer, the bill."""

    def __init__(
        self, key: str, settings: Settings, limits: Limits, faults: Faults, reader: ImageReader, ledger: Ledger
    ) -> None:
        self._key, self._settings, self._limits = key, settings, limits
        self._faults, self._reader, self._ledger = faults, reader, ledger
        self._random = random.Random(settings.seed)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The aiohttp handler."""
        arrived = asyncio.get_running_loop().time()
        entry = self._ledger.open()
        try:
            return await self._answer(request, entry, arrived)
        except ApiError as error:
            error.headers = PROFILES[self._settings.profile].limits(error.headers)
            entry.status, entry.error = error.status, error.code or error.type
            raise
        except (ConnectionError, web.RequestPayloadError):
            entry.status, entry.error = 499, "client_gone"
            raise
        finally:
            self._ledger.close()

    async def _answer(self, request: web.Request, entry: Entry, arrived: float) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        profile = PROFILES[self._settings.profile]
        own = self._settings.profile != "openai"
        try:
            if own:
                profile.check(request, self._key)
            else:
                check_key(request, self._key)
        except ApiError:
            entry.key_ok = False
            raise
        body = await read_json(request)
        if own:
            if refused := profile.refuse(body):
                raise refused
            body = as_openai_takes_it(body)
        model = check_model(body)
        entry.model = model.name
        asked, wrong = await self._look_at(body, entry)
        # A request that is wrong counts as a request, too; the time is that of the decision, so windows are exact.
        charge = self._limits.admit(
            model,
            prompt_tokens=asked.prompt_tokens if asked else 0,
            max_tokens=(asked.checked.max_tokens or 0) if asked else 0,
            now=loop.time(),
        )
        if asked is None:
            assert wrong is not None
            wrong.headers = self._limits.headers(model, loop.time())
            raise wrong
        fault = self._faults.pick(asked.target("chat"))
        if fault is not None:
            entry.fault = fault.kind
            if error := fault.error:
                error.headers = self._limits.headers(model, loop.time()) | error.headers
                raise error
        await self._wait(arrived, fault)
        completion = complete(asked, fault.kind if fault else None, thinks=self._settings.thinks)
        used = completion.prompt_tokens + completion.completion_tokens
        self._limits.settle(model, charge, used, loop.time())
        self._ledger.bill(entry, asked, completion)
        headers = profile.limits(self._limits.headers(model, loop.time())) | {
            "openai-processing-ms": str(int((loop.time() - arrived) * 1000)),
            "openai-organization": "org-fake",
            "openai-version": "2020-10-01",
            "x-request-id": f"req_{secrets.token_hex(16)}",
        }
        return await self._send(request, json.dumps(profile.dress(completion.body())).encode(), headers, entry)

    async def _look_at(self, body: Any, entry: Entry) -> tuple[Asked | None, ApiError | None]:
        try:
            asked = await look_at(body, self._reader)
        except ApiError as error:
            return None, error
        entry.image, entry.questions = asked.image.sha256, asked.questions
        return asked, None

    async def _wait(self, arrived: float, fault: Fault | None) -> None:
        """Until the latency since arrival is over."""
        settings = self._settings
        latency_s = settings.latency_ms / 1000
        if settings.jitter_ms:
            latency_s += self._random.uniform(-settings.jitter_ms, settings.jitter_ms) / 1000
        if fault is not None and fault.kind == "slow":
            latency_s += fault.seconds
        left_s = arrived + latency_s - asyncio.get_running_loop().time()
        if left_s > 0:
            await asyncio.sleep(left_s)

    async def _send(
        self, request: web.Request, payload: bytes, headers: dict[str, str], entry: Entry
    ) -> web.StreamResponse:
        transport = request.transport
        if transport is None or transport.is_closing():  # the client has gone; its bill has not
            return web.Response(status=499)
        if entry.fault == "drop":
            transport.abort()
            return web.Response(status=499)
        if entry.fault == "cut":
            response = web.StreamResponse(headers=headers | {"content-length": str(len(payload))})
            response.content_type = "application/json"
            await response.prepare(request)
            await response.write(payload[: len(payload) // 2])
            transport.close()
            return response
        if entry.fault == "garbage":
            payload = b"<html><body>502 Bad Gateway</body></html>"
        else:
            self._ledger.deliver(entry)
        return web.Response(body=payload, content_type="application/json", headers=headers)

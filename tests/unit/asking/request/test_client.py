"""How clients are made, and what the SDK's errors mean."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest

from pixelbrain.asking.request.client import AskClient, classify_error, make_sync_client, sent_key
from pixelbrain.asking.request.failures import Retry, RowFailed, StopJob
from pixelbrain.asking.request.server import Server

KEY = "sk-proj-abcdefghijklmnop"
BODY = {"model": "gpt-4o-mini", "messages": [], "max_completion_tokens": 5}


def test_every_client_has_the_key_of_the_environment_and_no_retries_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    with make_sync_client(server=Server(base_url="http://127.0.0.1:9/v1"), timeout_s=7.0) as client:
        assert (client.api_key, client.max_retries, client.timeout) == (KEY, 0, 7.0)
        assert sent_key(client) == KEY
    monkeypatch.delenv("OPENAI_API_KEY")
    with make_sync_client(server=Server(base_url="http://127.0.0.1:9/v1")) as client:  # one's own may need none
        assert sent_key(client) is None


@pytest.mark.parametrize("make", [make_sync_client, AskClient])
def test_a_key_that_cannot_be_sent_is_known_at_once(make: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(StopJob, match="OPENAI_API_KEY is not set"):
        make()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-part one")
    with pytest.raises(StopJob, match="copy it again") as caught:
        make()
    assert "secret" not in str(caught.value)


def test_errors_of_the_sdk_are_told_apart():
    request = httpx.Request("POST", "http://host/v1/chat/completions")
    response = httpx.Response(429, request=request, headers={"retry-after": "3"})
    error = openai.APIStatusError("x", response=response, body={"message": f"slow down {KEY}"})
    found = classify_error(error, key=KEY)
    assert isinstance(found, Retry) and (found.after_s, found.everyone) == (3.0, True) and KEY not in str(found)
    assert isinstance(classify_error(openai.OpenAIError("what"), key=None), StopJob)


@pytest.mark.parametrize(
    ("cause", "billed"), [(httpx.ConnectError("no"), False), (httpx.ReadError(f"cut {KEY}"), True)]
)
def test_what_never_reached_the_server_was_not_billed(cause: Exception, billed: bool):
    error = openai.APIConnectionError(request=httpx.Request("POST", "http://host"))
    error.__cause__ = cause
    found = classify_error(error, key=KEY)
    assert isinstance(found, Retry) and found.error_type == "ConnectionBroken" and found.maybe_billed is billed
    assert KEY not in str(found)


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        *((200, content, Retry) for content in (b"<html>", b"", b"[]", b'{"choices": []}')),
        pytest.param(200, b"[" * 100_000, Retry, id="200-nested"),
        (200, b'{"error": {"message": "no", "code": 400}}', RowFailed),
        (400, b"{}", RowFailed),
        (401, b'{"error": true, "message": "Unauthorized"}', StopJob),  # of which the SDK keeps the true alone
    ],
)
def test_what_is_no_completion_is_no_reply(status: int, content: bytes, kind: type, monkeypatch: pytest.MonkeyPatch):
    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n"
            writer.write(head.encode() + b"connection: close\r\n\r\n" + content)
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            client = AskClient(server=Server(base_url=f"http://127.0.0.1:{port}/v1"), timeout_s=5.0)
            with pytest.raises(kind) as caught:
                await client.send(BODY)
            if kind is Retry:
                assert caught.value.error_type == "GarbledResponse"
                assert caught.value.maybe_billed and caught.value.garbled
            await client.aclose()

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    asyncio.run(main())


class _Refusing:
    """A server that takes neither of two parameters, says so of one at a time, and answers in the end."""

    def __init__(self, *refused: str) -> None:
        self.refused, self.bodies = refused, list[dict[str, Any]]()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = json.loads(await reader.readexactly(length))
        self.bodies.append(body)
        await asyncio.sleep(0.05)  # so that all that are sent together are refused together
        name = next((one for one in self.refused if one in body), None)
        status, found = 200, {"choices": [{"message": {"content": "{}"}}]}
        if name is not None:
            status, found = 400, {"error": {"message": f"Unrecognized request argument supplied: {name}"}}
        content = json.dumps(found).encode()
        answer = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n"
        writer.write(answer.encode() + b"connection: close\r\n\r\n" + content)
        writer.close()


def test_a_response_packed_in_another_way_than_it_says_was_answered_and_paid():
    error = openai.APIConnectionError(request=httpx.Request("POST", "http://host"))
    error.__cause__ = httpx.DecodingError("incorrect header check")
    found = classify_error(error, key=KEY)
    assert isinstance(found, Retry) and found.garbled and found.maybe_billed


def test_what_a_server_does_not_take_is_left_out_for_all_and_said_once(monkeypatch: pytest.MonkeyPatch):
    async def main() -> None:
        server = _Refusing("temperature", "max_completion_tokens")
        async with await asyncio.start_server(server, "127.0.0.1", 0) as listening:
            address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            client = AskClient(server=Server(base_url=address), timeout_s=5.0)
            sent = BODY | {"temperature": 0.0}
            replies = await asyncio.gather(*(client.send(sent) for _ in range(6)))
            assert [reply.content for reply in replies] == ["{}"] * 6  # no race is a failure
            assert len(client.notes) == 2
            before = len(server.bodies)
            await client.send(sent)
            (last,) = server.bodies[before:]  # it is remembered
            assert last["max_tokens"] == 5 and "temperature" not in last
            server.refused = ("max_tokens", "max_completion_tokens")  # nothing helps: its own words, and an end
            with pytest.raises(RowFailed, match="Unrecognized request argument"):
                await client.send(sent)
            assert len(server.bodies) <= before + 4
            await client.aclose()

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    asyncio.run(main())


def test_the_files_of_azure_get_its_own_header_alone(monkeypatch: pytest.MonkeyPatch):
    heads: list[bytes] = []

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
            address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/?api-version=2024-10-21"
            with make_sync_client(server=Server(provider="azure", base_url=address), timeout_s=5.0) as client:
                await asyncio.to_thread(client.batches.retrieve, "b")

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    asyncio.run(main())
    (head,) = heads
    assert head.startswith(b"GET /openai/batches/b?api-version=2024-10-21 ")
    assert f"api-key: {KEY}".encode() in head and b"authorization" not in head.lower()

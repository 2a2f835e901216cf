"""An asker on a bench: with a server that is a function, and a journal that is a list."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from pixelbrain.asking.cost.prices import find_price
from pixelbrain.asking.limits.limiter import RateLimiter
from pixelbrain.asking.online.asker import Asker
from pixelbrain.asking.online.requester import Requester
from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.request.photo import PhotoPreparer
from pixelbrain.asking.request.replies import Reply
from pixelbrain.asking.settings import AskSettings
from pixelbrain.errors import ReadError, StopJob
from tests.unit.asking.limits.local_gate import local_gate

PERSON = Question(field="is_person", text="Is there a person?", answer=answer_type("bool"))
COUNT = Question(field="people", text="How many people are there?", answer=answer_type("int"))
SETTINGS = AskSettings(questions=(PERSON, COUNT), max_tries=4)
PRICE = find_price("gpt-4o-mini")
GOOD = json.dumps({"is_person": True, "people": 2})

Answer = Reply | Exception


def reply(content: str = GOOD, **changes: Any) -> Reply:
    fields = {
        "content": content, "refusal": None, "finish_reason": "stop", "model": "gpt-4o-mini-2024-07-18",
        "input_tokens": 3001, "output_tokens": 11, "headers": {},
    }  # fmt: skip
    return Reply(**{**fields, **changes})


def photo(number: int) -> bytes:
    buffer = io.BytesIO()
    colour = tuple(50 * (number // 6**place % 6) for place in range(3))  # far enough apart to differ as JPEGs
    Image.new("RGB", (8, 8), colour).save(buffer, "PNG")
    return buffer.getvalue()


class Server:
    """Answers by a function of how many requests came before; counts."""

    def __init__(self, answer: Callable[[int], Answer] = lambda _number: reply()) -> None:
        self.answer = answer
        self.bodies: list[Mapping[str, Any]] = []
        self.in_flight = self.most_in_flight = 0

    async def send(self, body: Mapping[str, Any]) -> Reply:
        self.bodies.append(body)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0)
            found = self.answer(len(self.bodies) - 1)
        finally:
            self.in_flight -= 1
        if isinstance(found, Exception):
            raise found
        return found

    def fields(self, number: int = -1) -> list[str]:
        return list(self.bodies[number]["response_format"]["json_schema"]["schema"]["properties"])


class Bench:
    """An asker with all that it needs; the journal is what is remembered."""

    def __init__(self, server: Server, settings: AskSettings = SETTINGS, *, presign: Any = None, **limits: Any) -> None:
        self.journal: list[dict[str, Any]] = []
        self.memory: dict[str, dict[str, Any]] = {}
        self.limiter = RateLimiter(**{"rpm": 10**6, "tpm": 10**10, **limits})
        self.gate = local_gate(self.limiter)
        self.reads: list[str] = []
        self.asker = Asker(
            Requester(settings=settings, price=PRICE, gate=self.gate, send=server.send),
            PhotoPreparer(settings, PRICE, self.read, presign),
            remembered=self.memory.get,
            journal=self.note,
            threads=2,
        )

    def note(self, record: dict[str, Any]) -> None:
        self.journal.append(record)
        self.memory[record["key"]] = record

    def read(self, image_id: str) -> bytes:
        self.reads.append(image_id)
        if image_id == "missing":
            raise ReadError("no such file")
        return photo(int(image_id))

    async def ask(self, *image_ids: str, concurrency: int = 8) -> list[list[dict[str, Any]]]:
        entries = ({"image_id": image_id, "version": "1"} for image_id in image_ids)
        return [records async for records in ask_many(self.asker, entries, concurrency)]

    async def close(self) -> None:
        await self.asker.aclose()
        await self.gate.aclose()


async def ask_many(
    asker: Asker, entries: Iterable[Mapping[str, Any]], concurrency: int
) -> AsyncIterator[list[dict[str, Any]]]:
    """The records of each image, in the order in which they are ready; a stop ends it once all that were begun have."""
    source, running, stopped = iter(entries), set(), None
    done: asyncio.Queue[asyncio.Task[list[dict[str, Any]]]] = asyncio.Queue()
    while True:
        while stopped is None and len(running) < concurrency and (entry := next(source, None)) is not None:
            task = asyncio.create_task(asker.ask_image(entry))
            task.add_done_callback(done.put_nowait)
            running.add(task)
        if not running:
            break
        task = await done.get()
        running.discard(task)
        if isinstance(task.exception(), StopJob):
            stopped = task.exception()
        else:
            yield task.result()
    if stopped is not None:
        raise stopped


def run(bench: Bench, *image_ids: str, **options: Any) -> list[list[dict[str, Any]]]:
    async def main() -> list[list[dict[str, Any]]]:
        try:
            return await bench.ask(*image_ids, **options)
        finally:
            await bench.close()

    return asyncio.run(main())


def no_sleep(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits between tries take no time; returns them."""
    waits: list[float] = []
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def noted(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    patched = SimpleNamespace(**{**vars(asyncio), "sleep": noted})
    monkeypatch.setattr("pixelbrain.asking.online.requester.asyncio", patched)
    return waits

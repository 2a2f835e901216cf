"""One strict fake of the API for all tests of a module, and small images of plain colours to ask about."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest
from PIL import Image

from tests.fake_openai.running import FakeOpenAI
from tests.integration.asking.batch_world import World

SCHEMA = {
    "type": "object",
    "properties": {
        "is_red": {"type": "boolean"},
        "width_px": {"type": "integer"},
        "grey": {"type": "number"},
        "hue": {"type": "string", "enum": ["red", "green", "blue"]},
        "words": {"type": "array", "items": {"type": "string"}},
        "seen": {"type": "string"},
    },
    "required": ["is_red", "width_px", "grey", "hue", "words", "seen"],
    "additionalProperties": False,
}


def plain_image(colour: tuple[int, int, int], size: tuple[int, int] = (64, 48), image_format: str = "JPEG") -> bytes:
    """An encoded image of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, image_format)
    return buffer.getvalue()


def request_body(image: bytes | str, **changes: Any) -> dict[str, Any]:
    """A right request about an image, or about the image at a URL; `changes` replace fields of it."""
    url = image if isinstance(image, str) else f"data:image/jpeg;base64,{base64.b64encode(image).decode()}"
    parts = [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": url, "detail": "low"}}]
    return {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": parts}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": SCHEMA}},
        "max_completion_tokens": 200,
        "temperature": 0.0,
        **changes,
    }


def delivered_usd(fake: FakeOpenAI) -> Decimal:
    """What was billed for answers that got through."""
    stats = fake.stats()
    return Decimal(stats["billed_usd"]) - Decimal(stats["lost_usd"])


def actors_of_ours(*names: str) -> list[psutil.Process]:
    """The processes of actor classes, by name, in the Ray that this process has started; others may run here, too."""
    wanted = tuple(f"ray::{name}" for name in names)
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "".join(process.cmdline()[:1]).startswith(wanted):
                found.append(process)
        except psutil.NoSuchProcess:
            continue  # it has just ended
    return found


@pytest.fixture(scope="module")
def running_fake() -> Iterator[FakeOpenAI]:
    """The process."""
    with FakeOpenAI() as running:
        yield running


@pytest.fixture
def fake(running_fake: FakeOpenAI) -> Iterator[FakeOpenAI]:
    """The process, as if just started."""
    running_fake.reset()
    yield running_fake
    assert running_fake.stats()["fake_broke"] == []


@pytest.fixture
def client(fake: FakeOpenAI) -> Iterator[openai.OpenAI]:
    """The real SDK, without its retries."""
    with openai.OpenAI(api_key=fake.key, base_url=fake.base_url, max_retries=0, timeout=20) as made:
        yield made


@pytest.fixture
def ask(client: openai.OpenAI) -> Callable[..., Any]:
    """Ask about an image through the SDK; the body's changes as in `request_body`."""

    def send(image: bytes | str, *, client: openai.OpenAI = client, **changes: Any) -> Any:
        return client.chat.completions.create(**request_body(image, **changes))

    return send


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[..., World]:
    """A world of the Batch API lane with so many images, all different in size and colour."""

    def make(count: int, **more: Any) -> World:
        images = tmp_path / "images"
        images.mkdir()
        for number in range(count):
            (images / f"{number:04d}.jpg").write_bytes(plain_image((number % 256, 99, 50), (40 + number, 30)))
        return World(tmp_path / "out", images, **more)

    return make

"""Every server that a `--provider` stands for, as the fake speaks its dialect: named, or known by its refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from pixelbrain.asking.limits.limiter import RateLimiter
from pixelbrain.asking.module import Gpt4VModule
from pixelbrain.asking.online.asker import Asker
from pixelbrain.asking.online.requester import Requester
from pixelbrain.asking.request.client import AskClient
from pixelbrain.asking.request.photo import PhotoPreparer
from pixelbrain.landing.landing import Landing
from tests.fake_openai.profiles import PROFILES
from tests.fake_openai.running import FakeOpenAI
from tests.integration.asking.conftest import plain_image
from tests.integration.asking.landed import land_plain_images
from tests.unit.asking.limits.local_gate import local_gate

#: What is asked for, and learned one at a time, where a server's name is not given.
LEARNED = {
    "openai": [],
    "azure": ["max_completion_tokens"],
    "vllm": ["max_completion_tokens", "system"],
    "ollama": [],
    "lmstudio": [],
    "mistral": ["max_completion_tokens", "detail"],
    "openrouter": [],
    "litellm": ["response_format"],
}
#: What a server's name does not say, as it depends on the model behind it.
OF_MODEL = {"vllm": ["system"], "litellm": ["response_format"]}


@pytest.fixture
def fake(running_fake: FakeOpenAI, request: Any) -> Iterator[FakeOpenAI]:
    running_fake.reset()
    running_fake.control(profile=request.node.callspec.params["profile"])
    yield running_fake
    assert running_fake.stats()["fake_broke"] == []


def address(fake: FakeOpenAI, profile: str) -> str:
    """As people have it."""
    host = fake.base_url.removesuffix("/v1")
    return {
        "azure": f"{host}/openai/deployments/seer/chat/completions?api-version=2024-06-01",
        "openrouter": f"{host}/api/v1",
        "mistral": f"{fake.base_url}/",
    }.get(profile, host)


def ask(
    module: Gpt4VModule, images: int, limiter: RateLimiter | None = None
) -> tuple[list[dict[str, Any]], list[str], Requester]:
    """The records of plain images, what was learned, and who asked."""

    async def main() -> tuple[list[dict[str, Any]], list[str], Requester]:
        settings = module.settings
        client = AskClient(server=settings.server, model=settings.model, dialect=settings.dialect, timeout_s=20)
        gate = local_gate(limiter or RateLimiter(rpm=10**6, tpm=10**9))
        requester = Requester(settings=settings, price=module.price, gate=gate, send=client.send)
        preparer = PhotoPreparer(settings, module.price, lambda image_id: plain_image((int(image_id), 9, 9)))
        asker = Asker(requester, preparer, remembered=lambda key: None, journal=lambda record: None)
        entries = ({"image_id": str(150 + 10 * n), "version": "1"} for n in range(images))
        rows = await asyncio.gather(*map(asker.ask_image, entries))
        for part in (client, asker, gate):
            await part.aclose()
        return [record for row in rows for record in row], client.notes, requester

    return asyncio.run(main())


@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_server_is_asked_in_its_dialect_or_teaches_it(
    fake: FakeOpenAI, profile: str, named: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", fake.key)
    given = {"field": "is_red", "answer": "bool", "base_url": address(fake, profile), "token_limit": None}
    if named:
        given["provider"] = profile
    elif profile == "azure":  # known by its address: said otherwise, it is taught
        given["token_limit"] = "max_completion_tokens"
    records, notes, requester = ask(Gpt4VModule("Is it red?", **given), 6)
    assert [(record["status"], record["answer"]) for record in records] == [("ok", True)] * 6
    learned = OF_MODEL.get(profile, []) if named else LEARNED[profile]
    assert len(notes) == len(learned) and all(name in note for name, note in zip(learned, notes, strict=True))
    assert fake.stats()["answered_distinct"] == 6 == sum(fake.answered().values())  # nobody paid for a refusal
    assert requester.overrun.message is None and (requester.overrun.unsaid is not None) == (profile == "lmstudio")


@pytest.mark.parametrize(
    ("profile", "named"),
    [("openai", 6000), ("azure", None), ("vllm", None), ("mistral", 6000), ("openrouter", None), ("litellm", 6000)],
)
def test_limits_are_those_that_a_server_names_in_its_headers(
    fake: FakeOpenAI, profile: str, named: float | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", fake.key)
    fake.control(rpm=6000)
    limiter = RateLimiter()
    module = Gpt4VModule("Is it red?", field="is_red", answer="bool", base_url=address(fake, profile), provider=profile)
    records, _, _ = ask(module, 4, limiter)
    assert [record["status"] for record in records] == ["ok"] * 4
    assert limiter._requests.per_minute == named


@pytest.mark.parametrize("profile", ["openai", "vllm", "ollama", "lmstudio"])
def test_a_model_that_thinks_away_its_tokens_gets_more(
    fake: FakeOpenAI, profile: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("OPENAI_API_KEY", fake.key)
    fake.control(thinks=400)
    module = Gpt4VModule("Is it red?", field="is_red", answer="bool", base_url=address(fake, profile), provider=profile)
    records, _, _ = ask(module, 4)
    assert [(record["status"], record["answer"]) for record in records] == [("ok", True)] * 4
    assert caplog.text.count("from now on it may take 1200") == 1
    fake.control(thinks=5000)
    (record,), _, _ = ask(module, 1)
    assert (record["status"], record["error_type"]) == ("invalid", "Truncated")
    assert "before it began to answer" in record["error"] and "--max-output-tokens" in record["error"]


@pytest.mark.parametrize("profile", ["mistral"])
def test_the_command_says_once_what_it_has_learned(fake: FakeOpenAI, profile: str, tmp_path, command, ray_running):
    landing = land_plain_images(tmp_path, 6)
    asked = ["ask", landing.storage.uri, "--field", "wide", "--question", "How wide?", "--answer", "int"]
    asked += ["--base-url", address(fake, profile), "--actors", "2"]
    said = command(*asked, OPENAI_API_KEY=fake.key).stderr
    assert said.count("max_tokens is sent instead") == 1 and said.count("detail: it is left out") == 1
    assert Landing(landing.storage).answer_log.read("wide")["status"].to_pylist() == ["ok"] * 6
    again = command(*asked, "--provider", profile, OPENAI_API_KEY=fake.key)
    assert "nothing to ask" in again.stdout + again.stderr and len(fake.answered()) == 6  # the same answers

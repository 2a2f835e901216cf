"""Calls to the Batch API: tried again, given up with a word, and no batch made twice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx
import openai
import pytest

from pixelbrain.asking.batch import api as module
from pixelbrain.asking.batch.api import METADATA_KEY, BatchApi, RejectedError
from pixelbrain.errors import StopJob

KEY = "sk-proj-abcdefghijklmnop"


def broken() -> Exception:
    return openai.APIConnectionError(request=httpx.Request("GET", "http://host"))


def status(code: int, **body: Any) -> Exception:
    response = httpx.Response(code, request=httpx.Request("GET", "http://host"))
    return openai.APIStatusError("x", response=response, body=body)


class Client:
    """An SDK's client whose calls come to what they are told to, in turn."""

    api_key = KEY

    def __init__(self, *outcomes: Any, batches: tuple[Any, ...] = ()) -> None:
        self.outcomes, self.calls = list(outcomes), 0
        self.batches = SimpleNamespace(
            create=self.next, retrieve=self.next, cancel=self.next, list=lambda limit: batches
        )

    def with_options(self, max_retries: int) -> Client:
        return self

    def next(self, *_given: Any, **_named: Any) -> Any:
        self.calls += 1
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def made(client: Client) -> BatchApi:
    return BatchApi(client)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: None)


def test_what_passes_is_tried_again_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert made(Client(broken(), status(503, message="later"), "done")).retrieve("b") == "done"
    with pytest.raises(StopJob, match="does not take the key") as raised:
        made(Client(status(401, message=f"Incorrect API key provided: {KEY}"))).retrieve("b")
    assert KEY not in str(raised.value)
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    with pytest.raises(StopJob, match="what was sent goes on without us"):
        made(Client(broken(), broken())).retrieve("b")


def test_a_batch_whose_reply_was_lost_is_found_and_not_made_again() -> None:
    batch = SimpleNamespace(metadata={METADATA_KEY: "ours"})
    client = Client(broken(), batches=(SimpleNamespace(metadata=None), batch))
    assert made(client).create("file", "ours") is batch and client.calls == 1


def test_a_refused_batch_and_an_unknown_one_are_told_apart() -> None:
    refusal = openai.BadRequestError(
        "full", response=httpx.Response(400, request=httpx.Request("GET", "http://host")), body={"code": "full"}
    )
    with pytest.raises(RejectedError) as raised:
        made(Client(refusal)).create("file", "ours")
    assert raised.value.code == "full"
    missing = openai.NotFoundError(
        "no", response=httpx.Response(404, request=httpx.Request("GET", "http://host")), body=None
    )
    with pytest.raises(StopJob, match="does not know b"):
        made(Client(missing)).retrieve("b")
    assert made(Client(missing, "ended")).cancel("b") == "ended"  # it ended meanwhile

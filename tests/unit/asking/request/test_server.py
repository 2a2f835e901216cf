"""Servers as people have them: addresses in any form, keys and headers, and what a provider's name stands for."""

from __future__ import annotations

from typing import Any

import pytest

from pixelbrain.asking.request.client import make_sync_client
from pixelbrain.asking.request.server import PROVIDERS, Server
from pixelbrain.errors import ConfigError, StopJob

AZURE = "https://me.openai.azure.com"
DEPLOYED = f"{AZURE}/openai/deployments/gpt-4o"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch):
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", *(known.key_variable for known in PROVIDERS.values())):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("given", "url", "query"),
    [
        ({}, None, {}),
        ({"base_url": "http://10.0.0.7:8000"}, "http://10.0.0.7:8000/v1", {}),
        ({"base_url": "http://10.0.0.7:8000/v1/"}, "http://10.0.0.7:8000/v1", {}),
        ({"base_url": "localhost:11434"}, "http://localhost:11434/v1", {}),
        ({"base_url": "https://host/v1/responses"}, "https://host/v1", {}),
        ({"base_url": "https://host/v1/chat/completions?team=a"}, "https://host/v1", {"team": "a"}),
        ({"base_url": "https://host/llm/v2"}, "https://host/llm/v2", {}),
        ({"provider": "ollama"}, "http://localhost:11434/v1", {}),
        ({"provider": "openrouter", "base_url": "https://openrouter.ai/api"}, "https://openrouter.ai/api/v1", {}),
        ({"base_url": AZURE}, f"{AZURE}/openai/v1", {}),
        ({"base_url": AZURE, "api_version": "2024-10-21"}, DEPLOYED, {"api-version": "2024-10-21"}),
        ({"base_url": f"{AZURE}/?api-version=2024-10-21"}, DEPLOYED, {"api-version": "2024-10-21"}),
        (
            {"base_url": f"{DEPLOYED}/chat/completions?api-version=2024-10-21", "api_version": "2025-01-01"},
            DEPLOYED,
            {"api-version": "2025-01-01"},
        ),
        (
            {"base_url": f"{AZURE}/openai/v1/", "api_version": "preview"},
            f"{AZURE}/openai/v1",
            {"api-version": "preview"},
        ),
    ],
)
def test_an_address_is_understood_in_any_form(given: dict[str, Any], url: str | None, query: dict[str, str]):
    assert Server(**given).url("gpt-4o") == (url, query)


def test_the_files_of_azure_are_no_deployment_s():
    assert Server(base_url=f"{DEPLOYED}?api-version=1").url(whole=True) == (f"{AZURE}/openai", {"api-version": "1"})


def test_the_variable_wins_over_a_provider_s_usual_address(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gpu:8000")
    assert Server(provider="vllm").url() == ("http://gpu:8000/v1", {})
    assert Server(provider="vllm", base_url="http://here:1").url() == ("http://here:1/v1", {})


def test_azure_has_a_header_of_its_own_for_keys_and_none_for_tokens(monkeypatch: pytest.MonkeyPatch):
    azure = Server(base_url=f"{DEPLOYED}?api-version=1", headers={"X-Team": "a"})
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "secret")
    headers = make_sync_client(server=azure, model="gpt-4o").default_headers
    assert (headers["api-key"], headers["X-Team"]) == ("secret", "a")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "e30.e30.sig")
    assert "api-key" not in make_sync_client(server=azure, model="gpt-4o").default_headers
    assert not azure.takes_bearer("secret") and azure.takes_bearer("e30.e30.sig")
    assert "X-Team" not in repr(azure)  # its value may be a secret


@pytest.mark.parametrize(
    ("given", "variable"),
    [
        ({}, "OPENAI_API_KEY"),
        ({"provider": "mistral"}, "MISTRAL_API_KEY"),
        ({"base_url": "https://openrouter.ai"}, "OPENROUTER_API_KEY"),
        ({"base_url": AZURE}, "AZURE_OPENAI_API_KEY"),
        ({"provider": "lmstudio"}, None),
        ({"base_url": "https://elsewhere.example.com"}, None),
        ({"provider": "mistral", "base_url": "http://127.0.0.1:9"}, None),
    ],
)
def test_a_key_is_wanted_where_a_server_wants_one(
    given: dict[str, str], variable: str | None, monkeypatch: pytest.MonkeyPatch
):
    if variable is None:
        assert Server(**given).read_key() == ""
        return
    with pytest.raises(StopJob, match=f"{variable} is not set"):
        Server(**given).read_key()
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    assert Server(**given).read_key() == "any"
    monkeypatch.setenv("OPENAI_API_KEY", "a b")  # the one that is taken is named
    with pytest.raises(StopJob, match="^OPENAI_API_KEY holds characters"):
        Server(**given).read_key()
    monkeypatch.setenv(variable, "its own")
    with pytest.raises(StopJob, match=f"{variable} holds characters"):
        Server(**given).read_key()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"provider": "gemini"}, "provider is 'gemini': it is one of openai, azure"),
        ({"provider": "azure"}, "give --base-url"),
        ({"base_url": "ftp://host/v1"}, "base_url is 'ftp://host/v1'"),
        ({"base_url": "unix:///tmp/a.sock"}, "base_url is 'unix:///tmp/a.sock'"),
        ({"base_url": "/v1"}, "base_url is '/v1'"),
        ({"base_url": "http://ann:secret@host:99999"}, r"base_url is 'http://ann:\*\*\*@host:99999'"),
    ],
)
def test_a_server_that_cannot_be_is_named(given: dict[str, str], says: str):
    with pytest.raises(ConfigError, match=says):
        Server(**given)


def test_batches_are_refused_where_there_are_none_of_that_kind():
    for given in ({"base_url": "https://x.openai.azure.com"}, {"provider": "mistral"}, {"provider": "ollama"}):
        with pytest.raises(ConfigError, match="leave --batch away"):
            Server(**given).require_batches()
    for given in ({}, {"base_url": "http://127.0.0.1:9/v1"}, {"provider": "litellm"}):
        Server(**given).require_batches()

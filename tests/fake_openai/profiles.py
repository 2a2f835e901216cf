"""Other servers that speak the API: what each refuses, in its own words, and how it dresses its answers.

The wordings are those of public reports: openai/openai-python issue 1724 (Azure), editor-code-assistant/eca issue 231
(Mistral), 1Panel-dev/MaxKB issue 2912 (vLLM), lmstudio-ai/lmstudio-bug-tracker issues 189 and 307, BerriAI/litellm
issue 8278. Ollama and OpenRouter refuse nothing that we send, and answer as their models do. Of their limits they tell
in headers of their own, or not at all.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.fake_openai.errors import ApiError

__all__ = ["PROFILES", "Profile", "as_openai_takes_it"]

Body = dict[str, Any]
Headers = dict[str, str]


class OwnWords(ApiError):
    """An error in a server's own form."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status, json.dumps(body), code="refused_by_profile")
        self._body = body

    def body(self) -> Any:
        """The response's JSON."""
        return self._body


@dataclass(frozen=True)
class Profile:
    """A kind of server."""

    refuse: Callable[[Body], OwnWords | None] = lambda body: None
    dress: Callable[[Body], Body] = lambda answer: answer
    limits: Callable[[Headers], Headers] = lambda headers: headers  # what becomes of OpenAI's headers
    path: str = "/v1/chat/completions"
    key_header: str = "authorization"  # "": it asks for none
    query: tuple[str, ...] = ()  # that every request has

    def check(self, request: web.Request, key: str) -> None:
        """Raise for another endpoint, a query that lacks something, or a wrong key."""
        if request.path != self.path:
            raise OwnWords(404, {"error": {"code": "404", "message": "Resource not found"}})
        if missing := [name for name in self.query if name not in request.query]:
            raise OwnWords(
                400, {"error": {"code": "400", "message": f"Missing required query parameter: {missing[0]}"}}
            )
        if self.key_header not in ("", "authorization") and "authorization" in request.headers:
            raise OwnWords(401, {"error": {"code": "401", "message": "Access denied: two ways to authenticate."}})
        given = request.headers.get(self.key_header, "").removeprefix("Bearer ") if self.key_header else key
        if not hmac.compare_digest(given.encode(), key.encode()):
            raise OwnWords(401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key."}})


def as_openai_takes_it(body: Body) -> Body:
    """The same request to OpenAI: one of its models, and the schema that the prompt tells as a response format."""
    texts = [part["text"] for part in body["messages"][-1]["content"] if part["type"] == "text"]
    schema = next((json.loads(text[text.index("{") :]) for text in texts if '{"type": "object"' in text), None)
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": schema}}
    return body | {"model": "gpt-4o-mini"} | ({"response_format": wanted} if schema else {})


def _details(body: Body) -> bool:
    parts = body["messages"][-1]["content"]
    return any("detail" in part["image_url"] for part in parts if part["type"] == "image_url")


def _azure(body: Body) -> OwnWords | None:
    if "max_completion_tokens" not in body:
        return None
    said = "Unrecognized request argument supplied: max_completion_tokens"
    return OwnWords(400, {"error": {"message": said, "type": "invalid_request_error", "param": None, "code": None}})


def _forbidden(name: str, *loc: Any, given: Any = None) -> list[Body]:
    message = "Extra inputs are not permitted"
    return [{"type": "extra_forbidden", "loc": ["body", *loc, name], "msg": message, "input": given}]


def _mistral(body: Body) -> OwnWords | None:
    if "max_completion_tokens" in body:
        found = _forbidden("max_completion_tokens", given=body["max_completion_tokens"])
    elif _details(body):
        found = _forbidden(
            "detail", "messages", 1, "user", "content", "list[ContentChunk]", 1, "image_url", given="low"
        )
    else:
        return None
    return OwnWords(
        422, {"object": "error", "message": {"detail": found}, "type": "invalid_request_error", "code": None}
    )


def _vllm(body: Body) -> OwnWords | None:
    said = None
    if "max_completion_tokens" in body:
        said = str([_forbidden("max_completion_tokens", given=300)[0] | {"loc": ("body", "max_completion_tokens")}])
    elif body["messages"][0]["role"] == "system":
        said = "System role not supported"
    if said is None:
        return None
    return OwnWords(400, {"object": "error", "message": said, "type": "BadRequestError", "param": None, "code": 400})


def _lmstudio(body: Body) -> OwnWords | None:
    if body.get("response_format", {}).get("type") == "json_object":
        return OwnWords(400, {"error": "'response_format.type' must be 'json_schema' or 'text'"})
    return None


def _litellm(body: Body) -> OwnWords | None:
    if "response_format" not in body:
        return None
    said = (
        "litellm.UnsupportedParamsError: ollama does not support parameters: ['response_format'], for model=llava. To "
        "drop these, set `litellm.drop_params=True` or for proxy: `litellm_settings: drop_params: true`"
    )
    return OwnWords(400, {"error": {"message": said, "type": "None", "param": None, "code": "400"}})


def _message(change: Callable[[Body], Body], **others: Any) -> Callable[[Body], Body]:
    def dress(answer: Body) -> Body:
        (choice,) = answer["choices"]
        message = {name: value for name, value in choice["message"].items() if name in ("role", "content")}
        said = change(message) if message["content"] else {"content": None}  # all was thought, and nothing said
        return answer | others | {"choices": [choice | {"message": message | said}]}

    return dress


def _thought(said: Body) -> Body:
    return {"content": f"<think>Is it {{}}?</think>\n\nHere:\n```json\n{said['content']}\n```\nOk?"}


def _in_parts(said: Body) -> Body:
    return {"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": said["content"]}]}


def _as_thoughts(said: Body) -> Body:
    return {"content": None, "reasoning_content": said["content"]}


def _none(headers: Headers) -> Headers:
    return {}


def _azure_limits(headers: Headers) -> Headers:
    """What is left, and how long to wait; not the limits."""
    return {name: value for name, value in headers.items() if "-limit-" not in name and name != "retry-after-ms"}


def _mistral_limits(headers: Headers) -> Headers:
    """By other names, and not how long to wait."""
    names = {"requests": "req-minute", "tokens": "tokens-minute"}
    split = {name: name.rpartition("-") for name in headers if not name.startswith("retry") and "-reset-" not in name}
    return {f"{begin}-{names[kind]}": headers[name] for name, (begin, _, kind) in split.items() if kind in names}


def _litellm_limits(headers: Headers) -> Headers:
    """The provider's, under a prefix."""
    return {f"llm_provider-{name}": value for name, value in headers.items() if name.startswith("x-")} | {
        name: value for name, value in headers.items() if name == "retry-after"
    }


PROFILES = {
    "openai": Profile(),
    "azure": Profile(
        _azure,
        lambda answer: answer | {"prompt_filter_results": []},
        path="/openai/deployments/seer/chat/completions",
        limits=_azure_limits,
        key_header="api-key",
        query=("api-version",),
    ),
    "vllm": Profile(_vllm, _message(_as_thoughts), _none, key_header=""),
    "ollama": Profile(dress=_message(_thought), limits=_none, key_header=""),
    "lmstudio": Profile(
        _lmstudio, _message(lambda said: {"tool_calls": []}, stats={}, usage=None), _none, key_header=""
    ),
    "mistral": Profile(_mistral, _message(_in_parts), _mistral_limits),
    "openrouter": Profile(
        dress=_message(lambda said: {"reasoning": None}), limits=_none, path="/api/v1/chat/completions"
    ),
    "litellm": Profile(
        _litellm, _message(lambda said: {"content": f"Sure! {said['content']} Anything else?"}), _litellm_limits
    ),
}

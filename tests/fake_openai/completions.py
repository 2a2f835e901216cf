"""A chat completion, from a request's body to the answer's; the same for the chat endpoint and for a batch's line."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from tests.fake_openai.answers import NO_IMAGE, answer, describe
from tests.fake_openai.billing import image_tokens, schema_tokens, text_tokens
from tests.fake_openai.checks import Checked, check_body
from tests.fake_openai.faults import Target
from tests.fake_openai.images import ImageFacts, ImageReader

__all__ = ["Asked", "Completion", "complete", "look_at"]

_TOKENS_A_MESSAGE = 4  # role and separators
_TOKENS_A_REPLY = 3  # what primes it


@dataclass(frozen=True)
class Asked:
    """A request that is right in all its parts."""

    checked: Checked
    image: ImageFacts  # the first one; answers are about it
    prompt_tokens: int
    questions: str  # hex: the same for the same model, texts, details and schema

    def target(self, lane: str) -> Target:
        """What a fault looks at."""
        return Target(self.image.sha256, self.image.colour, self.questions, self.checked.max_tokens, lane)


async def look_at(body: dict[str, Any], reader: ImageReader) -> Asked:
    """Check a body and its images.

    Raises:
        ApiError: 400, or 404 for an unknown model.
    """
    checked = check_body(body)
    facts = [await reader.facts(part.url) for part in checked.images]
    tokens = _TOKENS_A_REPLY + _TOKENS_A_MESSAGE * checked.messages + schema_tokens(checked.schema)
    tokens += sum(map(text_tokens, checked.texts))
    for part, image in zip(checked.images, facts, strict=True):
        tokens += image_tokens(checked.model, image.width, image.height, part.detail)
    asked_for = [checked.model.name, checked.texts, [part.detail for part in checked.images], checked.schema]
    questions = hashlib.sha256(json.dumps(asked_for, sort_keys=True).encode()).hexdigest()[:16]
    return Asked(checked, facts[0] if facts else NO_IMAGE, tokens, questions)


@dataclass(frozen=True)
class Completion:
    """An answer, and its usage."""

    model: str  # the dated snapshot
    content: str | None
    refusal: str | None
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int

    def body(self) -> dict[str, Any]:
        """The response's JSON."""
        return {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.model,
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": self.content,
                        "refusal": self.refusal,
                        "annotations": [],
                    },
                    "logprobs": None,
                    "finish_reason": self.finish_reason,
                }
            ],
            "usage": {
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": self.completion_tokens,
                "total_tokens": self.prompt_tokens + self.completion_tokens,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
            },
            "service_tier": "default",
            "system_fingerprint": "fp_fake",
        }


def complete(asked: Asked, fault: str | None = None, *, thinks: int = 0) -> Completion:
    """The answer; or what a fault of the content kinds makes of it. It is thought of first, for so many tokens."""
    checked = asked.checked
    content: str | None = _content(asked)
    refusal, finish_reason = None, "stop"
    if fault == "misfit":
        names = (checked.schema or {}).get("properties", {})
        content = json.dumps({name: {"unexpected": True} for name in names} or ["unexpected"])
    elif fault == "prose":
        content = f"Certainly! In this image, I can see {describe(asked.image)}."
    tokens = thinks + max(1, text_tokens(content or ""))
    if thinks and checked.max_tokens is not None and tokens > checked.max_tokens:  # all of them are gone
        content, finish_reason, tokens = "", "length", checked.max_tokens
    elif fault == "truncated" or (checked.max_tokens is not None and tokens > checked.max_tokens):
        finish_reason = "length"
        kept = (content or "").encode()
        kept = kept[: min(len(kept) // 2, 4 * (checked.max_tokens or len(kept)))]
        content = kept.decode(errors="ignore")
        tokens = checked.max_tokens or max(1, text_tokens(content))
    elif fault == "refusal":
        content, refusal = None, "I'm sorry, but I can't help with this image."
        tokens = text_tokens(refusal)
        if checked.max_tokens is not None:
            tokens = min(tokens, checked.max_tokens)
    elif fault == "content_filter":
        content, finish_reason, tokens = None, "content_filter", 0
    return Completion(checked.model.snapshot, content, refusal, finish_reason, asked.prompt_tokens, tokens)


def _content(asked: Asked) -> str:
    if asked.checked.schema is not None:
        return json.dumps(answer(asked.image, asked.checked.schema))
    return json.dumps({"text": describe(asked.image)}) if asked.checked.json_object else describe(asked.image)

"""What a server takes of a request, said beforehand or learned from a refusal that names what it does not take."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pixelbrain.asking.cost.prices import plain_name
from pixelbrain.asking.request.failures import words

logger = logging.getLogger(__name__)

TokenLimit = Literal["max_completion_tokens", "max_tokens"]
ResponseFormat = Literal["json_schema", "json_object", "none"]

#: Names of the limit of output tokens; each server takes at least one.
TOKEN_LIMITS: tuple[TokenLimit, ...] = ("max_completion_tokens", "max_tokens")
#: Ways to ask for JSON, from the one that binds a model most; with the last two the schema is told in the prompt.
RESPONSE_FORMATS: tuple[ResponseFormat, ...] = ("json_schema", "json_object", "none")

#: Said before the schema, where the server does not take it as a parameter.
SCHEMA_PROMPT = "Answer with one JSON object and nothing else. It must be valid against this JSON schema:"


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What of a request a server takes. It is in no answer's key: the same is asked, in other words."""

    token_limit: TokenLimit = "max_completion_tokens"
    response_format: ResponseFormat = "json_schema"
    left_out: frozenset[str] = frozenset()  # detail, temperature, system (told by the user then), further parameters
    model: str | None = None  # the name under which the server knows the model, if not the one that was given

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"left_out": sorted(self.left_out)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Dialect:
        """Back from `as_dict`."""
        return cls(**{**data, "left_out": frozenset(data["left_out"])})

    def told(self, earlier: Dialect) -> str:
        """What has changed, for people."""
        if self.model != earlier.model:
            return f"the server has no model of that name: it is asked for {self.model}"
        if self.token_limit != earlier.token_limit:
            return f"the server does not take {earlier.token_limit}: {self.token_limit} is sent instead"
        if self.response_format != earlier.response_format:
            instead = "the schema is in the prompt" + (
                "" if self.response_format == "none" else f", beside {self.response_format}"
            )
            return f"the server does not take response_format {earlier.response_format}: {instead}"
        return f"the server does not take {', '.join(sorted(self.left_out - earlier.left_out))}: it is left out"


def speak(body: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """A request's body in a dialect; one that is in a wider dialect already is narrowed."""
    spoken = {name: value for name, value in body.items() if name not in dialect.left_out}
    spoken["model"] = dialect.model or body["model"]
    for name in TOKEN_LIMITS:
        if name in body and name != dialect.token_limit:
            spoken[dialect.token_limit] = spoken.pop(name)
    messages = [dict(message) for message in body["messages"]]
    if "detail" in dialect.left_out:
        for message in messages:
            if isinstance(message["content"], list):
                message["content"] = [_without_detail(part) for part in message["content"]]
    wanted = body.get("response_format")
    if wanted is not None and dialect.response_format != "json_schema":
        spoken["response_format"] = {"type": "json_object"}
        if wanted["type"] == "json_schema":
            schema = json.dumps(wanted["json_schema"]["schema"], ensure_ascii=False)
            messages = _with_text(messages, f"{SCHEMA_PROMPT}\n{schema}")
        if dialect.response_format == "none":
            del spoken["response_format"]
    if "system" in dialect.left_out and messages and messages[0]["role"] == "system":
        messages = _with_text(messages[1:], messages[0]["content"], first=True)
    return spoken | {"messages": messages}


def _without_detail(part: Mapping[str, Any]) -> Mapping[str, Any]:
    image = part.get("image_url")
    if not isinstance(image, Mapping):
        return part
    return {**part, "image_url": {name: value for name, value in image.items() if name != "detail"}}


def _with_text(messages: list[dict[str, Any]], text: str, *, first: bool = False) -> list[dict[str, Any]]:
    """With a text before or after what the user says, and always before the image."""
    *before, user = messages
    said, *others = user["content"]
    joined = "\n\n".join((text, said["text"]) if first else (said["text"], text))
    return [*before, {**user, "content": [{**said, "text": joined}, *others]}]


# --- what a refusal teaches -------------------------------------------------------------------------------------------

#: How servers say that they do not take something. A value that is too large or out of range is not among it.
_NOT_TAKEN = re.compile(
    r"\b(?:not|n't|never) (?:\w+ )?(?:support|permit|allow|recogni|accept|implement|available|enabled)"
    r"|unsupported|unrecogni[sz]ed|unknown|unexpected|extra_forbidden|extra (?:inputs?|fields?|parameters?)|deprecated"
    r"|unavailable|unimplemented|forbidden|no longer|only (?:\w+ )?(?:for|supported|available|enabled)"
    r"|cannot (?:\w+ )?be (?:used|set|specified)|parameter\W+\w+\W+is invalid"
    r"|(?:invalid|not an? (?:valid|known)) (?:\w+ )?(?:parameter|argument|field|key|option|property)"
    r"|must alternate|only \w+ and \w+ roles",
    re.IGNORECASE,
)
#: Nobody asked for the values of these: one that the server does not take is left out as well. Of a response_format,
#: that is a kind that the server does not know.
_OURS = frozenset({"response_format", "detail", "temperature"})
_OTHER_VALUE = re.compile(
    r"\b(?:must|should|ha(?:s|ve) to|expected|invalid|one of|only|range|greater|positive|fail|error|supported values)",
    re.IGNORECASE,
)
#: Of a parameter as a whole, whatever its value.
_NO_SUCH_PARAMETER = re.compile(
    r"extra_forbidden|extra (?:inputs?|fields?)|unrecogni[sz]ed|unknown (?:parameter|field|argument)|unexpected"
    r"|support parameters?",
    re.IGNORECASE,
)
_SCHEMA_AT_FAULT = re.compile(r"invalid (?:json[ _-]?)?schema", re.IGNORECASE)
_NO_MODEL = re.compile(r"model.{0,80}(?:not (?:exist|found|valid|have)|unknown|invalid)|no such model", re.IGNORECASE)

_NAMED: dict[str, re.Pattern[str]] = {
    "response_format": re.compile(
        r"response[ _]?format|json_schema|json_object|json mode|structured.?outputs?|guided.?(?:decoding|json)|grammar",
        re.IGNORECASE,
    ),
    "detail": re.compile(r"image_url\W{1,4}(?:\w+\W{1,4})?detail\b|['\"`.]detail['\"`](?!\s*:)|supplied: detail", re.I),
    "system": re.compile(
        r"(?:system|developer) (?:role|messages?|prompts?|instructions?)\b|\brole.{0,4}system\b|['\"`]system['\"`]"
        r"|roles must alternate|only user and assistant roles",
        re.IGNORECASE,
    ),
}

#: Characters of an error that are looked at: some servers repeat the request, image and all, in their words.
_LOOKED_AT = 2000


def learn(dialect: Dialect, body: Mapping[str, Any], status: int, error: Any) -> Dialect | None:
    """The dialect in which to ask instead, as a refusal of a `body` in this one says; None: it is about something else.

    `error` is as `classify_response` takes it.
    """
    if status not in (400, 404, 422):
        return None
    fields = error if isinstance(error, Mapping) else {}
    codes = [str(fields.get(name) or "") for name in ("type", "code")]
    said = " ".join((words(error), *codes))[:_LOOKED_AT]
    if _NO_MODEL.search(said) or "model_not_found" in codes:
        plain = plain_name(str(body["model"]))
        if plain not in (None, body["model"]):
            return replace(dialect, model=plain)
    name = _named(str(fields.get("param") or ""), said, body)
    if name is None:
        return None
    if not (_NOT_TAKEN.search(said) or (name in _OURS and _OTHER_VALUE.search(said))):
        return None
    if name == "response_format":
        if _SCHEMA_AT_FAULT.search(said):
            return None
        following = RESPONSE_FORMATS[RESPONSE_FORMATS.index(dialect.response_format) + 1]
        whole = _NO_SUCH_PARAMETER.search(said)
        return replace(dialect, response_format="none" if whole else following)
    if name in TOKEN_LIMITS:
        return replace(dialect, token_limit=next(other for other in TOKEN_LIMITS if other != name))
    return replace(dialect, left_out=dialect.left_out | {name})


class Lessons:
    """A server's dialect over a run: as it was said, then as refusals teach it, each once."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect  # to be spoken from now on
        self.notes: list[str] = []  # what was learned, for people
        self._known = {dialect}

    def teach(self, sent: Dialect, body: Mapping[str, Any], status: int, error: Any) -> bool:
        """Whether a request that was refused is worth sending again, in the dialect as it is now; see `learn`."""
        wanted = learn(sent, body, status, error)
        if wanted is None or sent != self.dialect:  # another request's refusal has taught it meanwhile
            return wanted is not None
        if wanted in self._known:  # what it asks for now, it has refused before
            return False
        self.dialect = wanted
        self._known.add(wanted)
        self.notes.append(wanted.told(sent))
        logger.warning(self.notes[-1])
        return True


def _named(param: str, said: str, body: Mapping[str, Any]) -> str | None:
    """What of a request an error names: its `param`, or what its words name first."""
    sent = [name for name in body if name not in ("model", "messages")]
    images = [part for message in body["messages"] for part in message["content"] if isinstance(part, Mapping)]
    if any("detail" in part["image_url"] for part in images if isinstance(part.get("image_url"), Mapping)):
        sent.append("detail")
    if any(message["role"] == "system" for message in body["messages"]):
        sent.append("system")
    for text in (param, said):
        places = {
            name: found.start()
            for name in sent
            if (found := _NAMED.get(name, re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")).search(text)) is not None
        }
        if text is param and param.rpartition(".")[2] in sent:
            return param.rpartition(".")[2]
        if places:
            return min(places, key=places.__getitem__)
    return None

"""Gpt4VModule: questions about images, asked of GPT-4 Vision or any server that speaks its API.

It is not in the streaming pass of the other modules: `Pipeline` and the CLI run it afterwards, over what has landed, so
that it can be limited to what the others found, holds no GPU while it waits, and never pays for an answer twice.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from pixelbrain.asking.cost.prices import ModelPrice, find_price, plain_name, read_prices
from pixelbrain.asking.online.asker import choose_concurrency
from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.questions.question import PREBUILT, Question, prebuilt_question
from pixelbrain.asking.request.body import check_parameters
from pixelbrain.asking.request.dialect import RESPONSE_FORMATS, TOKEN_LIMITS, Dialect
from pixelbrain.asking.request.estimate import estimate
from pixelbrain.asking.request.headers import parse_duration
from pixelbrain.asking.request.server import PROVIDERS, Server
from pixelbrain.asking.settings import AskLimits, AskSettings
from pixelbrain.config import MAX_MEGAPIXELS, choose
from pixelbrain.errors import ConfigError
from pixelbrain.landing.where.language import all_of
from pixelbrain.shown import Shown

_USUAL_SIZE = (1600, 1200)  # of a photo, for the tokens of a usual request
_ANSWER_TOKENS, _REASONING_TOKENS = 300, 2000


class Gpt4VModule(Shown):
    """One request an image, with one or more questions; each answer lands under its question's field.

        Gpt4VModule("Is it day or night?", field="light", answer="choice:day,night", where="n_faces > 0")
        Gpt4VModule("people_detector")
        Gpt4VModule(questions=[{"field": "mood", "question": "The mood, in a word?"}, "perfect_eyes"])

    Args:
        question: what to ask, or the name of a prebuilt question: people_detector, perfect_eyes,
            no_generation_artifacts.
        field: the answer's column.
        answer: text, bool, int, float, choice:a,b,c, tags, a JSON schema, or a pydantic model.
        questions: several at once instead: names, or mappings with `question`, `field` and `answer`.
        model: that is asked.
        detail: low or high: how much of the image the model sees, and costs.
        where: only images for which this is true, as in `n_faces > 0 and label == "suit"`.
        rpm, tpm: requests and tokens a minute; learned from the server by default.
        budget_usd: a hard cap on what these fields may cost.
        concurrency, actors: requests in flight, and processes that ask. By default as many requests as the limits can
            use, 32 where none is given.
        base_url: another server that speaks the API.
        provider: its kind, which chooses the five below and, for some, the address: openai, azure, vllm, ollama,
            lmstudio, mistral, openrouter, litellm. What a server refuses to take is left out by itself, too.
        api_version: Azure's, as in "2024-10-21".
        token_limit: the name of the limit of output tokens: max_completion_tokens or max_tokens.
        response_format: how JSON is asked for: json_schema, json_object or none, where the prompt holds the schema.
        send_detail, send_temperature: False leaves it out of the request.
        headers: further ones of every request.
        prices: by model, see `asking.cost.prices.find_price`, or a YAML or JSON file of them; a model on a server of
            your own costs nothing without, unless `provider` says that it passes requests on to one that is paid.
        image_urls: send presigned URLs of s3:// images instead of the images.
        max_output_tokens: of one reply; 300 by default, and 2,000 for models that think first, which is billed too.
        temperature: None sends none; models that think first take none.
        parameters: further fields of the request.
        max_megapixels: images of which more would be in memory at once are refused.
        max_wait: seconds, or as in "90s", "30m" or "6h": how long the server may let nothing through before asking
            ends, with everything kept; 10 minutes by default. With batches: how long until one ends; no limit by
            default.

    Raises:
        ConfigError: a value that cannot work, or a model whose price is not known.
    """

    def __init__(
        self,
        question: str | None = None,
        *,
        field: str | None = None,
        answer: Any = "text",
        questions: Sequence[str | Mapping[str, Any]] = (),
        model: str = "gpt-4o-mini",
        detail: str = "low",
        where: str | None = None,
        rpm: float | None = None,
        tpm: float | None = None,
        budget_usd: Any = None,
        concurrency: int | None = None,
        actors: int = 1,
        base_url: str | None = None,
        provider: str | None = None,
        api_version: str | None = None,
        token_limit: str | None = None,
        response_format: str | None = None,
        send_detail: bool | None = None,
        send_temperature: bool | None = None,
        headers: Mapping[str, str] | None = None,
        prices: Mapping[str, Mapping[str, Any]] | str | Path | None = None,
        image_urls: bool = False,
        max_output_tokens: int | None = None,
        temperature: float | None = 0.0,
        parameters: Mapping[str, Any] | None = None,
        s3_endpoint: str | None = None,
        max_megapixels: int = MAX_MEGAPIXELS,
        max_wait: float | str | None = None,
    ) -> None:
        if bool(question) == bool(questions):
            raise ConfigError("give a question, or several as questions")
        if question:
            questions = [question if question in PREBUILT else {"question": question, "field": field, "answer": answer}]
        choose("detail", detail, ("low", "high"))
        check_parameters(parameters or {})
        server = Server(provider=provider, base_url=base_url, api_version=api_version, headers=dict(headers or {}))
        if server.is_openai:
            model = plain_name(model) or model
        if isinstance(prices, str | Path):
            prices = read_prices(prices)
        # a budget needs a price: without, it would never be reached
        free = server.runs_free and budget_usd is None
        self.price = find_price(model, prices, server=server.spelled if budget_usd is None else None, free=free)
        if max_output_tokens is None:
            max_output_tokens = _REASONING_TOKENS if self.price.reasoning else _ANSWER_TOKENS
        if type(max_output_tokens) is not int or max_output_tokens < 16:
            raise ConfigError(f"max_output_tokens is {max_output_tokens!r}: a whole number of at least 16")
        self.settings = AskSettings(
            questions=tuple(map(_question, questions)),
            model=model,
            detail=detail,  # type: ignore[arg-type]  # chosen above
            server=server,
            dialect=_dialect(server, self.price, token_limit, response_format, send_detail, send_temperature),
            max_output_tokens=max_output_tokens,
            temperature=None if self.price.reasoning else temperature,
            image_urls=image_urls,
            s3_endpoint=s3_endpoint,
            max_megapixels=max_megapixels,
            parameters=dict(parameters or {}),
            max_wait_s=_seconds(600.0 if max_wait is None else max_wait),
            max_batch_wait_s=None if max_wait is None else _seconds(max_wait),
        )
        fields = [one.field for one in self.settings.questions]
        if len(set(fields)) != len(fields):
            raise ConfigError(f"two questions share a field: {', '.join(fields)}")
        self.where = where
        if concurrency is None:
            one = estimate(self.settings, self.price, *_USUAL_SIZE)
            tokens = one.input_tokens + one.output_tokens_max
            concurrency = actors * choose_concurrency(rpm, tpm, tokens_per_request=tokens, actors=max(1, actors))
        self.limits = AskLimits(
            rpm=rpm, tpm=tpm, budget_usd=_dollars(budget_usd), concurrency=concurrency, actors=actors
        )

    def behind(self, where: str | None) -> Gpt4VModule:
        """The same, of which only images are asked about for which this is true, too."""
        made = copy.copy(self)
        made.where = all_of(where, self.where)
        return made

    def asked(self) -> dict[str, str]:
        """Which fields, of whom: for run.json and people."""
        fields = ", ".join(question.field for question in self.settings.questions)
        return {"fields": fields, "model": self.settings.model}

    def shown(self) -> Mapping[str, Any]:
        found = {"fields": [one.field for one in self.settings.questions], "model": self.settings.model}
        return found | ({"where": self.where} if self.where else {})


def _dialect(
    server: Server,
    price: ModelPrice,
    token_limit: str | None,
    response_format: str | None,
    detail: bool | None,
    temperature: bool | None,
) -> Dialect:
    """What the server takes: of its kind, of the model, and what is said, which wins."""
    usual = PROVIDERS[server.kind].dialect
    left_out = set(usual.left_out)
    for name, sent in (("detail", detail), ("temperature", temperature)):
        if sent is not None:
            (left_out.discard if sent else left_out.add)(name)
    if token_limit is None:
        token_limit = "max_completion_tokens" if price.reasoning else usual.token_limit
    if response_format is None:
        response_format = usual.response_format if price.json_schema else "json_object"
    choose("token_limit", token_limit, TOKEN_LIMITS)
    choose("response_format", response_format, RESPONSE_FORMATS)
    return Dialect(
        token_limit=token_limit,  # type: ignore[arg-type]  # chosen above, both
        response_format=response_format,  # type: ignore[arg-type]
        left_out=frozenset(left_out),
    )


def _question(given: str | Mapping[str, Any]) -> Question:
    if isinstance(given, str):
        return prebuilt_question(given)
    if unknown := set(given) - {"question", "field", "answer"}:
        raise ConfigError(f"a question has no {sorted(unknown)[0]!r}: it has question, field and answer")
    if not given.get("question"):
        raise ConfigError(f"a question needs its text: {given.get('field')!r} has none")
    if not given.get("field"):
        raise ConfigError(
            f"a question needs a field that its answers land in, as in --field is_red: {given['question']!r} has none"
        )
    return Question(field=given["field"], text=given["question"], answer=answer_type(given.get("answer", "text")))


def _dollars(value: Any) -> Decimal | None:
    if value is None:
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise ConfigError(f"budget is {value!r}: dollars, as in 12.50") from None


def _seconds(value: float | str) -> float:
    found = parse_duration(str(value))
    if found is None or found <= 0:
        raise ConfigError(f"max_wait is {value!r}: a time, as in 90s, 30m or 6h")
    return found

"""How asking is set up: what is asked of whom, and how fast and for how much."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pixelbrain.asking.cost.image_tokens import Detail
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.request.dialect import Dialect
from pixelbrain.asking.request.server import Server
from pixelbrain.config import MAX_MEGAPIXELS
from pixelbrain.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AskSettings:
    """What is asked, of whom, and how. Holds no key: that is read from the environment where requests are sent."""

    questions: tuple[Question, ...]  # of one request, in their order
    model: str = "gpt-4o-mini"
    detail: Detail = "low"
    server: Server = field(default_factory=Server)  # where requests go
    dialect: Dialect = Dialect()  # what the server takes; the rest it teaches us
    max_output_tokens: int = 300
    temperature: float | None = 0.0  # None: not sent, for models that take none
    image_urls: bool = False  # presigned URLs for s3:// images, instead of uploading them
    timeout_s: float = 60.0  # of one try
    max_tries: int = 8  # of one request
    max_wait_s: float = 600.0  # of one request, over all its tries; and of all, without an answer, after a 429
    max_batch_wait_s: float | None = None  # of a run, until a batch ends; None: as long as they take, which is a day
    s3_endpoint: str | None = None
    max_megapixels: int = MAX_MEGAPIXELS  # of an image, in memory at once
    parameters: dict[str, Any] = field(default_factory=dict)  # further fields of the request's body


@dataclass(frozen=True, kw_only=True)
class AskLimits:
    """How fast, how much at once, and for how much money. Raises `ConfigError` for what lets nothing through."""

    rpm: float | None = None  # requests a minute; None: learned from the first response
    tpm: float | None = None  # tokens a minute, input and output
    budget_usd: Decimal | None = None  # for these fields of an OUT, earlier runs included; None: no cap
    window_s: float = 60.0  # that the server counts in; the limits are per minute all the same
    concurrency: int = 64  # requests in flight, over all actors
    actors: int = 1  # processes that ask

    def __post_init__(self) -> None:
        for name in ("rpm", "tpm"):
            value = getattr(self, name)
            if value is not None and not value >= 1:
                raise ConfigError(f"{name} is {value!r}: at least 1 a minute")
        if self.budget_usd is not None and not self.budget_usd > 0:
            raise ConfigError(f"budget is {self.budget_usd}: dollars, more than 0")
        if not 1 <= self.actors <= self.concurrency:
            raise ConfigError(f"concurrency is {self.concurrency} over {self.actors} actors: at least 1 each")

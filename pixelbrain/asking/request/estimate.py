"""What a request takes before it is sent, and the one warning when requests come to more."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from pixelbrain.asking.cost.prices import ModelPrice, cost_usd, image_tokens, text_tokens
from pixelbrain.asking.questions.answer_types import AnswerType
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.request.body import SYSTEM_PROMPT, answers_schema, questions_text
from pixelbrain.asking.request.dialect import SCHEMA_PROMPT
from pixelbrain.asking.settings import AskSettings

logger = logging.getLogger(__name__)

#: Around the texts of a request: 3 tokens a message and 3 for the reply (OpenAI cookbook, "How to count tokens with
#: tiktoken"), and what comes with an image and a schema, which nobody documents: users were billed 8 to 12 tokens
#: on top of the image for a question of a few words (https://community.openai.com/t/1281361). The rest is room.
OVERHEAD_TOKENS = 32

#: Tokens that an answer usually takes, without its name: guesses for the expected price; the price at most uses none.
_USUAL_TOKENS = {"text": 60, "bool": 1, "int": 2, "float": 4, "tags": 40}

#: Observed dollars over estimated ones from which on there is a warning, and how many requests it takes to say so.
_OVERRUN, _OVERRUN_REQUESTS = Decimal("1.2"), 10


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What one request takes, before it is sent."""

    input_tokens: int  # an upper estimate: the texts' tokens are not counted with the model's own tokenizer
    output_tokens_max: int
    output_tokens_expected: int
    cost_usd_max: Decimal  # what a budget reserves
    cost_usd_expected: Decimal


def estimate(
    settings: AskSettings,
    price: ModelPrice,
    width: int,
    height: int,
    *,
    questions: Sequence[Question] | None = None,
    max_output_tokens: int | None = None,
    batch: bool = False,
) -> Estimate:
    """What a request about an image takes whose upright original has so many pixels a side.

    Some `questions` replace the settings', as when others are answered already, and `max_output_tokens` its like, as
    after a truncated answer.
    """
    questions = settings.questions if questions is None else questions
    schema = json.dumps(answers_schema(questions), separators=(",", ":"))
    told = SCHEMA_PROMPT if settings.dialect.response_format != "json_schema" else ""
    texts = sum(map(text_tokens, (SYSTEM_PROMPT, questions_text(questions), told, schema)))
    image = image_tokens(price, width, height, settings.detail, reduced=not settings.image_urls)
    most = max_output_tokens or settings.max_output_tokens
    # of an answer with its name and the JSON around it
    usual = 4 + sum(3 + math.ceil(len(one.field) / 4) + _usual_tokens(one.answer) for one in questions)
    expected = most if price.reasoning else min(most, usual)  # how long a model thinks, nobody knows
    input_tokens = image + texts + OVERHEAD_TOKENS
    return Estimate(
        input_tokens=input_tokens,
        output_tokens_max=most,
        output_tokens_expected=expected,
        cost_usd_max=cost_usd(price, input_tokens, most, batch),
        cost_usd_expected=cost_usd(price, input_tokens, expected, batch),
    )


def _usual_tokens(answer: AnswerType) -> int:
    if answer.kind == "choice":
        return max(text_tokens(choice) for choice in answer.choices)
    if answer.kind == "schema":
        return text_tokens(answer.schema)  # an answer spells its names too, and a value takes about what its type does
    return _USUAL_TOKENS[answer.kind]


@dataclass
class Overrun:
    """Adds up what requests cost beside what was estimated, and warns once of much more."""

    message: str | None = None  # to whoever pays, once requests cost more than a fifth above the estimate
    unsaid: str | None = None  # the same, once a server does not say what an answer took
    _requests: int = 0
    _expected: Decimal = Decimal(0)
    _observed: Decimal = Decimal(0)

    def add(self, expected: Decimal, observed: Decimal, *, requests: int = 1, estimated: int = 0) -> None:
        """Requests were expected to cost, and cost, so many dollars.

        Beside them, so many were `estimated`, as nothing told what they cost: they prove no estimate wrong.
        """
        if estimated and self.unsaid is None:
            self.unsaid = (
                "the server does not say how many tokens its answers take: what they cost is estimated, at the most "
                "that it can be"
            )
            logger.warning(self.unsaid)
        self._requests += requests
        self._expected += expected
        self._observed += observed
        if self._requests < _OVERRUN_REQUESTS or self._observed <= _OVERRUN * self._expected:
            return
        first = self.message is None
        more = (self._observed / self._expected - 1) * 100 if self._expected else float("inf")
        self.message = (
            f"{self._requests:,} requests cost ${self._observed:.6f}, {more:.0f} % more than the estimate of "
            f"${self._expected:.6f}: the answers are longer, or the images larger, than the table of prices expects"
        )
        if first:
            logger.warning(self.message)

"""A question about an image, and what became of it."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from pixelbrain.asking.questions.answer_types import AnswerType
from pixelbrain.errors import ConfigError
from pixelbrain.schema import check_name


class AnswerStatus(str, enum.Enum):
    """What became of a question about an image."""

    OK = "ok"
    REFUSED = "refused"  # by the model or a content filter: an answer, and paid for
    INVALID = "invalid"  # answered twice with what is not of the asked type; the raw text is kept
    FAILED = "failed"  # the image or the request
    OVER_BUDGET = "over_budget"  # not sent; a rerun with more money asks it

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question about an image; its answer lands in a column `field`."""

    field: str
    text: str
    answer: AnswerType

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", self.field):
            raise ConfigError(f"field is {self.field!r}: lower-case letters, digits and _, a letter first")
        check_name("question", self.field)
        if not self.text.strip():
            raise ConfigError(f"the question of {self.field} is empty")

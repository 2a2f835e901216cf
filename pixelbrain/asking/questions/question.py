"""A question about an image, what became of it, and the questions that are there by name."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from pixelbrain.asking.questions.answer_types import AnswerType, answer_type
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


PREBUILT: dict[str, Question] = {
    "people_detector": Question(
        field="is_person",
        text=(
            "Is at least one real person visible in the photo, whole or in part? People in the background count. "
            "Statues, dolls, drawings, and people on posters or screens do not."
        ),
        answer=answer_type("bool"),
    ),
    "perfect_eyes": Question(
        field="perfect_eyes",
        text=(
            "Are the eyes of every person whose face is visible open, natural and undamaged, with both pupils round "
            "and looking the same way? Answer false if any eye is closed, deformed, missing or misaligned, or if no "
            "eyes are visible."
        ),
        answer=answer_type("bool"),
    ),
    "no_generation_artifacts": Question(
        field="no_generation_artifacts",
        text=(
            "Is the photo free of the artifacts that image generators leave? Look for extra, missing or fused fingers "
            "and limbs, deformed faces, text that is no writing, objects that melt into each other, and impossible "
            "reflections or shadows. Answer true only if there are none."
        ),
        answer=answer_type("bool"),
    ),
}


def prebuilt_question(name: str) -> Question:
    """The question of this name. Raises `ConfigError` where there is none, and lists the names."""
    if name not in PREBUILT:
        raise ConfigError(f"no prebuilt question is named {name!r}: they are {', '.join(PREBUILT)}")
    return PREBUILT[name]

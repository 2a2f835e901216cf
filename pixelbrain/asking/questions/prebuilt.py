"""Questions that are there by name."""

from __future__ import annotations

from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.questions.question import Question
from pixelbrain.errors import ConfigError

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
    """The question of this name.

    Raises:
        ConfigError: there is none; the names are listed.
    """
    if name not in PREBUILT:
        raise ConfigError(f"no prebuilt question is named {name!r}: they are {', '.join(PREBUILT)}")
    return PREBUILT[name]

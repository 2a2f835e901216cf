"""What a question may be."""

from __future__ import annotations

import pytest

from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.questions.question import AnswerStatus, Question
from pixelbrain.errors import ConfigError
from pixelbrain.landing.answers.log import FINAL_STATUSES


@pytest.mark.parametrize(
    ("field", "text", "says"),
    [
        ("Light", "Day or night?", "lower-case"),
        ("2nd", "What?", "a letter first"),
        ("a" * 64, "What?", "lower-case"),
        ("light", "  ", "the question of light is empty"),
    ],
)
def test_fields_and_texts_are_checked(field: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Question(field=field, text=text, answer=answer_type("text"))


def test_final_statuses_are_statuses_of_ours() -> None:
    assert {str(AnswerStatus.OK), str(AnswerStatus.REFUSED), str(AnswerStatus.INVALID)} == FINAL_STATUSES

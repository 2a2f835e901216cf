"""What a question may be."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.questions.question import PREBUILT, AnswerStatus, Question, prebuilt_question
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


def test_the_three_of_the_predecessor_are_there() -> None:
    assert {name: question.field for name, question in PREBUILT.items()} == {
        "people_detector": "is_person",
        "perfect_eyes": "perfect_eyes",
        "no_generation_artifacts": "no_generation_artifacts",
    }


@pytest.mark.parametrize("name", PREBUILT)
def test_each_is_answered_by_a_bool(name: str) -> None:
    question = prebuilt_question(name)
    assert question.answer.arrow_type() == pa.bool_()
    assert question.text.count("?") == 1
    assert "  " not in question.text and question.text == question.text.strip()


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="people_detector, perfect_eyes, no_generation_artifacts"):
        prebuilt_question("eyes")

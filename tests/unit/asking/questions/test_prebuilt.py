"""The questions that are there by name."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pixelbrain.asking.questions.prebuilt import PREBUILT, prebuilt_question
from pixelbrain.errors import ConfigError


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

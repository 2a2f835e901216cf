"""`pixelbrain ask`: flags over the key gpt4v of a file, and an exit code for failures."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from pixelbrain.asking.answer_records import AskReport
from pixelbrain.cli.main import cli
from pixelbrain.stages.stages import Stages

FILE = """
gpt4v:
  model: gpt-4o
  detail: high
  questions:
    - people_detector
    - {field: mood, question: "The mood?"}
"""


@pytest.fixture
def asked(monkeypatch) -> list:
    """The modules that were to ask; one image failed."""
    found = []

    def ask(stages, module, *, limit):
        found.append((module, limit))
        report = AskReport(images=7)
        report.failed_images = 1
        return report

    monkeypatch.setattr(Stages, "ask", ask)
    return found


def ask(out, *words):
    return CliRunner().invoke(cli, ["ask", str(out), *words])


def test_flags_win_over_the_file(landed, asked, tmp_path):
    file = tmp_path / "questions.yaml"
    file.write_text(FILE)
    assert ask(landed, "--config", str(file), "--detail", "low", "--limit", "3").exit_code == 0
    ((module, limit),) = asked
    assert [question.field for question in module.settings.questions] == ["is_person", "mood"] and limit == 3
    assert (module.settings.model, module.settings.detail) == ("gpt-4o", "low")


def test_a_question_takes_the_place_of_the_files(landed, asked, tmp_path):
    file = tmp_path / "questions.yaml"
    file.write_text(FILE)
    assert ask(landed, "--config", str(file), "--question", "perfect_eyes").exit_code == 0
    assert len(asked[0][0].settings.questions) == 1 and asked[0][0].settings.model == "gpt-4o"


def test_strict_is_an_exit_code(landed, asked):
    assert ask(landed, "--question", "people_detector").exit_code == 0
    assert ask(landed, "--question", "people_detector", "--strict").exit_code == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing --question"),
        (["--question", "Day?"], "as in --field is_red: 'Day?' has none"),
        (["--question", "people_detector", "--budget", "much"], "budget is 'much'"),
    ],
)
def test_what_cannot_be_asked_is_said(words, said, landed, asked):
    result = ask(landed, *words)
    assert result.exit_code == 2 and said in result.output and not asked


def test_a_dry_run_asks_nobody(landed, asked):
    result = ask(landed, "--question", "people_detector", "--dry-run")
    assert result.exit_code == 0 and "7 images" in result.output and not asked


def test_prices_come_from_a_file_by_flag_or_by_config(landed, asked, tmp_path):
    prices, config = tmp_path / "prices.yaml", tmp_path / "questions.yaml"
    prices.write_text("llava: {input_usd_per_million: 0.1, output_usd_per_million: 0.4, tokens: {like: gpt-4o}}")
    words = ["--question", "perfect_eyes", "--model", "llava"]
    refused = ask(landed, *words)
    assert refused.exit_code == 2 and "give it in a file for --prices, as in `llava: {input" in refused.output
    assert ask(landed, *words, "--prices", str(prices)).exit_code == 0
    config.write_text(f"gpt4v: {{prices: '{prices}'}}")
    assert ask(landed, *words, "--config", str(config)).exit_code == 0
    assert [float(module.price.input_usd_per_million) for module, _ in asked] == [0.1, 0.1]
    assert "cannot read the prices in nowhere.yaml" in ask(landed, *words, "--prices", "nowhere.yaml").output

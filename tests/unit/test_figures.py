"""The figures of README and docs: each is a measured one's, as benchmarks/results has it, and none is made up."""

from __future__ import annotations

import json
import re

import pytest
from markdown_it import MarkdownIt

from benchmarks.figures import MARK, PAGES, RESULTS, SCALING, fill, load

FIGURES = load()
TEXTS = {page.name if page.parent.name != "docs" else f"docs/{page.name}": page.read_text("utf-8") for page in PAGES}

#: What looks measured: a number with a unit, a ratio with two decimals and more, a cell of a table that is a number.
UNIT = r"(?:(?:images|photos|faces|rows|vectors)?/s|s|ms|microseconds|seconds|minutes|hours|[KMG]B|times|x)\b|%"
LOOKS_MEASURED = re.compile(
    rf"(?<![\w.,])(?:[\d,]*\.?\d+ ?(?:{UNIT})|\d*\.\d\d+(?![\w.])|(?:precision|recall|F|p50) (?:of |is )?[\d.]*\d)"
)
NUMBER = re.compile(r"[\d,]*\.?\d+")

#: Those that nobody measures, of each page, in their order: sizes of what is given, limits, versions, models' widths.
CONSTANTS = {
    "README.md": ["7 GB", "210 MB"],
    "docs/asking.md": ["4032 x"],
    "docs/datasets.md": ["256 MB"],
    "docs/cluster.md": ["10 s"],
    # a limit is all of itself, and images are as many as were given
    "docs/performance.md": [
        *("24 GB", "3.11", "2.15", "1", "1", "1", "2,000", "20,000", "100,000", "4 %", "1 s", "1"),
    ],
    "docs/photos.md": [
        *("15 MB", "0.45455", "8 times", "5 minutes", "65 %", "65 %", "35 %", "65 %", "50 %", "30 %"),
        *("2048", "512", "1280", "512", "512", "128", "512", "210 MB"),
    ],
    "docs/sources.md": ["8 times", "5 minutes", "10 s", "30 s"],
    "docs/stores.md": ["50 MB"],
    "docs/words.md": ["20 MB", "605 MB", "0.85", "512", "605 MB", "768", "1.7 GB", "66.6 %", "75.3 %"],
}


def unmarked(text: str) -> list[str]:
    """The measured-looking figures without a mark, in prose and tables; code is left out."""
    found, in_cell = [], False
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        in_cell = token.type == "td_open" or (in_cell and token.type == "inline")
        if token.type != "inline":
            continue
        shown = ""
        for child in token.children or ():
            if child.type == "html_inline" and MARK.fullmatch(f"0{child.content}"):
                shown = re.sub(r"[\d,]*\.?\d+$", "#", shown)
            elif child.type != "code_inline":
                shown += child.content or " "
            else:
                shown += "`"
        found += [shown] if in_cell and NUMBER.fullmatch(shown) else LOOKS_MEASURED.findall(shown)
    return found


@pytest.mark.parametrize("page", TEXTS)
def test_a_stated_figure_is_the_measured_one(page):
    assert fill(TEXTS[page], FIGURES) == TEXTS[page]  # else: uv run python benchmarks/figures.py


def test_what_is_simulated_is_what_the_simulation_said():
    text = SCALING.read_text("utf-8")
    assert len(MARK.findall(text)) == 20 and fill(text, FIGURES) == text


@pytest.mark.parametrize("page", TEXTS)
def test_what_looks_measured_says_where_it_is_from(page):
    assert unmarked(TEXTS[page]) == CONSTANTS.get(page, [])


def test_each_result_says_what_was_run_where_and_how():
    files = sorted(RESULTS.glob("*.json"))
    assert files
    for file in files:
        result = json.loads(file.read_text("utf-8"))
        assert result.keys() == {"bench", "machine", "versions", "settings", "figures"}
        scripts = [RESULTS.parent / f"{prefix}{file.stem}.py" for prefix in ("bench_", "")]
        assert result["bench"] == file.stem and any(script.exists() for script in scripts)
        assert result["settings"] and all(isinstance(figure, float | int) for figure in result["figures"].values())


@pytest.mark.parametrize(
    ("stated", "measured"),
    [
        ("33.0<!-- a.b -->", "1,234.6<!-- a.b -->"),
        ("33<!-- a.b/1000 --> GB", "1<!-- a.b/1000 --> GB"),
        (".98<!-- c-2 -->, `.98`", ".12<!-- c-2 -->, `.98`"),
        ("0.98<!-- c-2 -->", "0.12<!-- c-2 -->"),
        ("$1.1<!-- c-2*100 --> %", "$12.3<!-- c-2*100 --> %"),
    ],
)
def test_a_figure_is_written_in_the_form_that_it_had(stated, measured):
    assert fill(stated, {"a.b": 1234.56, "c-2": 0.1234}) == measured


def test_a_figure_that_no_result_has_is_named():
    with pytest.raises(ValueError, match="no result has ask.nothing"):
        fill("61.6<!-- ask.nothing -->", FIGURES)


def test_two_results_do_not_have_one_name(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text('{"figures": {"x.y": 1}}')
    with pytest.raises(ValueError, match=r"b.json has x.y"):
        load(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "It does 61.6 images/s.",
        "A load of 268/s.",
        "It takes 1.2 GB",
        "and 33 microseconds of it",
        "1.1 % are lost",
        "1.09 times as fast",
        "a recall of .98",
        "F .9, no more",
        "| a | b |\n| - | - |\n| rows | 9,413 |",
        "61.6<!-- not a mark --> and 0.99",
    ],
)
def test_a_measured_looking_figure_is_found(text):
    assert len(unmarked(text)) == 1
    assert not unmarked(re.sub(r"([\d,]*\.?\d+)(?!.*\d)", r"\1<!-- a.b -->", text))


def test_figures_in_code_and_versions_are_none():
    assert not unmarked("Use `--timeout 5 s` of ray 2.60.1, on page 7.\n\n    pixelbrain 44.0 GB\n")

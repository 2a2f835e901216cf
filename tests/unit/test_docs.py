"""What the pages say is there: commands and their options, links, anchors, files; nothing is run."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from ray.scripts.scripts import cli as ray_cli

from pixelbrain.cli.main import cli
from tests.pages import PAGES, ROOT, anchors, commands, examples, inline_code, links
from tests.unit.cluster.test_commands import parse

TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
DOCS = sorted(page for page in PAGES if page.startswith("docs/") and page != "docs/README.md")
#: Folders whose files a page may name.
FOLDERS = ("pixelbrain", "jobs", "cluster", "docs", "benchmarks", "tests")


def wrong_command(line: str) -> str:
    """What is wrong with a command line, or an empty text."""
    program, *words = shlex.split(line, comments=True)
    try:
        if program == "ray":
            parse(ray_cli, words)
        elif program in ("python", "pytest"):
            file = next((word for word in words if "/" in word), ".")
            return "" if (ROOT / file).exists() else f"no file {file}"
        else:
            context = parse(cli, ["tag-identity", *words] if program == "tag_identity" else words)
            sent = context.params.get("words") if words[0] == "submit" else None
            return wrong_command(shlex.join(["pixelbrain", *sent])) if sent else ""
    except click.UsageError as error:
        return error.format_message()
    return ""


def wrong_words(text: str) -> str:
    """As `wrong_command`, of a command in prose, where arguments are left out, or are dots or capitals."""
    command: click.Command = cli
    words = shlex.split(text)[1:]
    while isinstance(command, click.Group) and words:
        name = words.pop(0)
        if name not in command.commands:
            return f"no command {name}"
        command = command.commands[name]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return next((f"no option {word}" for word in words if word.startswith("-") and word not in options), "")


def wrong_link(page: str, target: str) -> str:
    """What is wrong with a link of a page, or an empty text; other sites are not asked."""
    if re.match(r"https?://", target):
        return ""
    path, _, anchor = target.partition("#")
    file = (ROOT / page).parent / path if path else ROOT / page
    if not file.exists():
        return f"{page}: no {target}"
    if anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
        return f"{page}: no heading for {target}"
    return ""


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_parses(page):
    wrong = {line: reason for line in commands(TEXTS[page]) if (reason := wrong_command(line))}
    assert not wrong


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_prose_is_one(page):
    found = [code for code in inline_code(TEXTS[page]) if code.startswith("pixelbrain ")]
    wrong = {code: reason for code in found if (reason := wrong_words(code))}
    assert not wrong


def test_the_commands_are_found():
    found = {page: commands(TEXTS[page]) for page in ("README.md", *DOCS)}
    assert sum(map(len, found.values())) >= 60
    assert found["README.md"][0] == "pixelbrain demo"
    assert "pixelbrain run photos/ --out out/ --config pipeline.yaml" in found["docs/photos.md"]  # inside its YAML
    assert [line for line in found["docs/cluster.md"] if line.startswith("ray job submit")][0].endswith(
        "s3://bucket/out"
    )


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    wrong = [reason for target in links(TEXTS[page]) if (reason := wrong_link(page, target))]
    assert not wrong


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_is_there(page):
    named = [code for code in inline_code(TEXTS[page]) if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./-]+", code)]
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_every_page_is_in_both_indexes():
    assert len(DOCS) == 14
    assert [page for page in DOCS if page not in links(TEXTS["README.md"])] == []
    assert [page for page in DOCS if page.removeprefix("docs/") not in links(TEXTS["docs/README.md"])] == []


def test_every_benchmark_is_in_the_docs():
    scripts = [path.name for path in (ROOT / "benchmarks").glob("bench_*.py")]
    assert len(scripts) >= 6
    assert [name for name in scripts if f"benchmarks/{name}" not in TEXTS["docs/performance.md"]] == []


def test_every_command_is_in_the_readmes_table():
    for name in cli.commands:
        assert f"`pixelbrain {name}" in TEXTS["README.md"] or name == "tag-identity"


def test_the_readme_is_a_front_page():
    assert TEXTS["README.md"].count("\n") <= 250
    opening = re.findall(r"^    (.*)$", TEXTS["README.md"], re.MULTILINE)
    assert opening[:2] == ["pip install uv && uv run pixelbrain demo", "pip install uv && uv run pytest"]


def test_blocks_are_in_languages_that_a_test_runs():
    assert {language for _, language, _ in examples()} == {"python", "yaml"}


@pytest.mark.parametrize(
    "line",
    [
        "pixelbrain run photos/ --output out/",
        "pixelbrain runs photos/ --out out/",
        "pixelbrain submit extract photos/ --oot out/",
        "tag_identity --data_path photos/ --exports people.csv",
        "ray start --heads",
        "python benchmarks/bench_nothing.py",
    ],
)
def test_a_slip_of_the_pen_is_found(line):
    page = f"Text.\n\n    uv run {line}  # a comment\n"
    assert commands(page) and wrong_command(commands(page)[0])


def test_a_slip_of_the_pen_is_found_in_prose():
    assert wrong_words("pixelbrain lode out/") and wrong_words("pixelbrain load OUT --again")
    assert not wrong_words("pixelbrain load") and not wrong_words("pixelbrain ask OUT --question ...")


@pytest.mark.parametrize("target", ["docs/nowhere.md", "docs/asking.md#limit", "#nothing"])
def test_a_broken_link_is_found(target):
    assert links(f"See [this]({target}).\n") == [target]
    assert wrong_link("README.md", target)

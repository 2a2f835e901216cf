"""Options that several commands share: an address for a command's duration, and stores' URIs from the environment."""

from __future__ import annotations

import os

import click
import pytest
import yaml
from click.testing import CliRunner

from pixelbrain.cli.main import cli
from pixelbrain.cli.options import address_option, command_options
from pixelbrain.errors import EngineError

SECRET = "mongodb://me:hunter2@db/x"


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    for name in ("RAY_ADDRESS", "PIXELBRAIN_MONGO", "PIXELBRAIN_CHROMA"):
        monkeypatch.delenv(name, raising=False)


@click.command()
@click.option("--fail", is_flag=True)
@address_option
@command_options
def where(fail, display, debug):
    if fail:
        raise EngineError("no Ray answers")
    click.echo(str(os.environ.get("RAY_ADDRESS")))


@pytest.mark.parametrize(
    ("words", "variable", "inside"),
    [
        ([], None, "None"),
        (["--address", "a:1"], None, "a:1"),
        (["--address", "a:1"], "b:2", "a:1"),
        ([], "b:2", "b:2"),
        ([], "", ""),
    ],
)
def test_an_address_is_there_while_the_command_runs(words, variable, inside, monkeypatch):
    if variable is not None:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    for more, code in ([], 0), (["--fail"], 1):
        result = CliRunner().invoke(where, [*words, *more])
        assert result.exit_code == code
        assert os.environ.get("RAY_ADDRESS") == variable  # as it was
        if not more:
            assert result.output.strip() == inside


@pytest.mark.parametrize("name", ["run", "extract", "ask", "tag-identity"])
def test_commands_that_need_ray_take_an_address(name):
    assert address_option(lambda: None).__click_params__[0].name in [p.name for p in cli.commands[name].params]


@pytest.mark.parametrize("name", ["run", "extract", "load", "identify", "group", "status", "verify"])
def test_stores_come_from_the_environment(name, monkeypatch):
    monkeypatch.setenv("PIXELBRAIN_MONGO", SECRET)
    monkeypatch.setenv("PIXELBRAIN_CHROMA", "http://chroma:8000")
    with cli.commands[name].make_context(name, ["out"]) as context:
        assert (context.params["mongo"], context.params["chroma"]) == (SECRET, "http://chroma:8000")
    with cli.commands[name].make_context(name, ["out", "--mongo", "mongodb://other/y", "--chroma", ""]) as context:
        assert (context.params["mongo"], context.params["chroma"]) == ("mongodb://other/y", None)  # the default
    monkeypatch.setenv("PIXELBRAIN_MONGO", "")
    with cli.commands[name].make_context(name, ["out"]) as context:
        assert context.params["mongo"] is None


def test_search_takes_chroma_from_the_environment(monkeypatch):
    monkeypatch.setenv("PIXELBRAIN_CHROMA", "http://chroma:8000")
    with cli.commands["search"].make_context("search", ["out", "--image", "a.jpg"]) as context:
        assert context.params["chroma"] == "http://chroma:8000"


def test_the_environment_wins_over_the_file_and_is_masked(tmp_path, monkeypatch):
    file = tmp_path / "pipeline.yaml"
    file.write_text("mongo: mongodb://of.the.file/x\n")
    words = ["run", "photos", "--out", "o", "--config", str(file), "--print-config"]
    assert yaml.safe_load(CliRunner().invoke(cli, words).output)["mongo"] == "mongodb://of.the.file/x"
    monkeypatch.setenv("PIXELBRAIN_MONGO", SECRET)
    result = CliRunner().invoke(cli, words)
    assert yaml.safe_load(result.output)["mongo"] == "mongodb://me:***@db/x" and "hunter2" not in result.output

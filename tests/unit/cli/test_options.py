"""Options that several commands share: an address for a command's duration, and stores' URIs from the environment."""

from __future__ import annotations

import dataclasses
import os

import click
import pytest
import yaml
from click.testing import CliRunner

from pixelbrain.cli.main import cli
from pixelbrain.cli.options import address_option, command_options, merged_config
from pixelbrain.config import RunConfig
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


@pytest.mark.parametrize("name", ["run", "plan", "load", "identify", "group", "status", "verify"])
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


def test_every_setting_that_is_an_option_is_one_of_the_run():
    described = {field.name for field in dataclasses.fields(RunConfig) if field.metadata}
    own = {"source", "ray_address", "config_file", "print_config", "strict", "quiet", "debug"}
    assert {parameter.name for parameter in cli.commands["run"].params} == described | own
    assert {field.name for field in dataclasses.fields(RunConfig)} - described == {"source", "gpt4v"}


def test_options_are_settings():
    words = [
        "photos", "--out", "o", "--module", "resnet", "--module", "a:B", "--classes", 'tabby, "tiger, cat"',
        "--actors", "2", "--actors", "decode=1:4", "--gpus-per-actor", "resnet=0.5", "--node-labels", "decode:tier=cpu",
        "--autoscale", "--offline", "--mongo", "",
    ]  # fmt: skip
    with cli.commands["run"].make_context("run", words) as context:
        config = merged_config(context.params)
    assert config == RunConfig(
        source="photos", out="o", modules=("resnet", "a:B"), classes=("tabby", "tiger, cat"), offline=True,
        actors={"": "2", "decode": "1:4"}, gpus_per_actor={"resnet": 0.5}, node_labels={"decode": "tier=cpu"},
        autoscale=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gpus-per-actor", "resnet=half"], "'resnet=half': write 0.5, or NAME=0.5"),
        (["--actors", "resnet=4:1"], "at least 1, and not more than at most"),
        (["--top-k", "1001"], "1001 is not in the range 1<=x<=1000"),
        (["--limit", "0"], "0 is not in the range x>=1"),
        (["--device", "tpu"], "'tpu' is not one of 'auto', 'cpu', 'cuda'"),
    ],
)
def test_an_option_that_cannot_work_is_named(words, said):
    result = CliRunner().invoke(cli, ["run", "photos", "--out", "o", *words])
    assert result.exit_code == 2 and said in result.output

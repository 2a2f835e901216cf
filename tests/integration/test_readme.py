"""What the README shows runs, as it stands there."""

from __future__ import annotations

import re
import shutil

import pytest
import yaml

import pixelbrain as pb
from pixelbrain.apps.demo import SAMPLES
from pixelbrain.cli.main import cli
from pixelbrain.config import RunConfig
from tests.fake_openai.running import FakeOpenAI
from tests.integration.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with photos/, as in the README."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(SAMPLES / "joe-biden", folder / "photos")
    (folder / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


def test_there_are_four_examples_in_python():
    assert len(BLOCKS) == 4


@pytest.mark.usefixtures("ray_running")
def test_the_pipeline(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    exec(compile(BLOCKS[0], "README", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-2] == "1 people in 4 faces"


def test_the_loader(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    exec(compile(BLOCKS[1], "README", "exec"), {})
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 5 and sum(line.endswith(", 3)") for line in shown) == 4


def test_a_module_of_ones_own(folder, pixelbrain):
    (folder / "colour.py").write_text(BLOCKS[2])
    done = pixelbrain(
        "extract", "photos/", "--out", "out2/", "--module", "colour:AverageColour", "--strict", check=False, cwd=folder
    )
    assert done.returncode == 3, done.stderr
    rows = [row for table in pb.Landing(folder / "out2").iter_images() for row in table.to_pylist()]
    assert len(rows) == 5
    for row in rows:
        if row["status"] == "ok":
            assert 0 < row["colour"]["red"] < 255
        else:
            assert row["image_id"].endswith("/broken.jpg") and row["colour"] is None


def test_the_config_file_is_one():
    pipeline, questions = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert RunConfig(**yaml.safe_load(pipeline)).classifier == "resnet18"
    assert len(pb.Gpt4VModule(**yaml.safe_load(questions)["gpt4v"]).settings.questions) == 2


@pytest.mark.usefixtures("ray_running")
def test_asking(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with FakeOpenAI() as fake:
        for name, value in fake.environment.items():
            monkeypatch.setenv(name, value)
        exec(compile(BLOCKS[3], "README", "exec"), {})
    rows = [row for table in pb.Landing("out/").iter_images() for row in table.to_pylist()]
    assert len([row for row in rows if row["mood"] and row["mood"]["answer"] in ("calm", "lively", "sad")]) == 4


def test_every_command_is_in_the_table():
    for name in cli.commands:
        assert f"`pixelbrain {name}" in README or name == "tag-identity"


def test_it_opens_with_the_two_commands():
    commands = re.findall(r"^    (.*)$", README, re.MULTILINE)
    assert commands[:2] == ["pip install uv && uv run pixelbrain demo", "pip install uv && uv run pytest"]

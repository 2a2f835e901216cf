"""What is missing is one line before any work, the cheapest first; nothing is started for it, and nothing stays."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from pixelbrain.cli.main import cli
from pixelbrain.config import RunConfig
from pixelbrain.errors import LandingError, StoreError
from pixelbrain.stages.context import Context
from pixelbrain.stages.preflight import CHECKS, NEEDS
from pixelbrain.stages.stages import Stages
from tests.unit.landed_out import land_faces

NOBODY = "127.0.0.1:1"
SIZE = "tests.unit.engine.modules_for_tests:Size"
QUESTION = ("--field", "day", "--question", "Day?")


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch, tmp_path):
    """No model, no Ray, no database; and a machine without weights or a key."""
    for place in ("pixelbrain.engine.extract.extract", "pixelbrain.engine.ask.run.ask", "pixelbrain.stores.load.load"):
        monkeypatch.setattr(place, lambda *_, **__: pytest.fail("work began"))
    monkeypatch.setattr("pixelbrain.stages.context.RunLock", lambda *_, **__: pytest.fail("OUT was taken"))
    monkeypatch.setattr("pixelbrain.stores.mongo.connection.SERVER_SELECTION_TIMEOUT_MS", 100)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "RAY_ADDRESS", "PIXELBRAIN_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)


def said(*words: str) -> str:
    """The one line of a command that cannot begin."""
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 1, result.output
    (line,) = result.output.splitlines()
    return line


def test_a_run_says_what_is_missing_before_any_work_and_the_cheapest_first(photo_folder, tmp_path, monkeypatch):
    config, out = tmp_path / "gpt4v.yaml", tmp_path / "out"
    config.write_text(
        "modules: [resnet, gpt4v]\nclassifier: resnet50\noffline: true\ngpt4v: {question: perfect_eyes}\n"
    )
    (tmp_path / "file").touch()
    monkeypatch.setenv("RAY_ADDRESS", NOBODY)

    def run(source, out, *stores):
        return said("run", str(source), "--out", str(out), "--config", str(config), *stores)

    dead = ("--mongo", f"mongodb://{NOBODY}/x", "--chroma", f"http://{NOBODY}")
    assert "no such file or folder" in run(tmp_path / "nosuch", tmp_path / "file" / "out", *dead)
    assert f"{tmp_path}/file is no folder" in run(photo_folder, tmp_path / "file" / "out", *dead)
    assert f"MongoDB at mongodb://{NOBODY}/x does not answer" in run(photo_folder, out, *dead)
    assert f"ChromaDB at http://{NOBODY} does not answer" in run(photo_folder, out, *dead[2:])
    assert "export OPENAI_API_KEY" in run(photo_folder, out)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    assert "--weights-dir" in run(photo_folder, out)
    config.write_text(config.read_text().replace("resnet50", "efficientnet-lite0"))
    assert f"no Ray answers at {NOBODY}" in run(photo_folder, out)
    assert f"no Ray answers at {NOBODY}" in run(photo_folder, out, "--executor", "local")  # to ask
    stages = Context(RunConfig(out=str(out), executor="local"))
    CHECKS["ray"](stages), CHECKS["servers"](stages)  # nobody needs one
    assert not out.exists()


def test_later_commands_look_for_what_they_need(tmp_path, monkeypatch):
    out = str(tmp_path / "out")
    land_faces(out, ["file:///a#0"])
    assert "export OPENAI_API_KEY" in said("ask", out, *QUESTION)
    assert "export OPENAI_API_KEY" in said("ask", out, *QUESTION, "--batch")
    for words in (QUESTION, (*QUESTION, "--batch"), ("--cancel",)):  # before a Ray starts
        assert "127.0.0.1:9/v1 does not answer" in said("ask", out, *words, "--base-url", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("RAY_ADDRESS", NOBODY)
    assert "no Ray answers" in said("ask", out, *QUESTION, "--base-url", "http://127.0.0.1:9/v1")
    for command in ("load", "identify", "group", "verify"):
        assert "MongoDB at" in said(command, out, "--mongo", f"mongodb://{NOBODY}/x")
    monkeypatch.setattr("pixelbrain.stores.mongo.connection.find_mongod", lambda: None)
    (tmp_path / "out" / "db").touch()
    with pytest.raises(StoreError, match="MongoDB cannot be embedded in .*db is no folder"):
        Stages(RunConfig(out=out)).check("load")
    with pytest.raises(StoreError, match="ChromaDB cannot be embedded in .*db is no folder"):
        Stages(RunConfig(out=out)).check("search")


def test_a_folder_that_may_not_be_written_is_no_out(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)  # these tests may run as root, who may
    for stage in ("report", "compact"):
        with pytest.raises(LandingError, match=f"{tmp_path} may not be written"):
            Stages(RunConfig(out=str(tmp_path / "a" / "b"))).check(stage)


def test_what_was_there_is_not_looked_at_again(photo_folder, tmp_path, monkeypatch):
    stages = Stages(RunConfig(source=str(photo_folder), out=str(tmp_path / "out"), modules=(SIZE,)))
    stages.check("extract")
    monkeypatch.setattr("pixelbrain.stages.preflight.CHECKS", dict.fromkeys(CHECKS, lambda _: pytest.fail("again")))
    stages.check("extract", "report")
    looked = stages.context.look_first()
    assert looked is stages.context.look_first() and looked[1] and sum(map(len, looked[0])) == 7


def test_every_need_is_a_check():
    assert {need for needs in NEEDS.values() for need in needs} == set(CHECKS)

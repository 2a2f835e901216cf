"""A command lists no option that it does not use: of settings it is watched, in a run of each, which ones are read."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import sys

import click
import pytest
from click.testing import CliRunner

from pixelbrain.apps.tag_identity import tag_identity
from pixelbrain.asking.module import Gpt4VModule
from pixelbrain.cli.main import cli
from pixelbrain.config import RunConfig
from pixelbrain.engine.plan.nodes import Node
from pixelbrain.errors import StoreError
from pixelbrain.modules.registry import create_module
from pixelbrain.stages.stages import Stages
from tests.unit.cli.test_main import ALL
from tests.unit.landed_out import land_faces

COMMANDS = {" ".join(path): command for path, command in ALL.items() if not isinstance(command, click.Group)}
#: What `command_options` and `over_out` take from every command that has it.
SHARED = {"quiet", "debug", "ray_address", "out"}
#: Who is told the rest of the options by name.
TOLD = {"ask": Gpt4VModule, "tag-identity": tag_identity}
WORDS = {
    "run": ["photos", "--out", "out", "--offline"],
    "extract": ["photos", "--out", "out", "--offline"],
    "plan": ["photos", "--out", "out", "--offline"],
    "evaluate": ["out", "--folders", "photos"],
    "search": ["out", "--image", "photos/0.jpg"],
    "ask": ["out", "--question", "people_detector", "--where", "rating > 3"],  # a field that is in MongoDB, if anywhere
    "export": ["out", "images.csv"],
    "open": ["out", "--no-browser"],
    **{f"people {verb}": ["out", "a", "b"] for verb in ("name", "merge", "apart", "later", "split", "assign")},
    **{f"people {verb}": ["out", "a"] for verb in ("show", "hide", "unhide", "unassign", "reject")},
    "people undo": ["out", "1"],
    "people export": ["out", "people.csv"],
    "people import": ["out", "photos"],
}


@pytest.fixture
def read(tmp_path, encode, loads, monkeypatch) -> set[str]:
    """The settings that were read, in a folder with photos and an OUT; what takes long ends before it begins."""
    found: set[str] = set()

    def watched(config, name):
        asked = sys._getframe(1).f_code
        if asked.co_name != "__post_init__" and not asked.co_filename.endswith("dataclasses.py"):
            found.add(name)
        return object.__getattribute__(config, name)

    def enough(*_args, **_options):
        raise StoreError("enough")

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "0.jpg").write_bytes(encode())
    land_faces(tmp_path / "out", ["file:///a#0"], embeddings={"file:///a#0": [1.0]})
    monkeypatch.chdir(tmp_path)
    for late in (
        "pixelbrain.identity.group.group_images", "pixelbrain.identity.people.PeopleIdentifierModule.run",
        "pixelbrain.stores.in_step.store_state", "pixelbrain.stores.verify.verify", "pixelbrain.report.search.search",
    ):  # fmt: skip
        monkeypatch.setattr(late, enough)
    dlib = functools.partial(create_module, "facenet", embedder="dlib", offline=True)
    monkeypatch.setattr("pixelbrain.apps.photo_search.landed_module", lambda *_, **__: dlib())
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    monkeypatch.setattr("pixelbrain.engine.passes.Passes.work", lambda run: setattr(run, "stopped", True))
    monkeypatch.setattr("pixelbrain.stages.stages.Stages._in_step", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr("pixelbrain.engine.cluster.session.find_ray", lambda: None)
    monkeypatch.setattr("pixelbrain.engine.plan.nodes.this_machine", lambda _: [Node(cpus=4)])
    monkeypatch.setattr(RunConfig, "__getattribute__", watched)
    return found


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_what_a_command_lists_it_uses(name, read, monkeypatch):
    command = COMMANDS[name]
    function = inspect.unwrap(command.callback)
    (body,) = ast.parse(inspect.cleandoc(inspect.getsource(function))).body
    used = SHARED | {one.id for one in ast.walk(body) if isinstance(one, ast.Name)}
    if name in TOLD:
        used |= set(inspect.signature(TOLD[name]).parameters)
    # what is not exposed was looked at by its callback
    listed = [one for one in command.params if one.expose_value and not getattr(one, "hidden", False)]
    settings = {one.name for one in listed if one.name in RunConfig.__dataclass_fields__} - used
    if settings:
        if name == "run":  # of a run that was not stopped
            extract, identify = Stages.extract, Stages.identify
            monkeypatch.setattr(Stages, "extract", lambda stages, **_: extract(stages, may_stop=True))

            def identified(*words, **options):
                with contextlib.suppress(StoreError):
                    identify(*words, **options)

            monkeypatch.setattr(Stages, "identify", identified)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
        CliRunner().invoke(cli, [*name.split(), *WORDS.get(name, ["out"])])
    assert {one.name for one in listed if one.name not in used} - {"config_file", "print_config"} <= read

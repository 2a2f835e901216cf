"""Modules by name, and users' own by package.file:Class."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixelbrain.errors import ConfigError, ModuleError
from pixelbrain.modules.facenet import FacenetEmbedderModule
from pixelbrain.modules.registry import MODULES, create_module
from pixelbrain.modules.resnet import ResnetClassifierModule

OWN = """
import pyarrow as pa
from pixelbrain.modules.base import PipelineModule

class Width(PipelineModule):
    name = "breadth"
    def __init__(self, factor=1):
        self.factor = factor
    def fields(self):
        return [pa.field("px", pa.int32())]
    def process(self, image):
        return {"px": image.width * self.factor}

class Nameless(PipelineModule):
    def fields(self):
        return []

class Fieldless(PipelineModule):
    name = "fieldless"

class Other:
    pass
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of a user's, in a package of the working folder."""
    package = f"own_{tmp_path.name}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / package / "modules.py").write_text(OWN)
    (tmp_path / package / "broken.py").write_text("1 / 0")
    (tmp_path / package / "needy.py").write_text("import surely_not_installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # put back afterwards
    return package


def test_known_names() -> None:
    assert sorted(MODULES) == ["clip", "clip_labels", "exif", "facenet", "quality", "resnet"]
    assert isinstance(create_module("resnet", model="resnet18"), ResnetClassifierModule)
    assert isinstance(create_module("facenet", embedder="dlib"), FacenetEmbedderModule)


def test_a_users_own(own: str) -> None:
    module = create_module(f"{own}.modules:Width", factor=2)
    assert module.name == "breadth"
    assert module.factor == 2  # type: ignore[attr-defined]
    assert sys.path[-1] == os.getcwd()  # stays, for the workers


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("resnext", "name one of resnet, facenet, clip, clip_labels, exif, quality"),
        ("{own}.absent:Width", "No module named .*looked in"),
        ("{own}.needy:Width", "No module named 'surely_not_installed'$"),
        ("{own}.broken:Width", "ZeroDivisionError"),
        ("{own}.modules:Absent", "has no Absent"),
        ("{own}.modules:Other", "not a subclass of PipelineModule"),
        ("{own}.modules:Nameless", "lacks its name"),
        ("{own}.modules:Fieldless", "lacks its name or its fields"),
        ("{own}.modules:", "package.file:Class"),
    ],
)
def test_what_is_wrong_is_said(spec: str, said: str, own: str) -> None:
    with pytest.raises(ModuleError, match=said):
        create_module(spec.format(own=own))


def test_an_unknown_setting_is_said(own: str) -> None:
    with pytest.raises(ConfigError, match="unexpected keyword argument 'speed'"):
        create_module(f"{own}.modules:Width", speed=3)


def test_making_modules_loads_no_torch() -> None:
    code = (
        "import sys; from pixelbrain.modules.registry import create_module as make; "
        "make('resnet').settings(); make('facenet').settings(); make('facenet', embedder='dlib').model_info(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

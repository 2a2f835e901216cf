"""An OUT with four people, and somebody who has its page open."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.identity.corrections.world import four_people
from tests.unit.web.visitor import Visitor


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return four_people(tmp_path_factory.mktemp("world") / "out").out


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "out"))


@pytest.fixture
def visitor(out: Path) -> Visitor:
    return Visitor(out)


@pytest.fixture(autouse=True)
def questions_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine shows the same page as an idle one."""
    monkeypatch.setattr("pixelbrain.web.review._WAIT_S", None)

"""Somebody's photos behind `pixelbrain open`, and the browser that all pages are opened in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.identity.mapping.map import make_map
from pixelbrain.landing.derived import DUPLICATES
from pixelbrain.landing.landing import Landing
from tests.integration.opened.tab import CHROMIUM, Tab
from tests.unit.identity.corrections.world import World


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people of six faces, of whom two are nearly alike, and two photos of nobody."""
    world = World(tmp_path_factory.mktemp("open") / "out", people=4)
    near = 0.6 * world.centres[0] + 0.8 * world.centres[1]
    world.centres[1] = near / np.linalg.norm(near)
    for who in range(4):
        world.add(6, who=who)
    world.identify()
    landing = Landing(world.out)
    make_map(landing, "faces")
    ids = landing.index.image_id.to_pylist()
    DUPLICATES.write(landing, pa.Table.from_pylist([row for at in (0, 3) for row in alike(ids[at : at + 3])], ALIKE))
    return world.out


ALIKE = pa.schema(
    [schema.DUPLICATE_SCHEMA.field(one) for one in ("image_id", "duplicate_id", "keep", "kind", "copy_of", "why")]
)


def alike(ids: list[str]) -> list[dict[str, Any]]:
    """Rows of a group of duplicates, of which the first is the best."""
    group = {"duplicate_id": f"duplicates of {ids[0]}"}
    copies = [{"image_id": one, "keep": False, "kind": "near", "copy_of": ids[0], "why": "alike"} for one in ids[1:]]
    return [group | one for one in ({"image_id": ids[0], "keep": True, "why": "larger"}, *copies)]


@pytest.fixture(scope="module")
def address(out: Path) -> Iterator[str]:
    program = [str(Path(sys.executable).parent / "pixelbrain"), "open", str(out), "--no-browser", "--port", "0"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[1]
        finally:
            process.terminate()


@pytest.fixture(scope="package")  # not of the session: while it is there, no other test can run an event loop
def browser() -> Iterator[Any]:
    """One headless Chromium, by way of playwright."""
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `uv sync` installs it")
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: `apt-get install chromium`")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def tab(browser: Any) -> Tab:
    return Tab(browser)

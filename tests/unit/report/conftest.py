"""Landed tables of generated photos, written by the real Landing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from pixelbrain import schema
from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.sources.local import path_to_uri
from tests.unit.report.landed_rows import COLUMNS, MODELS, Row


@pytest.fixture
def land(tmp_path: Path) -> Callable[..., Landing]:
    """land(rows, identities=None, groups=None, modules=...) writes them to a fresh OUT."""

    def _land(
        rows: list[Row],
        identities: list[Row] | None = None,
        groups: list[Row] | None = None,
        modules: tuple[str, ...] = ("resnet", "facenet"),
    ) -> Landing:
        columns = pa.schema([*schema.BASE_FIELDS, *(pa.field(name, COLUMNS[name]) for name in modules)])
        landing = Landing(tmp_path / "out")
        if rows:
            states = {name: ModuleState(settings={}, model=MODELS[name]) for name in modules}
            landing.write_part(pa.Table.from_pylist(rows, columns), generation=1, block=0, piece=0, modules=states)
        if identities is not None:
            IDENTITIES.write(landing, pa.Table.from_pylist(identities, schema.IDENTITY_SCHEMA))
        if groups is not None:
            GROUPS.write(landing, pa.Table.from_pylist(groups, schema.GROUP_SCHEMA))
        return landing

    return _land


@pytest.fixture
def photo_file(tmp_path: Path) -> Callable[..., str]:
    """photo_file(name, size=(80, 60)) draws a photo, left half red and right half blue; returns its image_id."""

    def _photo_file(name: str, size: tuple[int, int] = (80, 60)) -> str:
        path = tmp_path / "photos" / name
        path.parent.mkdir(exist_ok=True)
        image = Image.new("RGB", size, (220, 30, 30))
        image.paste((30, 30, 220), (size[0] // 2, 0, *size))
        image.save(path, "JPEG", quality=95)
        return path_to_uri(str(path))

    return _photo_file

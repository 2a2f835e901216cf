"""Every registered module against the same cases: schema, rows, a bad image, no image, pickling, run twice."""

from __future__ import annotations

import functools
import importlib.util
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.images.decode import DecodedImage, decode_image
from pixelbrain.modules.base import PipelineModule
from pixelbrain.modules.registry import MODULES, create_module
from tests.unit.modules.clip_folder import write_clip_folder

#: Settings under which each runs without a download. A new module that is not here fails the first test.
OFFLINE = {
    "resnet": {"model": "efficientnet-lite0", "offline": True},
    "facenet": {"embedder": "dlib", "offline": True},
    "clip": {"model": "FOLDER"},
    "clip_labels": {"model": "FOLDER", "labels": ["cat", "cup"]},
    "exif": {},
    "quality": {},
}
#: Those that look at no pixel.
WITHOUT_PIXELS = {"exif"}


@pytest.fixture(scope="module")
def create(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], PipelineModule]:
    """Makes a module by its name; CLIP's model is a small one in a folder."""

    @functools.cache
    def folder() -> str:
        return write_clip_folder(tmp_path_factory.mktemp("clip"))

    def make(name: str) -> PipelineModule:
        settings = OFFLINE[name]
        return create_module(name, **{key: folder() if value == "FOLDER" else value for key, value in settings.items()})

    return make


@pytest.fixture(scope="module", params=sorted(OFFLINE))
def made(request: pytest.FixtureRequest, create: Callable[[str], PipelineModule]) -> PipelineModule:
    return create(request.param)


@pytest.fixture(scope="module")
def below(made: PipelineModule, create: Callable[[str], PipelineModule]) -> dict[str, PipelineModule]:
    """What it stands on, by the names in `requires`."""
    found = {name: create(name) for name in made.requires}
    for module in found.values():
        module.setup("cpu")
    return found


@pytest.fixture(scope="module")
def rows_of(below: dict[str, PipelineModule]) -> Callable[[PipelineModule, list[DecodedImage]], list[dict]]:
    """As they land: through Arrow, which refuses what the schema does not allow."""

    def run(module: PipelineModule, images: list[DecodedImage]) -> list[dict]:
        structs = {name: one.run(images) for name, one in below.items()}
        rows = pa.array(module.run(images, **structs), type=module.struct_type())
        rows.validate(full=True)
        return rows.to_pylist()

    return run


@pytest.fixture(scope="module")
def ready(made: PipelineModule) -> PipelineModule:
    """Pickled before setup, as it travels to an actor, and set up there."""
    made.prepare()
    module = pickle.loads(pickle.dumps(made))
    module.setup("cpu")
    return module


@pytest.fixture(scope="module")
def images() -> list[DecodedImage]:
    spec = importlib.util.find_spec("skimage")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "data"
    names = ("astronaut.png", "chelsea.png", "coffee.png")
    return [decode_image((folder / name).read_bytes(), image_id=f"file:///{name}") for name in names]


def test_every_module_is_here() -> None:
    assert sorted(MODULES) == sorted(OFFLINE)


def test_it_is_described_before_setup(made: PipelineModule) -> None:
    assert made.struct_type().names[-2:] == ["error_type", "error"]
    assert json.loads(json.dumps(made.settings())) == made.settings()
    info = made.model_info()
    if info is None:  # it has no model
        assert made.resources.with_decoder
        return
    assert info is not None
    assert len(info.weights_sha256) == 64
    vectors = set(schema.vector_fields(made.struct_type()).values())
    assert vectors == ({info.dim} if info.dim else set())


def test_pickled_before_setup_it_is_small_and_the_same(made: PipelineModule) -> None:
    data = pickle.dumps(made)
    assert len(data) < 10_000
    copy = pickle.loads(data)
    assert copy.settings() == made.settings()
    assert copy.struct_type() == made.struct_type()
    assert copy.decode_target == made.decode_target


def test_a_row_an_image_in_order_and_in_the_schema(
    rows_of: Callable, ready: PipelineModule, images: list[DecodedImage]
) -> None:
    rows = rows_of(ready, images)
    assert len(rows) == 3
    for row, image in zip(rows, images, strict=True):
        assert row["error_type"] is None
        assert row["error"] is None
        (alone,) = rows_of(ready, [image])
        assert _close(row, alone)


def test_an_empty_batch_is_no_rows(rows_of: Callable, ready: PipelineModule) -> None:
    assert rows_of(ready, []) == []


def test_a_bad_image_costs_one_row(rows_of: Callable, ready: PipelineModule, images: list[DecodedImage]) -> None:
    bad = DecodedImage(
        image_id="file:///bad", pixels=np.zeros((0, 0, 3), dtype=np.uint8), width=1, height=1, format="JPEG"
    )
    rows = rows_of(ready, [images[0], bad, images[1]])
    assert len(rows) == 3
    assert [row["error"] is None for row in rows] == [True, ready.name in WITHOUT_PIXELS, True]
    assert bool(rows[1]["error_type"]) == (ready.name not in WITHOUT_PIXELS)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (30, 3000)], ids=str)
def test_odd_shapes_are_no_error(rows_of: Callable, ready: PipelineModule, shape: tuple[int, int]) -> None:
    image = DecodedImage(
        image_id="file:///odd", pixels=np.full((*shape, 3), 77, np.uint8), width=shape[1], height=shape[0], format="PNG"
    )
    (row,) = rows_of(ready, [image])
    assert row["error"] is None


def test_running_twice_gives_the_same(rows_of: Callable, ready: PipelineModule, images: list[DecodedImage]) -> None:
    assert rows_of(ready, images) == rows_of(ready, images)


def _close(one: object, other: object) -> bool:
    """Equal, but for what rounding in a batch of another size may change."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_close, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 0.02 * max(1.0, abs(one), abs(other))
    return one == other

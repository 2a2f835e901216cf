"""Search by words: the nearest of the vectors that landed to what their own model makes of a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pixelbrain as pb
from pixelbrain import schema
from pixelbrain.apps.photo_search import search_text
from pixelbrain.config import RunConfig
from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.modules.base import PipelineModule
from pixelbrain.modules.clip import ClipEmbedderModule
from pixelbrain.record import write_stage
from pixelbrain.stages.stages import Stages
from tests.unit.engine.modules_for_tests import Size
from tests.unit.modules.clip_folder import write_clip_folder

TEXTS = ["a dog on a beach", "a cat"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_clip_folder(tmp_path_factory.mktemp("clip"))


def land(out: Path, module: PipelineModule, vectors: np.ndarray, generation: int = 1) -> Landing:
    rows = [
        {"image_id": f"file:///{i}.jpg", "version": "1", "status": "ok", module.name: {"embedding": vector}}
        for i, vector in enumerate(vectors)
    ]
    landing = Landing(out)
    table = pa.Table.from_pylist(rows, pa.schema([*schema.BASE_FIELDS, pa.field(module.name, module.struct_type())]))
    state = ModuleState(settings=module.settings(), model=module.model_info())
    landing.write_part(table, generation=generation, block=0, piece=0, modules={module.name: state})
    return landing


@pytest.fixture
def out(tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An OUT with three photos: two are what the two texts say, one is the opposite of the first; as if loaded."""
    module = ClipEmbedderModule(model)
    dog, cat = module.embed_texts(TEXTS)
    land(tmp_path / "out", module, np.stack([cat, -dog, dog]))
    write_stage(tmp_path / "out", "extract", {}, settings=RunConfig(clip_model=model).as_dict())
    # few vectors, which closed stores hold as they landed, are searched in Parquet: no store is opened
    monkeypatch.setattr("pixelbrain.report.search._in_step_and_few", lambda database, by: True)
    return tmp_path / "out"


def found(out: Path, text: str, **how: Any) -> list[tuple[str, float]]:
    (query,) = search_text(Stages(RunConfig(out=str(out))), text, **how)["queries"]
    assert query["title"] == text
    return [(one["path"], one["distance"]) for one in query["matches"]]


def test_words_find_what_their_own_model_says_is_near(out: Path, model: str, tmp_path: Path) -> None:
    (first, near), *_, (last, far) = found(out, "a dog on a beach")
    assert (first, last) == ("/2.jpg", "/1.jpg") and near == pytest.approx(0, abs=1e-3) and far == pytest.approx(2)
    assert [path for path, _ in found(out, "  A cat ", k=1)] == ["/0.jpg"]
    assert [path for path, _ in found(out, "a cat", where="image_id != 'file:///0.jpg'")] == ["/2.jpg", "/1.jpg"]
    table = pb.open(out).search(text="a cat", k=2)
    assert table.column_names == ["query", "distance", "path", "id"] and table["path"].to_pylist()[0] == "/0.jpg"
    with pytest.raises(ConfigError, match="by text= words, or by person="):
        pb.open(out).search("a.jpg", text="a cat")


def test_what_cannot_be_searched_is_said(out: Path, model: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the text '' is empty"):
        found(out, "")
    with pytest.raises(ConfigError, match="a text of 80 tokens is too long, .* reads 75"):
        found(out, "cat " * 80)
    with pytest.raises(ConfigError, match="'size' is not a vector collection: one of clip, faces, images"):
        found(out, "a cat", by="size")
    with pytest.raises(LandingError, match="has no resnet vectors"):
        found(out, "a cat", by="images")
    land(tmp_path / "plain", Size(), [])
    with pytest.raises(LandingError, match="has no clip vectors: run `pixelbrain extract` with --module clip"):
        found(tmp_path / "plain", "a cat")


def test_another_models_vectors_are_not_searched(out: Path, model: str, tmp_path: Path) -> None:
    other = write_clip_folder(tmp_path / "other", seed=1)
    with pytest.raises(ConfigError, match="computed with weights of your own"):
        found(out, "a cat", clip_model=other)
    moved = write_clip_folder(tmp_path / "moved")
    assert found(out, "a cat", clip_model=moved) == found(out, "a cat")
    land(tmp_path / "piped", ClipEmbedderModule(model), np.eye(1, 32, dtype=np.float32))
    with pytest.raises(ConfigError, match="run.json does not say where it is: give --clip-model local-dir:DIR"):
        found(tmp_path / "piped", "a cat")


class Reader(PipelineModule):
    """A module of one's own that reads texts: how many letters they have."""

    name = "reader"

    def fields(self):
        return [pa.field("embedding", pa.list_(pa.float32(), 2))]

    def embed_texts(self, texts):
        return np.array([[len(text), 1] for text in texts], np.float32)


def test_a_module_of_ones_own_may_read_texts(out: Path, tmp_path: Path) -> None:
    land(out, Reader(), np.array([[0, 1], [9, 1], [2, 1]]), generation=2)
    spec = f"{__name__}:Reader"
    assert [path for path, _ in found(out, "ab", by="reader", module=spec)] == ["/2.jpg", "/1.jpg", "/0.jpg"]
    spec = f"{__name__}:Blind"
    land(out, Blind(), np.array([[0, 1]]), generation=3)
    with pytest.raises(ConfigError, match="the module blind compares photos with photos alone, not with words"):
        found(out, "ab", by="blind", module=spec)


class Blind(PipelineModule):
    name = "blind"
    fields = Reader.fields

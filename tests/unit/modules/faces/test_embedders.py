"""What every face embedder is, and FaceNet by its weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixelbrain.errors import MissingExtraError, WeightsError
from pixelbrain.modules.facenet import FacenetEmbedderModule
from pixelbrain.modules.faces.embedders import normalise_rows
from tests.unit.modules.decoded import decoded


def test_casia_is_known_by_its_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    module = FacenetEmbedderModule("casia-webface", weights_dir=tmp_path, offline=True)
    with pytest.raises(WeightsError, match="fetch it first"):
        module.model_info()
    (tmp_path / "20180408-102900-casia-webface.pt").write_bytes(b"something")
    assert module.model_info().model == "facenet-casia-webface"
    with pytest.raises(WeightsError, match="is not a file of weights"):
        module.setup()


def test_no_weights_offline_names_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="20180402-114759-vggface2.pt .*--offline"):
        FacenetEmbedderModule(offline=True).prepare()


def test_a_vector_without_direction_is_an_error() -> None:
    from pixelbrain.errors import ModuleError

    with pytest.raises(ModuleError):
        normalise_rows(np.array([[3.0, 4.0], [0.0, 0.0]]))
    with pytest.raises(ModuleError):
        normalise_rows(np.array([[np.nan, 4.0]]))


@pytest.fixture(scope="module")
def dlib_module() -> FacenetEmbedderModule:
    module = FacenetEmbedderModule("dlib")
    module.prepare()
    module.setup()
    return module


def test_dlib_tells_people_from_each_other_by_aligned_faces(
    dlib_module: FacenetEmbedderModule, photo: Callable
) -> None:
    image = photo("astronaut.png")
    mirrored = decoded(np.ascontiguousarray(image.pixels[:, ::-1]))
    turned = decoded(np.asarray(image.pil().rotate(8, Image.Resampling.BILINEAR)))
    rows = dlib_module.run([image, mirrored, turned])
    assert [row.get("n_faces") for row in rows] == [1, 1, 1]
    vectors = [row["faces"][0]["embedding"] for row in rows]
    for vector in vectors:
        assert vector.shape == (128,)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert vectors[0] @ vectors[1] > 0.95
    assert vectors[0] @ vectors[2] > 0.95


def test_without_dlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "dlib" else find_spec(name))
    with pytest.raises(MissingExtraError, match=r"pip install 'pixelbrain\[offline\]'"):
        FacenetEmbedderModule("dlib").prepare()

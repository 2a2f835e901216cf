"""What every face embedder is, and FaceNet by its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixelbrain.errors import WeightsError
from pixelbrain.modules.face_embedders import normalise_rows
from pixelbrain.modules.facenet import FacenetEmbedderModule


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

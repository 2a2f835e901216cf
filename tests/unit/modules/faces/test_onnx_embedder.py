"""An embedder in an ONNX file of the user's own: what it is fed, and files that are none, refused in one line."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pixelbrain.errors import ConfigError, MissingExtraError, PixelbrainError, WeightsError
from pixelbrain.modules.facenet import FacenetEmbedderModule
from pixelbrain.modules.faces.align import align
from pixelbrain.modules.faces.onnx_embedder import OnnxEmbedder
from pixelbrain.modules.weights.find import hash_file
from tests.unit.modules.decoded import decoded
from tests.unit.modules.onnx_file import write_onnx


@pytest.mark.parametrize("batch", ["n", 1, 3], ids=lambda batch: f"batch {batch}")
def test_faces_are_fed_as_arcface_is_trained(tmp_path: Path, photo: Callable, batch: int | str) -> None:
    """Aligned, RGB, -1 to 1, whatever batch the file was exported for; and known by its bytes."""
    weights = write_onnx(tmp_path / "model.onnx", batch=batch)
    module = FacenetEmbedderModule(f"onnx:{tmp_path}/model.onnx")
    info = module.model_info()
    assert (info.dim, info.weights_sha256) == (8, hash_file(tmp_path / "model.onnx"))
    assert info.model == f"onnx-{info.weights_sha256[:12]}"
    assert str(tmp_path) not in str(module.settings())  # where it is decides nothing
    module.prepare()
    module = pickle.loads(pickle.dumps(module))
    module.setup()
    image = photo("astronaut.png")
    crowd = decoded(np.tile(image.pixels, (1, 4, 1)))
    rows = module.run([image, crowd, decoded(image.pixels[:60])])
    assert [row.get("n_faces") for row in rows] == [1, 4, 0], rows
    face = rows[0]["faces"][0]
    chip = align(image.pixels, np.asarray(face["landmarks"]).reshape(5, 2))
    cells = ((chip.astype(np.float64) - 127.5) / 127.5).reshape(4, 28, 4, 28, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    expected = cells.reshape(-1) @ weights
    np.testing.assert_allclose(face["embedding"], expected / np.linalg.norm(expected), atol=1e-4)
    for other in rows[1]["faces"]:
        assert other["embedding"] @ face["embedding"] > 0.99


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"side": 224}, r"float32 \(n, 3, 112, 112\).* is x tensor\(float\) \['n', 3, 224, 224\]"),
        ({"channels": 1}, r"\['n', 1, 112, 112\]"),
        ({"flat": True}, r"of one face it is \(1, 8\), of two \(1, 16\)"),
        ({"nan": True}, "no finite numbers"),
    ],
    ids=str,
)
def test_a_model_of_another_kind_is_refused_in_one_line(tmp_path: Path, made: dict, why: str) -> None:
    write_onnx(tmp_path / "model.onnx", **made)
    with pytest.raises(WeightsError, match=why) as raised:
        OnnxEmbedder(tmp_path / "model.onnx")
    assert "\n" not in str(raised.value) and "model.onnx" in str(raised.value)


@pytest.mark.parametrize("data", [b"", b"no model", b"PK\x03\x04" + bytes(200)], ids=["empty", "text", "zip"])
def test_what_is_no_onnx_is_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(WeightsError, match="is not a model that onnxruntime can read") as raised:
        OnnxEmbedder(tmp_path / "model.onnx")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["onnx:absent.onnx", "onnx:.", "onnx:", "onnx", "arcface"])
def test_what_is_no_file_is_a_setting_that_cannot_work(tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="no file|one of facenet, vggface2, casia-webface, dlib, onnx:FILE"):
        FacenetEmbedderModule(name)


def test_without_onnxruntime_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_onnx(tmp_path / "model.onnx")
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find_spec(name))
    with pytest.raises(MissingExtraError, match=r"pip install 'pixelbrain\[onnx\]'"):
        OnnxEmbedder(tmp_path / "model.onnx")


def test_a_file_that_changed_under_way_costs_its_row_and_says_so(tmp_path: Path, photo: Callable) -> None:
    write_onnx(tmp_path / "model.onnx")
    module = FacenetEmbedderModule(f"onnx:{tmp_path}/model.onnx")
    write_onnx(tmp_path / "model.onnx", dim=5)
    module.setup()
    (row,) = module.run([photo("astronaut.png")])
    assert row["error_type"] == "ModuleError" and "no fixed width" in row["error"]


def test_every_refusal_is_ours(tmp_path: Path) -> None:
    write_onnx(tmp_path / "half.onnx", kind=10)
    with pytest.raises(PixelbrainError) as raised:
        OnnxEmbedder(tmp_path / "half.onnx")
    assert "\n" not in str(raised.value)

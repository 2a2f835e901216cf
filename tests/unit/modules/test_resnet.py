"""The classifier: equal to torchvision's own, over all classes or some of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import models

from pixelbrain.errors import ConfigError, ModuleError, WeightsError
from pixelbrain.modules.resnet import ResnetClassifierModule

PHOTOS = ("chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png")
OFFICIAL = {"resnet18": models.ResNet18_Weights.IMAGENET1K_V1, "resnet50": models.ResNet50_Weights.IMAGENET1K_V2}


@pytest.fixture(scope="module")
def seeded(seed_weights: Callable[..., Path]) -> Callable[[str], tuple[torch.nn.Module, Path]]:
    def make(name: str) -> tuple[torch.nn.Module, Path]:
        model = models.get_model(name, weights=None).eval()
        return model, seed_weights(model, f"{name}.pth")

    return make


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_equals_torchvisions_own(name: str, seeded: Callable, photo: Callable) -> None:
    theirs, path = seeded(name)
    images = [photo(file) for file in PHOTOS]
    module = ResnetClassifierModule(name, weights_file=path, precision="float32", top_k=1000)
    module.setup()
    rows = module.run(images)
    assert len(rows) == 4

    transforms = OFFICIAL[name].transforms()
    with torch.inference_mode():
        values = torch.stack([transforms(image.pil()) for image in images])
        last, theirs.fc = theirs.fc, torch.nn.Identity()
        pooled = theirs(values)
        expected, pooled = last(pooled).softmax(dim=1).numpy(), pooled.numpy()
    names = OFFICIAL[name].meta["categories"]
    assert expected.max() - expected.min() > 1e-3  # or any numbers would pass
    for row, probabilities, embedding in zip(rows, expected, pooled, strict=True):
        assert "error" not in row
        ours = {item["label"]: item["score"] for item in row["top_k"]}
        assert len(ours) == 1000
        np.testing.assert_allclose([ours[label] for label in names], probabilities, atol=1e-5)
        assert row["label"] == names[int(probabilities.argmax())]
        np.testing.assert_allclose(row["embedding"], embedding, rtol=1e-3, atol=1e-4)


def test_a_cat_is_a_cat(photo: Callable) -> None:
    rows = {}
    for precision in ("float32", "bfloat16"):
        module = ResnetClassifierModule("efficientnet-lite0", precision=precision)
        module.prepare()
        module.setup()
        rows[precision] = module.run([photo("chelsea.png"), photo("coffee.png")])
        assert len(rows[precision]) == 2
    exact, fast = rows["float32"], rows["bfloat16"]
    assert exact[0]["label"] in {"tabby", "tiger cat", "Egyptian cat"}
    assert exact[1]["label"] == "espresso"
    for one, other in zip(exact, fast, strict=True):
        assert one["label"] == other["label"]
        assert one["label_score"] == pytest.approx(other["label_score"], abs=0.05)
        cosine = one["embedding"] @ other["embedding"]
        cosine /= np.linalg.norm(one["embedding"]) * np.linalg.norm(other["embedding"])
        assert cosine > 0.995


def test_probabilities_are_over_the_classes_asked_for(photo: Callable) -> None:
    module = ResnetClassifierModule(
        "efficientnet-lite0", classes=["TABBY", " espresso", "tiger cat"], top_k=5, precision="float32"
    )
    module.setup()
    whole = ResnetClassifierModule("efficientnet-lite0", top_k=1000, precision="float32")
    whole.setup()
    (row,) = module.run([photo("chelsea.png")])
    (all_classes,) = whole.run([photo("chelsea.png")])
    assert {item["label"] for item in row["top_k"]} == {"tabby", "espresso", "tiger cat"}
    assert sum(item["score"] for item in row["top_k"]) == pytest.approx(1)
    scores = {item["label"]: item["score"] for item in all_classes["top_k"]}
    total = scores["tabby"] + scores["espresso"] + scores["tiger cat"]
    for item in row["top_k"]:
        assert item["score"] == pytest.approx(scores[item["label"]] / total, rel=1e-3, abs=1e-6)


def test_classes_mean_the_same_in_any_order_and_case() -> None:
    one = ResnetClassifierModule("efficientnet-lite0", classes=["tabby", "Tiger Cat"])
    other = ResnetClassifierModule("efficientnet-lite0", classes=["tiger cat", "TABBY", "tabby"])
    assert one.settings() == other.settings()
    assert one.settings() != ResnetClassifierModule("efficientnet-lite0").settings()


def test_an_unknown_class_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="near it: .*tiger cat"):
        ResnetClassifierModule(classes=["tabby", "tigre cat"])


@pytest.mark.parametrize(
    "settings", [{"model": "vgg"}, {"precision": "int4"}, {"top_k": 0}, {"batch_size": 0}, {"classes": []}], ids=str
)
def test_a_setting_that_cannot_work_is_refused(settings: dict) -> None:
    with pytest.raises(ConfigError):
        ResnetClassifierModule(**settings)


def test_model_info_names_the_weights(tmp_path: Path) -> None:
    official = ResnetClassifierModule().model_info()
    assert (official.model, official.dim) == ("resnet50", 2048)
    assert official.weights_sha256.startswith("11ad3fa6")
    (tmp_path / "mine.pth").write_bytes(b"mine")
    own = ResnetClassifierModule("resnet18", weights_file=tmp_path / "mine.pth")
    assert own.model_info().dim == 512
    assert own.model_info().weights_sha256.startswith("3fd30542")
    assert own.required_weights() == []


def test_weights_that_do_not_fit_are_refused(tmp_path: Path, seeded: Callable) -> None:
    with pytest.raises(WeightsError, match="there is no weights file"):
        ResnetClassifierModule("resnet18", weights_file=tmp_path / "absent.pth").prepare()
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(WeightsError, match="is not a file of weights"):
        ResnetClassifierModule("resnet18", weights_file=tmp_path / "text.pth").setup()
    _, path = seeded("resnet18")
    with pytest.raises(WeightsError, match="is not for a ResNet like this one: it lacks .*has other shapes"):
        ResnetClassifierModule("resnet50", weights_file=path).setup()


def test_weights_that_are_code_do_not_run(tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"fc.weight": Code()}, tmp_path / "code.pth")
    with pytest.raises(WeightsError):
        ResnetClassifierModule("resnet18", weights_file=tmp_path / "code.pth").setup()
    assert not (tmp_path / "ran").exists()


def test_setup_comes_first(photo: Callable) -> None:
    with pytest.raises(ModuleError, match="setup"):
        ResnetClassifierModule().process_batch([photo("coffee.png")])

"""Labels of one's own: shares of one softmax, with what a photo may be instead; and how they are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pixelbrain.errors import ConfigError, ModuleError
from pixelbrain.modules.clip import ClipEmbedderModule
from pixelbrain.modules.clip_labels import ClipLabelsModule
from pixelbrain.modules.words.open_clip import import_open_clip
from tests.unit.modules.clip_folder import write_clip_folder

PHOTOS = ("chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_clip_folder(tmp_path_factory.mktemp("clip"))


def test_labels_are_shares_of_one_softmax(tiny: str, photo: Callable) -> None:
    open_clip = import_open_clip()
    images = [photo(name) for name in PHOTOS]
    clip = ClipEmbedderModule(tiny, precision="float32")
    clip.setup()
    vectors = clip.run(images)
    lines = ["cup", "cat = a cat", "cat = a face of a cat", "= a painting", "= a text"]
    module = ClipLabelsModule(lines, label_template="a {} here", model=tiny, top_k=2)
    module.setup()
    rows = module.run(images, clip=vectors)

    model, read = open_clip.create_model(tiny).eval(), open_clip.get_tokenizer(tiny)
    each = [["a cat", "a face of a cat"], ["a cup here"], ["a painting"], ["a text"]]
    heads = [open_clip.build_zero_shot_classifier(model, read, [""], texts) for texts in each]
    photos = torch.tensor(np.array([row["embedding"] for row in vectors]))
    shares = (model.logit_scale.exp() * photos @ torch.cat(heads, dim=1)).softmax(dim=1).tolist()
    assert len(rows) == 4
    for row, (cat, cup, *none) in zip(rows, shares, strict=True):
        found = {one["label"]: one["score"] for one in row["top_k"]}
        assert found == pytest.approx({"cat": cat, "cup": cup}, abs=1e-5)
        assert row["none_score"] == pytest.approx(sum(none), abs=1e-5)
        best = max(found, key=found.__getitem__)
        assert row["label_score"] == found[best] == row["top_k"][0]["score"]
        assert row["label"] == (best if found[best] > sum(none) else None)


def test_none_of_them_is_no_label(tiny: str) -> None:
    module = ClipLabelsModule(["cat", "dog", "owl"], model=tiny, top_k=2)
    picked = module._pick(np.array([0.2, 0.3, 0.1, 0.25, 0.15], np.float32))
    assert picked["label"] is None and picked["none_score"] == pytest.approx(0.4)
    assert [one["label"] for one in picked["top_k"]] == ["dog", "cat"] and picked["label_score"] == pytest.approx(0.3)
    assert module._pick(np.array([0.1, 0.6, 0.1, 0.2]))["label"] == "dog"


def test_the_same_labels_are_the_same_settings_however_they_are_written(tiny: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("\ufeff# of a zoo\ncat\n\n dog = a photo of a dog. \ncat\n", encoding="utf-8")
    settings = ClipLabelsModule(file, model=tiny).settings()
    assert settings == ClipLabelsModule(["dog", "cat = a photo of a cat."], model=tiny).settings()
    assert settings == ClipLabelsModule(settings["labels"], model=tiny).settings()
    assert settings == ClipLabelsModule(["# of a zoo", "cat", "", "dog", " "], model=tiny).settings()
    file.write_text("cat", encoding="utf-16")
    with pytest.raises(ConfigError, match=r"labels.txt: it is no text in UTF-8; save it as that$"):
        ClipLabelsModule(file, model=tiny)
    assert settings["labels"] == ["cat = a photo of a cat.", "dog = a photo of a dog.", "= a photo."]
    for other in (["cat"], ["cat", "dog = a dog"], ["cat", "dog", "= a text"]):
        assert ClipLabelsModule(other, model=tiny).settings() != settings
    (prompt, _none) = ClipLabelsModule(["a dog on a beach"], label_template="{}", model=tiny).settings()["labels"]
    assert prompt == "a dog on a beach = a dog on a beach"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "there are no labels: --labels FILE"),
        ({"labels": ["= a text"]}, "there are no labels"),
        ({"labels": ["cat", "dog ="]}, "'dog =' has no prompt"),
        ({"labels": ["cat"], "label_template": "a photo"}, "label_template is 'a photo': it holds {}"),
        ({"labels": "absent.txt"}, "cannot read the labels absent.txt: No such file"),
        ({"labels": ["cat"], "top_k": 0}, "top_k is 0"),
    ],
    ids=str,
)
def test_labels_that_cannot_work_are_refused(settings: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ClipLabelsModule(**settings)


def test_what_it_cannot_do_is_said(tiny: str, photo: Callable) -> None:
    with pytest.raises(ConfigError, match="of 80 tokens"):  # before any work, as weights are
        ClipLabelsModule(["cat", f"zoo = {'cat ' * 80}"], model=tiny).check_weights()
    module = ClipLabelsModule(["cat"], model=tiny)
    with pytest.raises(ModuleError, match="call setup"):
        module.process_batch([None], clip=[{"embedding": [0.0] * 32}])
    module.setup()
    (row,) = module.run([photo(PHOTOS[0])], clip=[{"embedding": [0.0] * 9}])
    assert "the vectors of clip have 9 numbers" in row["error"] and "use one model for both" in row["error"]

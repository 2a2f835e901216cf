"""CLIP: equal to open_clip's own, photos and texts; what cannot work is said."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from pixelbrain.config import CLIP_MODELS
from pixelbrain.errors import ConfigError, MissingExtraError, ModuleError, WeightsError
from pixelbrain.modules.clip import ClipEmbedderModule
from pixelbrain.modules.weights.table import WEIGHTS
from pixelbrain.modules.words import towers
from pixelbrain.modules.words.open_clip import import_open_clip
from pixelbrain.modules.words.towers import PRETRAINED
from tests.unit.modules.clip_folder import write_clip_folder

PHOTOS = ("chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png")
TEXTS = ["a dog on a beach", "Zwei  Hunde &amp; ein Ball", "a" * 70]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_clip_folder(tmp_path_factory.mktemp("clip"))


def ready(model: str, **settings: object) -> ClipEmbedderModule:
    module = ClipEmbedderModule(model, **settings)  # type: ignore[arg-type]
    module.setup()
    return module


def theirs(name: str, photo: Callable) -> tuple[np.ndarray, np.ndarray, object]:
    """What open_clip by itself makes of the photos and the texts, and its model, which is seeded if it has a name."""
    open_clip = import_open_clip()
    model, _, transform = open_clip.create_model_and_transforms(name)
    model.eval()
    read = open_clip.get_tokenizer(name)
    with torch.inference_mode():
        photos = model.encode_image(torch.stack([transform(photo(file).pil()) for file in PHOTOS]), normalize=True)
        return photos.numpy(), model.encode_text(read(TEXTS), normalize=True).numpy(), model


@pytest.fixture
def two_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model by name with two layers in each tower, here and in open_clip: twelve are the same thing, six times."""
    name, read = "ViT-B-32", towers._read
    config = copy.deepcopy(import_open_clip().get_model_config(name))
    for tower in ("vision_cfg", "text_cfg"):
        config[tower]["layers"] = 2
    monkeypatch.setitem(import_open_clip().factory._MODEL_CONFIGS, name, config)
    monkeypatch.setattr(towers, "_read", lambda path: copy.deepcopy(config) if path.stem == name else read(path))


@pytest.mark.usefixtures("two_layers")
def test_equals_open_clips_own(tmp_path: Path, photo: Callable) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(5)
    photos, texts, model = theirs("ViT-B-32", photo)
    file = tmp_path / "own.safetensors"
    save_file(model.state_dict(), file)  # type: ignore[attr-defined]
    module = ready("ViT-B-32", weights_file=file, precision="float32")
    assert np.abs(photos[0] - photos[2]).max() > 1e-2  # or any numbers would pass
    rows = module.run([photo(name) for name in PHOTOS])
    np.testing.assert_allclose([row["embedding"] for row in rows], photos, atol=1e-4)
    np.testing.assert_allclose(module.embed_texts(TEXTS), texts, atol=1e-4)
    assert module.fields()[0].type.list_size == photos.shape[1] == 512
    info = module.model_info()
    assert (info.model, info.dim) == ("clip-ViT-B-32", 512) and info.weights_sha256 != WEIGHTS["clip-ViT-B-32"].sha256


@pytest.mark.parametrize("how", ["shortest", "squash"])
def test_equals_open_clips_own_of_a_folder(how: str, tmp_path: Path, photo: Callable) -> None:
    said = {"resize_mode": how, "interpolation": "bilinear"}
    name = write_clip_folder(tmp_path, preprocess=said, quick_gelu=True)
    photos, texts, _ = theirs(name, photo)
    module = ready(name, precision="float32")
    rows = module.run([photo(file) for file in PHOTOS])
    np.testing.assert_allclose([row["embedding"] for row in rows], photos, atol=1e-3)  # a pixel of 255 in 64 x 64
    np.testing.assert_allclose(module.embed_texts(TEXTS), texts, atol=1e-5)


def test_each_published_model_is_as_open_clip_has_it() -> None:
    open_clip = import_open_clip()
    from open_clip.transform import PreprocessCfg, image_transform_v2

    assert set(PRETRAINED) == set(CLIP_MODELS) == {n.removeprefix("clip-") for n in WEIGHTS if n.startswith("clip-")}
    for name, tag in PRETRAINED.items():
        said, module = open_clip.get_pretrained_cfg(name, tag), ClipEmbedderModule(name)
        file = WEIGHTS[f"clip-{name}"]
        assert said["hf_hub"].strip("/") in (file.url or "") and tag in file.file_name
        assert not said.get("quick_gelu", False)  # or it were another architecture than its name's
        how = PreprocessCfg(**{key: said[key] for key in ("mean", "std", "interpolation", "resize_mode")})
        theirs = image_transform_v2(how, is_train=False)
        ramp = Image.fromarray(np.arange(300 * 400 * 3, dtype=np.uint32).reshape(300, 400, 3).astype(np.uint8))
        ours = module._preprocessor([np.asarray(ramp)])[0]
        assert (ours - theirs(ramp)).abs().max() < 2.1 / 255 / min(said["std"])


def test_bfloat16_is_about_the_same(tiny: str, photo: Callable) -> None:
    exact, fast = (ready(tiny, precision=one).run([photo(PHOTOS[0])])[0] for one in ("float32", "bfloat16"))
    assert exact["embedding"] @ fast["embedding"] > 0.999


def test_what_decides_the_result_is_in_the_settings_and_no_path(tiny: str, tmp_path: Path) -> None:
    settings = ClipEmbedderModule(tiny).settings()
    assert str(Path(tiny).parent) not in str(settings) and settings["model"].startswith("local-dir-")
    assert ClipEmbedderModule(write_clip_folder(tmp_path / "moved")).settings() == settings
    assert ClipEmbedderModule(write_clip_folder(tmp_path / "seed", seed=1)).settings() != settings
    assert (
        ClipEmbedderModule(write_clip_folder(tmp_path / "said", preprocess={"mean": [0, 0, 0]})).settings() != settings
    )


@pytest.mark.parametrize("text", ["", " \n", "&nbsp;"])
def test_a_text_without_words_is_refused(text: str, tiny: str) -> None:
    with pytest.raises(ConfigError, match="is empty"):
        ClipEmbedderModule(tiny).embed_texts(["a cat", text])


def test_a_text_that_is_too_long_is_not_cut(tiny: str) -> None:
    module = ClipEmbedderModule(tiny)
    assert module.embed_texts(["cat " * 75]).shape == (1, 32)
    with pytest.raises(ConfigError, match="a text of 76 tokens is too long, local-dir-.* reads 75: shorten 'cat cat"):
        module.embed_texts(["cat " * 76])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "ViT-B-33"}, "'ViT-B-33': it is one of ViT-B-32, ViT-L-14, local-dir:DIR"),
        ({"model": "local-dir:absent"}, "cannot read .*absent/open_clip_config.json: No such file"),
        ({"precision": "int4"}, "precision is 'int4'"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_work_is_refused(settings: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ClipEmbedderModule(**settings)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("no JSON", "is not JSON"),
        ("[1]", "describes no model"),
        ('{"model_cfg": {"embed_dim": 8}}', "describes no model"),
        (
            '{"embed_dim": 8, "vision_cfg": {}, "text_cfg": {"hf_tokenizer_name": "x"}}',
            "its texts take a tokenizer of transformers",
        ),
        ('{"embed_dim": 8, "vision_cfg": {"image_size": [8, 9]}, "text_cfg": {}}', "not square"),
        (
            '{"model_cfg": {"embed_dim": 8, "vision_cfg": {}, "text_cfg": {}}, '
            '"preprocess_cfg": {"resize_mode": "longest"}}',
            "its resize_mode is 'longest', and only shortest and squash are known",
        ),
    ],
)
def test_a_folder_that_is_no_model_is_refused(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(content)
    with pytest.raises(ConfigError, match=said):
        ClipEmbedderModule(f"local-dir:{tmp_path}")


@pytest.mark.usefixtures("two_layers")
def test_weights_that_do_not_fit_are_refused(tiny: str, tmp_path: Path) -> None:
    folder = Path(tiny.removeprefix("local-dir:"))
    (tmp_path / "open_clip_config.json").write_text((folder / "open_clip_config.json").read_text())
    with pytest.raises(WeightsError, match="holds no open_clip_model.safetensors"):
        ClipEmbedderModule(f"local-dir:{tmp_path}")
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="is not a file of weights"):
        ready(f"local-dir:{tmp_path}")
    with pytest.raises(WeightsError, match="is not for a CLIP like this one"):
        ready("ViT-B-32", weights_file=folder / "open_clip_model.safetensors")
    with pytest.raises(ModuleError, match="call setup"):
        ClipEmbedderModule(tiny).process_batch([np.zeros((64, 64, 3), np.uint8)])


def test_without_open_clip_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pixelbrain\[clip\]'"):
        ClipEmbedderModule()


def test_to_describe_it_neither_torch_nor_open_clip_is_imported() -> None:
    code = """
import sys
from pixelbrain.modules.clip import ClipEmbedderModule
ClipEmbedderModule().fields()
print([name for name in ("torch", "open_clip", "timm") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_timm_is_imported_when_it_is_wanted_and_no_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes 7 s of a processor, as it imports torch's compiler."""
    import_open_clip()
    from open_clip import timm_model

    assert not {"timm", "timm.layers"} & sys.modules.keys()
    real = SimpleNamespace(create_model="made", to_2tuple=lambda side: (side, side))
    for name in ("timm", "timm.layers"):
        monkeypatch.setitem(sys.modules, name, real)  # type: ignore[arg-type]
    assert timm_model.timm.create_model == "made" and timm_model.to_2tuple(3) == (3, 3)

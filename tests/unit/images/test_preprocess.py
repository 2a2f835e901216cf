"""Preprocessing equals what the models' own code does, on Pillow images."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixelbrain.errors import ConfigError, DecodeError
from pixelbrain.images.decode import DecodedImage
from pixelbrain.images.preprocess import FacePreprocessor, LitePreprocessor, TorchvisionPreprocessor
from pixelbrain.images.shaped import ShapePreprocessor
from pixelbrain.images.torchvision import import_torchvision

import_torchvision()  # without torch's compiler, which those who import it otherwise bring
from facenet_pytorch import extract_face, fixed_image_standardization  # noqa: E402
from torchvision.models import ResNet18_Weights, ResNet50_Weights  # noqa: E402


def sample(name: str) -> Image.Image:
    spec = importlib.util.find_spec("skimage")
    assert spec is not None and spec.submodule_search_locations
    return Image.open(Path(spec.submodule_search_locations[0]) / "data" / name).convert("RGB")


@pytest.mark.parametrize("weights", [ResNet50_Weights.IMAGENET1K_V2, ResNet18_Weights.IMAGENET1K_V1], ids=str)
@pytest.mark.parametrize("size", [None, (300, 200), (90, 400), (31, 17)], ids=str)
def test_equals_torchvisions_own_transforms(weights: ResNet50_Weights, size: tuple[int, int] | None) -> None:
    image = sample("chelsea.png")
    image = image.resize(size) if size else image
    ours = TorchvisionPreprocessor(weights)([np.asarray(image)])
    assert ours.shape == (1, 3, 224, 224)
    assert ours.dtype == torch.float32
    theirs = weights.transforms()(image)
    torch.testing.assert_close(ours[0], theirs, atol=1.01 / 255 / 0.224, rtol=0)  # in bytes: 1 of 255, by rounding
    assert (ours[0] - theirs).abs().gt(1e-5).float().mean() < 0.01


def test_of_an_endless_strip_the_middle_is_seen() -> None:
    strip = np.zeros((1, 2_000_000, 3), dtype=np.uint8)  # as high as the model's square it would take 400 GB
    strip[:, 999_996:1_000_004] = 255
    for photo in (strip, strip.transpose(1, 0, 2)):
        assert 128 < LitePreprocessor().to_batch([photo]).mean() <= 255


def test_a_batch_waits_as_uint8_and_becomes_channels_last() -> None:
    preprocessor = TorchvisionPreprocessor(ResNet50_Weights.IMAGENET1K_V2)
    assert (preprocessor.resize_px, preprocessor.crop_px) == (232, 224)
    batch = preprocessor.to_batch([np.asarray(sample(name)) for name in ("chelsea.png", "coffee.png")])
    assert batch.shape == (2, 224, 224, 3)
    assert batch.dtype == np.uint8
    values = preprocessor.to_tensor(batch, dtype=torch.bfloat16)
    assert values.dtype == torch.bfloat16
    assert values.is_contiguous(memory_format=torch.channels_last)
    assert preprocessor.to_batch([]).shape == (0, 224, 224, 3)


def test_photos_may_be_decoded_or_pixels_or_bytes() -> None:
    image = sample("coffee.png")
    pixels = np.asarray(image)
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    decoded = DecodedImage(image_id="a", pixels=pixels, width=image.width, height=image.height, format="PNG")
    batch = LitePreprocessor().to_batch([decoded, pixels, encoded.getvalue()])
    assert len(batch) == 3
    assert (batch[0] == batch[1]).all()
    assert (batch[0] == batch[2]).all()
    with pytest.raises(DecodeError):
        LitePreprocessor().to_batch([b"not an image"])


def test_lite_is_centred_as_it_was_trained() -> None:
    values = LitePreprocessor()([np.full((300, 500, 3), value, dtype=np.uint8) for value in (0, 127, 255)])
    assert values.shape == (3, 3, 224, 224)
    assert values[0].unique().tolist() == [-127 / 128]
    assert values[1].unique().tolist() == [0]
    assert values[2].unique().tolist() == [1]
    # the mean 0.498 and standard deviation 0.502 that are quoted for it are these, after dividing by 255
    assert round(127 / 255, 3) == 0.498
    assert round(128 / 255, 3) == 0.502


@pytest.mark.parametrize(
    "box", [(181.05, 62.2, 267.7, 172.05), (-10.5, 20.2, 90.9, 140.0), (400.3, 380.0, 530.0, 600.0)]
)
def test_a_face_equals_facenet_pytorchs_own(box: tuple[float, ...]) -> None:
    image = sample("astronaut.png")
    preprocessor = FacePreprocessor()
    square = preprocessor.crop(image, box)
    assert square is not None
    ours = preprocessor.to_tensor(square[None])
    assert ours.shape == (1, 3, 160, 160)
    theirs = fixed_image_standardization(extract_face(image, np.array(box)))
    torch.testing.assert_close(ours[0], theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("box", [(-50, 10, -1, 60), (600, 10, 700, 60), (10.2, 10, 10.9, 60)])
def test_a_face_outside_its_photo_is_none(box: tuple[float, ...]) -> None:
    assert FacePreprocessor().crop(sample("astronaut.png"), box) is None


@pytest.mark.parametrize(
    ("fit", "size", "bars"),
    [("pad", (200, 100), "rows"), ("pad", (100, 300), "columns"), ("pad", (9000, 2), "rows"), ("crop", (200, 100), ""),
     ("crop", (1, 500), ""), ("stretch", (300, 50), "")],
)  # fmt: skip
@pytest.mark.parametrize("grey", [False, True])
def test_any_shape(fit: str, size: tuple[int, int], bars: str, grey: bool):
    shaped = ShapePreprocessor(60, 80, fit=fit, grey=grey, fill=7, mean=0.5, std=0.5)
    photo = Image.new("RGB", size, (200, 200, 200))
    batch = shaped.to_batch([np.asarray(photo)] * 2)
    assert batch.shape == (2, *shaped.shape) == (2, 60, 80, 1 if grey else 3) and batch.dtype == np.uint8
    filled = batch[0, ..., 0] == 7
    assert filled.any() == bool(bars) and ((batch[0, ..., 0] == 200) | filled).all()
    if bars:  # in equal parts on both sides of the whole photo
        there = np.flatnonzero(~filled.all(axis=1 if bars == "rows" else 0))
        assert abs(there[0] - (filled.shape[bars != "rows"] - 1 - there[-1])) <= 1
        whole = size[1] / size[0] * 80 if bars == "rows" else size[0] / size[1] * 60
        assert len(there) == max(1, round(whole))
    tensor = shaped([np.asarray(photo)])
    assert tensor.shape == (1, shaped.shape[2], 60, 80)
    assert tensor.max().item() == pytest.approx((200 / 255 - 0.5) / 0.5, abs=1e-6)


@pytest.mark.parametrize("how", [{"height": 0}, {"fit": "squeeze"}, {"fill": 300}, {"std": 0.0}, {"mean": (1.0, 2.0)}])
def test_a_shape_that_cannot_be(how):
    with pytest.raises(ConfigError, match=next(iter(how))):
        ShapePreprocessor(**{"height": 8, "width": 8} | how)


PIXELS = np.zeros((4, 6, 3), np.uint8)


@pytest.mark.parametrize(
    ("photos", "said"),
    [
        (PIXELS, r"one photo \(ndarray\) where several are wanted: write \[photo\]"),
        (Image.fromarray(PIXELS), "one photo"),
        (b"\xff\xd8\xff", r"one photo \(bytes\)"),
        ([PIXELS[:, :, 0]], r"uint8 \(4, 6\) is no photo: pixels are uint8 \(height, width, 3\), RGB"),
        ([PIXELS / 255], r"float64 \(4, 6, 3\) is no photo"),
        ([np.dstack([PIXELS, PIXELS[:, :, :1]])], r"uint8 \(4, 6, 4\) is no photo"),
        (["a.jpg"], "str is no photo"),
    ],
)
def test_what_is_no_photo_is_said(photos, said):
    with pytest.raises(ConfigError, match=said):
        ShapePreprocessor(8, 8)(photos)


def test_pillows_images_are_photos():
    grey = Image.new("L", (6, 4), 255)
    assert ShapePreprocessor(8, 8, fit="stretch")([grey]).min() == 1

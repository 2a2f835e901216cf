"""Turn a batch of photos into the tensor that one model wants, without Ray and without that model.

Two steps, so that uint8 is what travels and waits: `to_pixels` resizes and crops on the CPU, one photo at a time;
`normalise` turns a batch of these into floats, on the device that the model is on.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from pixelbrain.errors import ConfigError
from pixelbrain.images.decode import DecodedImage, decode_image
from pixelbrain.images.torchvision import import_torchvision

if TYPE_CHECKING:
    import torch


#: Of a longer strip, only the middle: a model sees a square of it.
_LONGEST = 16

#: What a photo may be: decoded, an image of Pillow's, uint8 (H, W, 3) RGB pixels, or encoded bytes.
Photo: TypeAlias = DecodedImage | Image.Image | np.ndarray | bytes


class Preprocessor(abc.ABC):
    """A batch of photos to the tensor that one model wants; subclassed per model."""

    #: Side of the square that the model sees.
    crop_px: int
    #: Length that a photo's short side is resized to before the crop; 0: the whole photo becomes the square.
    resize_px: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a photo's pixels: (height, width, channels). Override it where it is no square in colour."""
        return self.crop_px, self.crop_px, 3

    @abc.abstractmethod
    def to_pixels(self, image: Image.Image) -> np.ndarray:
        """One RGB photo, resized and cropped: uint8 of `shape`."""

    @abc.abstractmethod
    def normalise(self, values: torch.Tensor) -> torch.Tensor:
        """float32 (N, channels, height, width) of 0 to 255, to the range of the training; may be in place."""

    def to_batch(self, photos: Sequence[Photo]) -> np.ndarray:
        """Photos, resized and cropped: uint8 (N, height, width, channels), RGB or grey.

        Raises:
            DecodeError: encoded bytes that are not an image.
            ImageTooLargeError: encoded bytes of too many pixels.
            ConfigError: what is no photo, or one instead of several.
        """
        if isinstance(photos, Photo):
            raise ConfigError(f"one photo ({type(photos).__name__}) where several are wanted: write [photo]")
        batch = np.empty((len(photos), *self.shape), dtype=np.uint8)
        for index, photo in enumerate(photos):
            batch[index] = self.to_pixels(_pil(photo))
        return batch

    def to_tensor(self, batch: np.ndarray, *, device: str = "cpu", dtype: torch.dtype | None = None) -> torch.Tensor:
        """What `to_batch` made, to the model's input.

        Args:
            batch: uint8 (N, height, width, channels).
            device: where to; normalised there, so that a quarter of the bytes travels.
            dtype: of the result; float32 by default. Normalised in float32 whatever it is.

        Returns:
            (N, channels, height, width), in channels_last memory format, which convolutions are fastest in.
        """
        import torch

        # (N, H, W, C) memory seen as (N, C, H, W) is what channels_last means: nothing is moved
        batch = batch if batch.flags.writeable else batch.copy()  # out of Ray or Arrow it may be read-only
        values = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2).float()
        return self.normalise(values).to(dtype or torch.float32)

    def __call__(self, photos: Sequence[Photo], *, device: str = "cpu") -> torch.Tensor:
        """Photos to the model's input: float32 (N, channels, height, width). Raises as `to_batch` does."""
        return self.to_tensor(self.to_batch(photos), device=device)


def _pil(photo: Photo) -> Image.Image:
    """In RGB."""
    if isinstance(photo, bytes):
        photo = decode_image(photo)
    if isinstance(photo, DecodedImage):
        return photo.pil()
    if isinstance(photo, Image.Image):
        return photo.convert("RGB")
    if isinstance(photo, np.ndarray) and photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3:
        return Image.fromarray(photo)
    is_what = f"{photo.dtype} {photo.shape}" if isinstance(photo, np.ndarray) else type(photo).__name__
    raise ConfigError(f"{is_what} is no photo: pixels are uint8 (height, width, 3), RGB; or give bytes of a file")


def _centre(image: Image.Image, resize_px: int, crop_px: int, mode: str) -> np.ndarray:
    """The short side resized to `resize_px`, then the centre: uint8 (crop_px, crop_px, 3); `resize_px` >= `crop_px`."""
    short = min(image.size)
    if max(image.size) > _LONGEST * short:  # its strip would be of as many pixels as a photo of any size has
        image = ImageOps.fit(image, (min(image.width, _LONGEST * short), min(image.height, _LONGEST * short)))
    width, height = image.size
    size = int(resize_px * height / short), int(resize_px * width / short)
    top, left = (round((side - crop_px) / 2) for side in size)
    return _resized(image, size, mode)[top : top + crop_px, left : left + crop_px]


def _resized(image: Image.Image, size: tuple[int, int], mode: str) -> np.ndarray:
    """Resized to this height and width: uint8 (H, W, 3).

    By torch, whose resize of bytes takes a sixth of the time of Pillow's and rounds by itself: `bench_decode.py`.
    """
    import torch

    pixels = torch.from_numpy(np.array(image))[None].permute(0, 3, 1, 2)  # as channels_last, which it is quick in
    resized = torch.nn.functional.interpolate(pixels, size, mode=mode, antialias=True)
    return resized[0].permute(1, 2, 0).numpy()


class TorchvisionPreprocessor(Preprocessor):
    """What a torchvision classifier was evaluated with, read from its weights' own transforms.

    Equal to `weights.transforms()` on Pillow images within 2 of 255 a pixel, and nearly all are the same.
    """

    def __init__(self, weights: Any) -> None:
        """`weights` is a member of a torchvision weights enum, such as `ResNet50_Weights.IMAGENET1K_V2`."""
        transforms = weights.transforms()
        (self.crop_px,) = transforms.crop_size
        (self.resize_px,) = transforms.resize_size
        self._mode = transforms.interpolation.value
        self._mean = tuple(transforms.mean)
        self._std = tuple(transforms.std)

    def to_pixels(self, image: Image.Image) -> np.ndarray:
        """One RGB photo, its short side resized to `resize_px`, its centre cropped: uint8 (crop_px, crop_px, 3)."""
        return _centre(image, self.resize_px, self.crop_px, self._mode)

    def normalise(self, values: torch.Tensor) -> torch.Tensor:
        """0 to 255, to 0 to 1, to the training set's mean 0 and standard deviation 1, by channel; in place."""
        mean = values.new_tensor(self._mean).view(1, 3, 1, 1)
        std = values.new_tensor(self._std).view(1, 3, 1, 1)
        return values.div_(255).sub_(mean).div_(std)


class ClipPreprocessor(TorchvisionPreprocessor):
    """What one of open_clip's models was evaluated with, as its own configuration says it.

    Equal to `open_clip.image_transform_v2` on Pillow images within 2 of 255 a pixel, and nearly all are the same.
    """

    def __init__(self, side_px: int, said: Mapping[str, Any]) -> None:
        """`said` has `interpolation` (bicubic, bilinear), `resize_mode` (shortest, squash), `mean` and `std`."""
        self.crop_px = self.resize_px = side_px
        self._mode, self._squash = said["interpolation"], said["resize_mode"] == "squash"
        self._mean, self._std = tuple(said["mean"]), tuple(said["std"])

    def to_pixels(self, image: Image.Image) -> np.ndarray:
        """One RGB photo, its centre, or all of it squashed, as it is said: uint8 (crop_px, crop_px, 3)."""
        return _resized(image, (self.crop_px, self.crop_px), self._mode) if self._squash else super().to_pixels(image)


class LitePreprocessor(Preprocessor):
    """What EfficientNet-Lite0 was evaluated with.

    Its package says no more than the resolution. The numbers are those of the TensorFlow code that it was trained
    with (tensorflow/tpu, models/official/efficientnet): MEAN_RGB 127 and STDDEV_RGB 128 in
    lite/efficientnet_lite_builder.py, and in preprocessing.py a centre crop of 224 out of 224 + CROP_PADDING 32,
    resized bicubically.
    """

    crop_px = 224
    resize_px = 256
    _MEAN = 127.0
    _STD = 128.0

    def to_pixels(self, image: Image.Image) -> np.ndarray:
        """One RGB photo, its short side resized to 256, its centre cropped: uint8 (224, 224, 3)."""
        return _centre(image, self.resize_px, self.crop_px, "bicubic")

    def normalise(self, values: torch.Tensor) -> torch.Tensor:
        """0 to 255, to -0.99 to 1; in place."""
        return values.sub_(self._MEAN).div_(self._STD)


class FacePreprocessor(Preprocessor):
    """What InceptionResnetV1 was trained on: a face's box, stretched to a 160 px square, about -1 to 1.

    Equal to facenet-pytorch's `extract_face` without a margin, and its `fixed_image_standardization`.
    """

    crop_px = 160  # MTCNN's default image_size, with which facenet-pytorch's published accuracies were measured

    def to_pixels(self, image: Image.Image) -> np.ndarray:
        """One face, already cropped to its box: uint8 (160, 160, 3)."""
        return np.asarray(image.resize((self.crop_px, self.crop_px), Image.Resampling.BILINEAR))

    def crop(self, image: Image.Image, box: Sequence[float]) -> np.ndarray | None:
        """A face out of its photo: uint8 (160, 160, 3), or None where less than a pixel of its box is inside.

        Args:
            image: the photo, RGB.
            box: x1, y1, x2, y2 in the photo's pixels; may reach over its edges.
        """
        x1, y1, x2, y2 = box
        inside = (int(max(x1, 0)), int(max(y1, 0)), int(min(x2, image.width)), int(min(y2, image.height)))
        if inside[0] >= inside[2] or inside[1] >= inside[3]:
            return None
        return self.to_pixels(image.crop(inside))

    def normalise(self, values: torch.Tensor) -> torch.Tensor:
        """0 to 255, to about -1 to 1."""
        import_torchvision()
        from facenet_pytorch import fixed_image_standardization

        return fixed_image_standardization(values)

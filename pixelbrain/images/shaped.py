"""Photos to a shape of one's own: padded, cropped or stretched, in colour or grey; for models that no recipe is for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageOps

from pixelbrain.config import choose
from pixelbrain.errors import ConfigError
from pixelbrain.images.decode import DecodeTarget
from pixelbrain.images.preprocess import Preprocessor

if TYPE_CHECKING:
    import torch

#: How a photo of another aspect comes into a shape.
Fit = Literal["pad", "crop", "stretch"]


class ShapePreprocessor(Preprocessor):
    """A photo to (height, width) pixels, and to floats of a mean and a deviation.

        ShapePreprocessor(384, 512)  # all of the photo, with black bars, 0 to 1
        ShapePreprocessor(224, 224, fit="crop", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
        ShapePreprocessor(32, 128, grey=True, fit="stretch")

    Args:
        height, width: in pixels.
        fit: pad: the whole photo, its aspect kept, in the middle of bars; crop: its aspect kept, its middle; stretch:
            the whole photo, its aspect changed.
        grey: one channel, luma as ITU-R 601 has it, instead of three.
        fill: of the bars, 0 (black) to 255.
        mean, std: of values of 0 to 1, one or one a channel.

    Raises:
        ConfigError: a value that cannot work.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        fit: Fit = "pad",
        grey: bool = False,
        fill: int = 0,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
    ) -> None:
        choose("fit", fit, ("pad", "crop", "stretch"))
        spans = {"height": (height, 1, 65_535), "width": (width, 1, 65_535), "fill": (fill, 0, 255)}
        for name, (value, least, most) in spans.items():
            if type(value) is not int or not least <= value <= most:
                raise ConfigError(f"{name} is {value!r}: a whole number from {least} to {most}")
        channels = 1 if grey else 3
        if not {np.size(mean), np.size(std)} <= {1, channels} or not (np.asarray(std) > 0).all():
            raise ConfigError(f"mean is {mean!r}, std {std!r}: one number each, or {channels}; std above 0")
        self.mean, self.std = (np.broadcast_to(np.asarray(one, np.float32), channels).tolist() for one in (mean, std))
        self.fit, self.grey, self.fill = fit, grey, fill
        self._shape = (height, width, channels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a photo's pixels: (height, width, channels)."""
        return self._shape

    @property
    def decode_target(self) -> DecodeTarget:
        """What a module that uses it needs of each photo."""
        return DecodeTarget(short_side_px=max(self._shape[:2]))

    def to_pixels(self, image: Image.Image) -> np.ndarray:
        """One RGB photo: uint8 (height, width, 3), or (height, width, 1) in grey."""
        height, width, channels = self._shape
        image = image.convert("L") if self.grey else image
        if self.fit == "stretch":
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        elif self.fit == "crop":
            image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
        else:
            scale = min(width / image.width, height / image.height)
            inside = max(1, round(image.width * scale)), max(1, round(image.height * scale))
            whole = Image.new(image.mode, (width, height), self.fill if self.grey else (self.fill,) * 3)
            place = (width - inside[0]) // 2, (height - inside[1]) // 2
            whole.paste(image.resize(inside, Image.Resampling.BILINEAR), place)
            image = whole
        return np.asarray(image).reshape(height, width, channels)

    def normalise(self, values: torch.Tensor) -> torch.Tensor:
        """0 to 255, to 0 to 1, minus the mean, by the deviation; in place."""
        mean, std = (values.new_tensor(one).view(1, -1, 1, 1) for one in (self.mean, self.std))
        return values.div_(255).sub_(mean).div_(std)

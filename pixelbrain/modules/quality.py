"""QualityModule: how sharp, bright and clipped a photo is, and a perceptual hash. No model: it runs beside decoding."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from pixelbrain.images.decode import DecodedImage, DecodeTarget
from pixelbrain.modules.base import PipelineModule, Resources

#: Long side of the grey picture that all is measured on; a smaller photo is not enlarged.
MEASURED_PX = 512

#: As `imagehash.phash` has it: the 8 x 8 lowest frequencies of a cosine transform of 32 x 32 pixels.
_HASHED_PX, _HASHED = 32, 8
_CLIPPED = 2  # grey levels from either end; JPEG moves a pure white by so much


class QualityModule(PipelineModule):
    """Sharpness, light and a perceptual hash of the upright photo, all on its grey picture of 512 px."""

    name = "quality"
    decode_target = DecodeTarget(long_side_px=MEASURED_PX)
    resources = Resources(with_decoder=True, num_gpus=0, memory_bytes=1024**2, input_bytes=1024)

    def fields(self) -> list[pa.Field]:
        """All are null only where the photo could not be decoded."""
        return [
            pa.field("sharpness", pa.float32()),  # variance of the Laplacian (4 neighbours), squared grey levels
            pa.field("brightness", pa.float32()),  # mean grey, 0 to 1
            pa.field("contrast", pa.float32()),  # its standard deviation, 0 to 0.5
            pa.field("clipped_shadows", pa.float32()),  # share of pixels that are black, 0 to 1
            pa.field("clipped_highlights", pa.float32()),  # that are white
            pa.field("phash", pa.string()),  # 16 hex digits, as `str(imagehash.phash(image))`
        ]

    def process(self, image: DecodedImage) -> dict[str, Any]:
        """The struct of a photo."""
        grey = image.pil().convert("L")
        scale = MEASURED_PX / max(grey.size)
        if scale < 1:
            size = max(1, round(grey.width * scale)), max(1, round(grey.height * scale))
            grey = grey.resize(size, Image.Resampling.BOX)
        counts = np.array(grey.histogram(), float) / (grey.width * grey.height)
        levels = np.arange(256)
        mean = float(counts @ levels)
        return {
            "sharpness": measure_sharpness(np.asarray(grey)),
            "brightness": mean / 255,
            "contrast": math.sqrt(max(0.0, float(counts @ (levels - mean) ** 2))) / 255,
            "clipped_shadows": counts[: _CLIPPED + 1].sum(),
            "clipped_highlights": counts[255 - _CLIPPED :].sum(),
            "phash": perceptual_hash(grey),
        }


def measure_sharpness(grey: np.ndarray) -> float:
    """Of uint8 (H, W), the variance of the Laplacian (4 neighbours), in squared levels; 0 where no pixel is inside."""
    if min(grey.shape) < 3:
        return 0.0
    grey = grey.astype(np.int16)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return float(laplacian.var(dtype=np.float64))


def perceptual_hash(grey: Image.Image) -> str:
    """64 bits as 16 hex digits: whether each of the lowest frequencies is above their median.

    Pictures that look the same differ in few bits: `imagehash.hex_to_hash` takes it, and so do most of such tools.
    """
    import scipy.fft

    pixels = np.asarray(grey.resize((_HASHED_PX, _HASHED_PX), Image.Resampling.LANCZOS), float)
    low = scipy.fft.dct(scipy.fft.dct(pixels, axis=0), axis=1)[:_HASHED, :_HASHED]
    return np.packbits(low > np.median(low)).tobytes().hex()

"""A decoded photo from pixels."""

from __future__ import annotations

import numpy as np

from pixelbrain.images.decode import DecodedImage


def decoded(pixels: np.ndarray, scale: float = 1.0) -> DecodedImage:
    """A photo as if it had been decoded at this scale."""
    height, width = pixels.shape[:2]
    return DecodedImage(
        image_id="file:///x", pixels=pixels, width=round(width / scale), height=round(height / scale), format="PNG"
    )

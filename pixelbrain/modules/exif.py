"""ExifModule: what cameras and people wrote into a photo. No model: it is read while the photo is decoded."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pixelbrain.images.decode import DecodedImage, DecodeTarget
from pixelbrain.images.written.tags import FIELDS
from pixelbrain.modules.base import PipelineModule, Resources


class ExifModule(PipelineModule):
    """When, where and with what a photo was taken, and what people said of it: EXIF, XMP and IPTC.

    See `images.written.tags.FIELDS` for the fields and their units. What a file does not say, or says wrongly, is null.
    """

    name = "exif"
    decode_target = DecodeTarget(short_side_px=1)  # no pixels: the others' targets count
    resources = Resources(with_decoder=True, num_gpus=0, memory_bytes=1024**2, input_bytes=1024)

    def fields(self) -> list[pa.Field]:
        """Those of `images.written.tags.FIELDS`."""
        return list(FIELDS)

    def process(self, image: DecodedImage) -> dict[str, Any]:
        """The struct of a photo, which `decode_image` has read."""
        return dict(image.written)

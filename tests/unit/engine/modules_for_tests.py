"""Modules without weights."""

from __future__ import annotations

import pyarrow as pa

from pixelbrain.modules.base import PipelineModule


class Size(PipelineModule):
    """The decoded size; fails on images that are 61 pixels wide, and lies about those that are 62."""

    name = "size"
    batch_size = 2

    def fields(self):
        return [pa.field("pixels", pa.int64())]

    def process(self, image):
        if image.width == 61:
            raise RuntimeError("61 is not a width")
        if image.width == 62:
            return {"pixels": "many"}
        return {"pixels": image.width * image.height}

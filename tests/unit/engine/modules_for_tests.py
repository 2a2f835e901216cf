"""Modules without weights."""

from __future__ import annotations

import ctypes
import os
import signal

import pyarrow as pa

from pixelbrain.modules.base import PipelineModule, Resources


class Size(PipelineModule):
    """The decoded size; fails on images that are 61 pixels wide, and lies about those that are 62."""

    name = "size"
    resources = Resources(batch_size=2)

    def fields(self):
        return [pa.field("pixels", pa.int64())]

    def process(self, image):
        if image.width == 61:
            raise RuntimeError("61 is not a width")
        if image.width == 62:
            return {"pixels": "many"}
        return {"pixels": image.width * image.height}


class Deadly(Size):
    """Ends its own process on images that are 77 pixels wide, as a decoder's bug or the kernel would."""

    def __init__(self, signal_name: str) -> None:
        self.signal_name = signal_name

    def process(self, image):
        if image.width == 77:
            if self.signal_name == "SIGSEGV":
                ctypes.string_at(0)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().process(image)

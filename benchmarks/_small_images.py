"""Many small JPEGs, no two of the same bytes, made in seconds; and a module that does nothing with them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["SIDE_PX", "make_small_images", "nothing"]

SIDE_PX = 256
_KINDS = 64
_PER_FOLDER = 1_000


def make_small_images(folder: Path, count: int, *, side_px: int = SIDE_PX) -> Path:
    """So many: smooth shapes with some noise, of 64 kinds, each file with a comment of its own."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:side_px, 0:side_px] / side_px
    kinds = []
    for _ in range(_KINDS):
        waves = [np.sin(2 * np.pi * (rng.uniform(1, 6) * x + rng.uniform(1, 6) * y + rng.uniform())) for _ in range(3)]
        pixels = 127 + 80 * np.stack(waves, axis=-1) + rng.normal(0, 8, (side_px, side_px, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer := io.BytesIO(), "JPEG", quality=85)
        kinds.append(buffer.getvalue())
    for first in range(0, count, _PER_FOLDER):
        (part := folder / f"{first // _PER_FOLDER:04d}").mkdir(parents=True)
        for number in range(first, min(first + _PER_FOLDER, count)):
            encoded, comment = kinds[number % _KINDS], f"{number:08d}".encode()
            marker = b"\xff\xfe" + (2 + len(comment)).to_bytes(2, "big") + comment  # COM, behind the start of image
            (part / f"{number:08d}.jpg").write_bytes(encoded[:2] + marker + encoded[2:])
    return folder


def nothing(dim: int = 0) -> Any:
    """A module that sees all pixels and says nothing, or a random vector of `dim` numbers of each."""
    import pyarrow as pa

    from pixelbrain import PipelineModule, Resources

    class Nothing(PipelineModule):
        name = "nothing"
        resources = Resources(memory_bytes=0, input_bytes=3 * SIDE_PX * SIDE_PX)

        def fields(self) -> list[pa.Field]:
            return [
                pa.field("seen", pa.bool_()),
                *([pa.field("embedding", pa.list_(pa.float32(), dim))] if dim else []),
            ]

        def preprocess(self, image: Any) -> np.ndarray:
            return image.pixels

        def process_batch(self, inputs: Sequence[Any]) -> list[dict[str, Any]]:
            if not dim:
                return [{"seen": True}] * len(inputs)
            vectors = np.random.default_rng().normal(size=(len(inputs), dim)).astype(np.float32)
            return [{"seen": True, "embedding": vector} for vector in vectors]

    return Nothing()

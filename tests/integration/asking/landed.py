"""Images that have landed without a model having looked at them: what asking starts from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from pixelbrain import schema
from pixelbrain.landing.landing import Landing
from pixelbrain.sources.local import path_to_uri, stat_version
from tests.integration.asking.conftest import plain_image

__all__ = ["land_plain_images"]


def land_plain_images(folder: Path, count: int, *, seed: int = 0, copies: int = 0, out: str | None = None) -> Landing:
    """`count` images of one colour each, no two alike, and `copies` of the first ones; in folder/out, or `out`."""
    rng = np.random.default_rng(seed)
    photos, rows = folder / "photos", []
    photos.mkdir(parents=True)
    contents = []
    for index in range(count):
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        contents.append(plain_image(colour, (64 + index % 1900, 48 + index // 1900)))
    for index, data in enumerate(contents + contents[:copies]):
        path = photos / f"{index:05d}.jpg"
        path.write_bytes(data)
        original = index if index < count else index - count
        rows.append(
            {
                "image_id": path_to_uri(str(path)),
                "version": stat_version(path.stat()),
                "size_bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "format": "JPEG",
                "width": 64 + original % 1900,
                "height": 48 + original // 1900,
                "status": "ok",
            }
        )
    landing = Landing(out or folder / "out")
    table = pa.Table.from_pylist(rows, pa.schema(schema.BASE_FIELDS))
    landing.write_part(table, generation=1, block=0, piece=0, modules={})
    return landing

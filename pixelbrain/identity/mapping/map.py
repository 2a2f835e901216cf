"""The map of some vectors that landed: each photo, or each face, with its place; landed in `OUT/maps`."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pixelbrain.errors import ConfigError
from pixelbrain.landing.derived import map_table
from pixelbrain.landing.landing import Landing
from pixelbrain.locks.run import RunLock
from pixelbrain.shown import Shown
from pixelbrain.stores.vectors import VectorField, landed_vectors, vector_fields

_FACES = "faces"


@dataclass(frozen=True, kw_only=True, repr=False)
class MapReport(Shown):
    """What `make_map` did."""

    by: str  # whose vectors
    points: int
    left_out: int  # whose vector is no number somewhere
    seconds: float


def can_be_mapped(landing: Landing) -> dict[str, VectorField]:
    """The vectors of which there can be a map: those of images, and of their faces; the likeliest wanted first.

    Raises:
        MixedModelsError: a column holds vectors of two models.
    """
    found = {name: one for name, one in vector_fields(landing).items() if one.each in (None, _FACES)}
    return dict(sorted(found.items(), key=lambda item: (item[1].each is not None, item[0] != "images", item[0])))


def make_map(
    landing: Landing, by: str | None = None, *, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> MapReport:
    """Lay out all images, or all faces, by their vectors, and write it into `OUT/maps`, in place of what was there.

    Args:
        landing: what has landed.
        by: whose vectors: `images`, `faces`, or the name of a module that has some; None: the first that there are.
        seed: of what is drawn by chance; the same vectors and seed are the same map.
        progress: hears (done, total) steps.

    Raises:
        ConfigError: there are no such vectors.
        LandingError: OUT cannot be read or written.
        MixedModelsError: vectors of two models.
        OutLockedError: another process works on this OUT.
    """
    from pixelbrain.identity.mapping.pacmap import NEIGHBOURS, lay_out  # scipy: only where a map is made

    start = time.perf_counter()
    fields = can_be_mapped(landing)
    if not fields:
        raise ConfigError(
            f"nothing in {landing.storage.uri} has vectors to be mapped by: `pixelbrain extract SOURCE --out "
            f"{landing.storage.uri} --module resnet` gives each photo one"
        )
    by = next(iter(fields)) if by is None else by
    if by not in fields:
        raise ConfigError(f"there is no map by {by!r}: by {' or '.join(fields)}")
    with RunLock(landing.storage, what="map"):
        ids, image_ids, vectors = _read(landing, fields[by])
        whole = np.isfinite(vectors).all(axis=1)
        points = lay_out(vectors if whole.all() else vectors[whole], seed=seed, progress=progress)
        told = {"by": by, "method": "pacmap", "neighbours": NEIGHBOURS, "seed": seed}
        # by its id a part of a map that somebody chose is known to be of this one, also when photos come and go
        settings = json.dumps({**told, "id": hashlib.sha256(points.tobytes()).hexdigest()[:8]})
        chosen = pa.array(whole)
        rows = {"image_id": image_ids.filter(chosen), "x": points[:, 0], "y": points[:, 1]}
        rows["settings"] = pa.array([settings] * len(points), pa.string())
        table = map_table(by, of_faces=fields[by].each is not None)
        if fields[by].each is not None:
            rows["face_id"] = ids.filter(chosen)
        table.write(landing, pa.table(rows), fields[by].module)
    left_out = len(whole) - len(points)
    return MapReport(by=by, points=len(points), left_out=left_out, seconds=time.perf_counter() - start)


def _read(landing: Landing, field: VectorField) -> tuple[pa.Array, pa.Array, np.ndarray]:
    """The ids, of which images, and float32 (n, d)."""
    ids: list[str] = []
    images: list[str] = []
    vectors = [np.empty((0, field.model.dim), np.float32)]
    for table in landing.iter_images([field.module]):
        batch = landed_vectors(field, table)
        if batch is not None and len(batch):
            ids += batch.ids
            images += [one["image_id"] for one in batch.metadata] if field.each else batch.ids
            vectors.append(batch.vectors)
    return pa.array(ids, pa.string()), pa.array(images, pa.string()), np.concatenate(vectors)

"""Visual groups: images that look alike, by the neighbour graph and the linkage that find people."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import ConfigError
from pixelbrain.identity.assign import assign
from pixelbrain.identity.thresholds import group_threshold
from pixelbrain.landing.derived import GROUPS
from pixelbrain.locks.run import RunLock
from pixelbrain.shown import Shown
from pixelbrain.stores.vectors import landed_field

if TYPE_CHECKING:
    from pixelbrain.stores.database import Database


@dataclass(frozen=True, kw_only=True, repr=False)
class GroupReport(Shown):
    """What `group_images` did."""

    images: int  # that have a vector
    grouped: int
    groups: int  # of two images or more
    threshold: float  # cosine similarity
    seconds: float


def group_images(
    db: Database,
    threshold: float | None = None,
    k: int = 20,
    *,
    by: str = "images",
    only: pa.ChunkedArray | None = None,
) -> GroupReport:
    """Group images that look alike, and write it into `OUT/groups` and MongoDB, in place of what was there.

    Args:
        db: its `images` collection holds a classifier's pooled embeddings.
        by: whose vectors say what is alike: `images`, or a module's that are one an image.
        threshold: mean cosine similarity of two groups that are one; the model's own by default, see
            `pixelbrain.identity.thresholds`. Higher: fewer and purer groups.
        k: neighbours that each image is compared with first.
        only: the ids of those that are grouped, all by default; the others are in no group.

    Raises:
        ConfigError: vectors of a model without a threshold, and none given; or values that cannot work.
        LandingError: no such vectors have landed.
        StoreError: the vector index does not hold what landed, or a store cannot be reached.
        OutLockedError: another process works on this OUT.
    """
    with RunLock(db.landing.storage, what="group"):
        return _group_images(db, threshold, k, by, only)


def _group_images(db: Database, threshold: float | None, k: int, by: str, only: pa.ChunkedArray | None) -> GroupReport:
    start = time.perf_counter()
    field = landed_field(db.landing, by) if db.landing.count_images() else None
    if field and field.each:
        raise ConfigError(f"images are not grouped by {by}, of which an image may have none or several")
    db.require_in_step(by)
    if threshold is None:
        threshold = group_threshold(db.vector_model(by).model)
    ids: list[str] = []
    vectors: list[np.ndarray] = []
    wanted = None if only is None else frozenset(only.to_pylist())
    for batch in db.iter_vectors(by):
        if wanted is not None:
            batch = batch.take([place for place, one in enumerate(batch.ids) if one in wanted])
        ids += batch.ids
        vectors.append(batch.vectors)
    whole = np.concatenate(vectors) if vectors else np.empty((0, 1), np.float32)
    del vectors
    assignment = assign(ids, whole, threshold=threshold, k=k, second_look=False)
    distance = pa.array(assignment.distance, mask=np.isnan(assignment.distance))
    table = pa.table({"image_id": ids, "group_id": assignment.names(ids, "group"), "distance": distance})
    # looked at, and like no other: those that are not meant, and those without a vector
    landed = db.landing.index.image_id.combine_chunks()
    left_out = pa.table({"image_id": landed.filter(pc.invert(pc.is_in(landed, pa.array(ids, pa.string()))))})
    table = pa.concat_tables([table, left_out], promote_options="default").sort_by("image_id")
    GROUPS.write(db.landing, table, field.module if field else None)
    db.store_derived("groups")
    return GroupReport(
        images=len(ids),
        grouped=int((assignment.cluster >= 0).sum()),
        groups=assignment.count,
        threshold=threshold,
        seconds=time.perf_counter() - start,
    )

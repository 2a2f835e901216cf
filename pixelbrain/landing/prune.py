"""Take images that are gone from their source out of OUT: a tombstone each, which hides all older rows."""

from __future__ import annotations

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import claim_generation
from pixelbrain.locks.run import RunLock

_ROWS = 50_000  # of one part file


def prune(landing: Landing, rows: pa.Table) -> None:
    """Remove images: readers leave them out from now on, `load` takes them out of the stores, `compact` off the disk.

    An image that comes back is new.

    Args:
        landing: where they landed; refreshed afterwards.
        rows: `image_id` and `version`, as `Remaining.gone` returns them.

    Raises:
        OutLockedError: another process is at work on OUT.
        LandingError: OUT cannot be written.
    """
    if not len(rows):
        return
    base = pa.schema(schema.BASE_FIELDS)
    tombstones = rows.append_column("status", pa.array([schema.Status.PRUNED.value] * len(rows)))
    tombstones = pa.concat_tables([base.empty_table(), tombstones], promote_options="default").cast(base)
    with RunLock(landing.storage, what="prune"):
        generation = claim_generation(landing.storage)
        for block, start in enumerate(range(0, len(rows), _ROWS)):
            table = tombstones.slice(start, _ROWS)
            landing.write_part(table, generation=generation, block=block, piece=0, modules={})
    landing.refresh()

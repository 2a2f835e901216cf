"""The groups of images that look alike, with the best of each: as duplicates are, but nothing is to be dropped."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.identity.lookalikes.best import BURST, Judge
from pixelbrain.identity.lookalikes.photos import read_photos
from pixelbrain.landing.derived import GROUPS
from pixelbrain.landing.duplicates.read import with_hashes
from pixelbrain.landing.landing import Landing


def found_alike(landing: Landing) -> pa.Table | None:
    """Rows of `landing.duplicates.read.COLUMNS` of images in groups, in the order of their ids; None: nobody grouped.

    Of each group the best is kept, and why; of the others nothing is proposed: they are other photos. Raises
    `LandingError`.
    """
    groups = GROUPS.read(landing).rows
    if groups is None:
        return None
    photos = read_photos(landing, vectors=False)
    judge, place = Judge(photos), {one: at for at, one in enumerate(photos.ids)}
    rank = judge.rank(BURST)
    members: dict[str, list[int]] = {}
    versions: dict[int, str] = {}
    there = groups.filter(pc.is_valid(groups["group_id"])).select(["image_id", "image_version", "group_id"])
    for row in there.to_pylist():
        if (at := place.get(row["image_id"])) is not None:
            members.setdefault(row["group_id"], []).append(at)
            versions[at] = row["image_version"]
    rows = []
    for name, some in members.items():
        if len(some) < 2:  # the others are gone
            continue
        best = min(some, key=lambda at: rank[at])
        why = judge.why(best, [at for at in some if at != best], BURST)
        for at in some:
            of = {"keep": True, "why": why} if at == best else {"kind": "alike", "copy_of": photos.ids[best]}
            rows.append({"image_id": photos.ids[at], "image_version": versions[at], "duplicate_id": name, **of})
    texts = ("image_id", "image_version", "duplicate_id", "kind", "copy_of", "why")
    columns = pa.schema([*((name, pa.string()) for name in texts), ("keep", pa.bool_())])
    return with_hashes(landing, pa.Table.from_pylist(rows, columns).sort_by("image_id"))

"""Small pictures under OUT, as extract landed them, merged to fewer files, without those of images that went."""

from __future__ import annotations

import re

import pyarrow as pa

from pixelbrain.landing.index import LandedIndex
from pixelbrain.landing.parts import write_table
from pixelbrain.schema import PICTURE_SCHEMA, PICTURES
from pixelbrain.storage.base import Storage

_ROWS = 5_000  # of a merged file, at 10 kB each
_MERGED = re.compile(r"merged-(\d+)\.parquet")


def compact_pictures(storage: Storage, index: LandedIndex) -> None:
    """Merge small files, and drop the pictures of images, or versions of them, that are not in the index.

    Killed at any moment, some pictures are there twice, until the next time. For who holds OUT's lock.

    Raises:
        LandingError: OUT cannot be read or written, or a file is damaged.
    """
    names = sorted(storage.names(PICTURES))
    number = max((int(found[1]) for name in names if (found := _MERGED.fullmatch(name))), default=0)
    waiting = PICTURE_SCHEMA.empty_table()
    old: list[str] = []
    dropped = False

    def write() -> None:
        nonlocal waiting, number, dropped
        if len(old) > 1 or dropped:
            if len(waiting):
                number += 1
                write_table(storage, f"{PICTURES}/merged-{number:06d}.parquet", waiting.combine_chunks())
            for name in old:
                storage.delete(name)
        old.clear()
        waiting, dropped = PICTURE_SCHEMA.empty_table(), False

    for name in names:
        with storage.open_parquet(f"{PICTURES}/{name}") as file:
            ids = file.read(columns=["image_id", "version"])
            alive = index.find(ids["image_id"], ids["version"]) >= 0
            if alive.all() and len(alive) >= _ROWS // 2:
                continue
            kept = file.read().replace_schema_metadata(None).filter(pa.array(alive))
        waiting = pa.concat_tables([waiting, kept.cast(PICTURE_SCHEMA)])
        old.append(f"{PICTURES}/{name}")
        dropped = dropped or not alive.all()
        if len(waiting) >= _ROWS:
            write()
    write()

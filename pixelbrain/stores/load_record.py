"""What a load remembers in MongoDB of what it wrote, to be compared with what is in OUT and in the stores later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.landing.digests import digest_versions
from pixelbrain.landing.landing import Landing

#: Of the document in `meta` in which a load says what it wrote.
RECORD_ID = "load"

#: The columns of these tables that a load repeats.
IDENTITY_COLUMNS = ("face_id", "image_id", "identity_id")
GROUP_COLUMNS = ("image_id", "group_id", "distance")

_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True, kw_only=True)
class StoreCounts:
    """How much the stores hold."""

    documents: int = 0  # images in MongoDB
    images: int = 0  # vectors in ChromaDB
    faces: int = 0

    def __str__(self) -> str:
        return f"{self.documents:,} images, {self.images:,} image vectors and {self.faces:,} face vectors"


def landed_digest(landing: Landing) -> str:
    """Changes with what landed and was answered, and not by a compact: by the files, of which no row is read."""
    return f"{landing.index.digest()}-{landing.answer_log.digest()}"


def later_tables(landing: Landing) -> tuple[pa.Table, pa.Table]:
    """Identities and groups; a table that is not in OUT is an empty one: what older ones left in the documents goes."""
    identities, groups = landing.read_identities(), landing.read_groups()
    return (
        schema.IDENTITY_SCHEMA.empty_table() if identities is None else identities,
        schema.GROUP_SCHEMA.empty_table() if groups is None else groups,
    )


def table_digest(table: pa.Table | None, columns: Sequence[str]) -> str:
    """16 hex digits that change when a row of a table comes, goes or changes, in any order; None has no rows."""
    total = 0
    for start in range(0, 0 if table is None else len(table), _ROWS_AT_ONCE):
        rows = table.select(columns).slice(start, _ROWS_AT_ONCE)
        # a missing value is not an empty one: \1
        texts = [pc.fill_null(rows[name].cast(pa.large_string()), "\1") for name in columns]
        joined = pc.binary_join_element_wise(*texts, pa.scalar("\0", pa.large_string()))
        total += int(digest_versions(joined).sum(dtype=np.uint64))
    return f"{total % 2**64:016x}"

"""What a load remembers in MongoDB of what it wrote, to be compared with what is in OUT later."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.schema import Status

__all__ = ["GROUP_COLUMNS", "IDENTITY_COLUMNS", "LANDED", "META_ID", "table_digest"]

#: Finds the documents that a load wrote, as opposed to those that a user added. The index on `status` answers it.
LANDED: dict[str, Any] = {"status": {"$in": [str(status) for status in Status]}}

#: Of the document in `meta` in which a load says what it wrote.
META_ID = "load"

#: The columns of these tables that MongoDB's documents repeat.
IDENTITY_COLUMNS = ("face_id", "image_id", "identity_id")
GROUP_COLUMNS = ("image_id", "group_id", "distance")

_ROWS_AT_ONCE = 50_000
_NOTHING, _END = pa.scalar("", pa.large_string()), pa.scalar("\0", pa.large_string())


def table_digest(table: pa.Table | None, columns: Sequence[str]) -> str:
    """16 hex digits that change with the values of these columns, or with the order of the rows; None has no rows."""
    digest = hashlib.blake2b(digest_size=8)
    if table is None:
        return digest.hexdigest()
    for start in range(0, len(table), _ROWS_AT_ONCE):
        rows = table.select(columns).slice(start, _ROWS_AT_ONCE).combine_chunks()
        # a missing value is not an empty one: \1; each value ends with \0
        texts = [pc.fill_null(rows[name].cast(pa.large_string()), "\1") for name in columns]
        joined = pc.binary_join_element_wise(
            *texts, pa.scalar("", pa.large_string()), pa.scalar("\0", pa.large_string())
        )
        for chunk in joined.chunks:
            digest.update(_text(chunk))
    return digest.hexdigest()


def _text(strings: pa.LargeStringArray) -> memoryview:
    """The strings, one after another, as they lie in memory."""
    _validity, offsets, data = strings.buffers()
    ends = np.frombuffer(offsets, np.int64)[strings.offset :]
    return memoryview(data or b"")[ends[0] : ends[len(strings)]]

"""What a load remembers in MongoDB of what it wrote, to be compared with what is in OUT and in the stores later."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.landing.landing import Landing

#: Of the document in `meta` in which a load says what it wrote.
RECORD_ID = "load"


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

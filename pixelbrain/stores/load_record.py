"""What a load remembers in MongoDB of what it wrote, to be compared with what is in OUT and in the stores later."""

from __future__ import annotations

from dataclasses import dataclass

from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.stores.vectors import COLLECTION_COLUMNS

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


def vectors_behind(landing: Landing, collection: str, loaded: str | None, held: int) -> str | None:
    """How a vector collection differs from what landed; None: it does not. Of OUT only ids are read, if that is so.

    Args:
        collection: `faces` or `images`.
        loaded: what it remembers of its last load, see `VectorStore.loaded`; None: it is not there.
        held: how many vectors there are.
    """
    column = COLLECTION_COLUMNS[collection]
    if loaded == (landing.index.digest(column) if column in landing.index.modules else None):
        return None
    landed = (IDENTITIES if collection == "faces" else GROUPS).count(landing)
    return f"the vector index holds {held:,} {collection}, and {landed:,} landed; some may be of older photos"

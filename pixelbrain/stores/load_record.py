"""What a load remembers in MongoDB of what it wrote, to be compared with what is in OUT and in the stores later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.stores.vectors import COLLECTION_COLUMNS, vector_fields

#: Of the document in `meta` in which a load says what it wrote.
RECORD_ID = "load"


@dataclass(frozen=True, kw_only=True)
class StoreCounts:
    """How much the stores hold."""

    documents: int = 0  # images in MongoDB
    images: int = 0  # vectors in ChromaDB
    faces: int = 0
    modules: Mapping[str, int] = field(default_factory=dict)  # further vectors, by collection; none has 0

    @classmethod
    def of(cls, documents: int, vectors: Mapping[str, int]) -> StoreCounts:
        """These documents, and vectors by collection."""
        further = {name: n for name, n in vectors.items() if n and name not in COLLECTION_COLUMNS}
        return cls(documents=documents, images=vectors["images"], faces=vectors["faces"], modules=further)

    def __getitem__(self, collection: str) -> int:
        return getattr(self, collection) if collection in COLLECTION_COLUMNS else self.modules.get(collection, 0)

    @property
    def vectors(self) -> int:
        """All of them."""
        return self.images + self.faces + sum(self.modules.values())

    def __str__(self) -> str:
        further = "".join(f", {count:,} of {name}" for name, count in self.modules.items())
        return f"{self.documents:,} images, {self.images:,} image vectors and {self.faces:,} face vectors{further}"


def landed_digest(landing: Landing) -> str:
    """Changes with what landed and was answered, and not by a compact: by the files, of which no row is read."""
    return f"{landing.index.digest()}-{landing.answer_log.digest()}"


def vectors_behind(landing: Landing, collection: str, loaded: str | None, held: int) -> str | None:
    """How a vector collection differs from what landed; None: it does not. Of OUT only ids are read, if that is so.

    Args:
        collection: `faces`, `images`, or of a module.
        loaded: what it remembers of its last load, see `VectorStore.loaded`; None: it is not there.
        held: how many vectors there are.
    """
    further = vector_fields(landing).get(collection)
    column = further.module if further is not None else COLLECTION_COLUMNS.get(collection, collection)
    if column not in landing.index.modules and not held:
        return None
    if loaded == (landing.index.digest(column) if column in landing.index.modules else None):
        return None
    if collection not in COLLECTION_COLUMNS:
        return f"the vector index holds {held:,} vectors of {collection}, and others landed"
    landed = (IDENTITIES if collection == "faces" else GROUPS).count(landing)
    return f"the vector index holds {held:,} {collection}, and {landed:,} landed; some may be of older photos"

"""What differs between Parquet and the stores, counted by kind, with the first few ids of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from pixelbrain.shown import Shown

#: `missing`: Parquet has it, the store not; `extra`: the other way round; `different`: both, with other values;
#: `damaged`: the store cannot be read.
Kind = Literal["missing", "extra", "different", "damaged"]

_IDS_KEPT = 5


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One kind of difference in one collection."""

    where: str  # such as "MongoDB images", "ChromaDB faces"
    kind: Kind
    count: int  # rows; of a collection that cannot be read, those that it should hold
    first: tuple[str, ...] = ()  # ids, five at most
    reason: str = ""

    def __str__(self) -> str:
        shown = ", ".join(map(repr, self.first)) + (", ..." if self.count > len(self.first) > 0 else "")
        return ": ".join(filter(None, (f"{self.where}: {self.count:,} {self.kind}", self.reason, shown)))


@dataclass(frozen=True, kw_only=True, repr=False)
class VerifyReport(Shown):
    """Whether MongoDB and ChromaDB hold what Parquet holds. The first three are what Parquet holds."""

    images: int
    image_vectors: int
    face_vectors: int
    refused: int  # rows that no store can hold (over 16 MB, a vector with a NaN); they are in neither
    differences: tuple[Difference, ...]
    seconds: float
    module_vectors: Mapping[str, int] = field(default_factory=dict)  # of further vectors in Parquet, by collection

    @property
    def ok(self) -> bool:
        """Nothing differs."""
        return not self.differences

    def lines(self) -> list[str]:
        """For people."""
        held = f"{self.images:,} images, {self.image_vectors:,} image vectors and {self.face_vectors:,} face vectors"
        held += "".join(f", {count:,} of {name}" for name, count in self.module_vectors.items())
        lines = [f"verify    {held} in Parquet, {self.seconds:,.0f} s"]
        if self.refused:
            lines.append(f"          {self.refused:,} rows that no store can hold are in Parquet only")
        lines += [f"          {difference}" for difference in self.differences]
        return [*lines, "          MongoDB and ChromaDB agree with it"] if self.ok else lines

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"ok": self.ok, **asdict(self)}


@dataclass(kw_only=True)
class DifferenceCounter:
    """Counts the differences of one collection."""

    where: str
    found: dict[Kind, Difference] = field(default_factory=dict)

    def add(self, kind: Kind, ids: Iterable[str]) -> None:
        """Count these."""
        if more := tuple(ids):
            so_far = self.found.get(kind, Difference(where=self.where, kind=kind, count=0))
            first = (*so_far.first, *more)[:_IDS_KEPT]
            self.found[kind] = replace(so_far, count=so_far.count + len(more), first=first)

    def whole(self, kind: Kind, count: int, reason: str) -> None:
        """All of the collection differs, for this reason."""
        self.found[kind] = Difference(where=self.where, kind=kind, count=count, reason=reason)

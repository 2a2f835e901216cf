"""Are ChromaDB's vectors what Parquet says? Each compared within float32, and by the hash that a load left with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pixelbrain.stores.chroma.health import Finding, same_direction
from pixelbrain.stores.ledger import IdLedger
from pixelbrain.stores.vectors import VectorBatch, VectorField, landed_vectors
from pixelbrain.stores.verify_report import DifferenceCounter, Kind

if TYPE_CHECKING:
    from pixelbrain.stores.chroma.collections import VectorStore

_VECTORS_AT_ONCE = 1_000


class CollectionCheck:
    """A vector collection's comparison in progress.

    Args:
        field: the vectors that landed; None: none did, and none should be there.
        store: where the vectors are; None: there is none yet.
        finding: what is wrong with the collection, seen from outside.
    """

    def __init__(
        self, name: str, field: VectorField | None, store: VectorStore | None, finding: Finding | None
    ) -> None:
        self.name = name
        self.landed = 0
        self.refused = 0
        self._field = field
        self._model = field.model if field is not None else None
        self._store = store
        self._differences = DifferenceCounter(where=f"ChromaDB {name}")
        self._ledger = IdLedger()
        self._found = 0
        self._problem = self._look(finding)

    def _look(self, finding: Finding | None) -> tuple[Kind, str] | None:
        """What is wrong with the whole collection, and the kind of it: it is not read then, which may crash."""
        if self._store is None:
            return ("missing", "nothing was loaded yet")
        if finding is not None and finding.is_damage:
            return ("damaged", finding.reason)
        theirs = self._store.model(self.name)
        if theirs is None:
            return ("missing", "there is no such collection") if self._model is not None else None
        if self._model is not None and theirs != self._model:
            return ("different", f"they are of {theirs.model}, and {self._model.model} landed")
        return None

    def add(self, table: pa.Table) -> None:
        """Compare a batch of landed rows."""
        batch = landed_vectors(self._field, table) if self._field is not None else None
        if batch is None:
            return
        finite = np.isfinite(batch.vectors).all(axis=1)
        self.refused += int((~finite).sum())
        batch = batch.take(np.flatnonzero(finite).tolist())
        self.landed += len(batch)
        if self._store is not None and self._problem is None:
            self._ledger.add(batch.ids)
            for part in batch.parts(_VECTORS_AT_ONCE):
                self._compare(self._store, part)

    def _compare(self, store: VectorStore, batch: VectorBatch) -> None:
        found = store.fetch(self.name, batch.ids)
        self._found += len(found)
        self._differences.add("missing", (one for one in batch.ids if one not in found))
        batch = batch.take([row for row, one in enumerate(batch.ids) if one in found])
        if len(batch):
            same = same_direction(np.stack([found[one][0] for one in batch.ids]), batch.vectors)
            rows = zip(batch.ids, batch.row_hashes(), same, strict=True)
            different = (one for one, row_hash, alike in rows if not alike or found[one][1] != row_hash)
            self._differences.add("different", different)

    def finish(self) -> DifferenceCounter:
        """Compare what needs all rows: vectors without one."""
        if self._problem is not None:
            kind, reason = self._problem
            if kind == "damaged" or (self._model is not None and self.landed):
                self._differences.whole(kind, self.landed, reason)
        elif self._store is not None and self._store.count(self.name) > self._found:
            for ids in self._store.iter_ids(self.name):
                self._differences.add("extra", self._ledger.unknown(ids))
        return self._differences

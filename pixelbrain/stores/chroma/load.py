"""The ChromaDB half of a load: landed vectors go in, others go, and a damaged index is written again from Parquet."""

from __future__ import annotations

import functools
import heapq
import logging
import operator

import numpy as np
import pyarrow as pa

from pixelbrain.errors import StoreError
from pixelbrain.landing.landing import Landing
from pixelbrain.stores.chroma.collections import VectorStore
from pixelbrain.stores.chroma.health import Finding, Sample, damage_of, is_damage
from pixelbrain.stores.ledger import IdLedger
from pixelbrain.stores.results import WriteResult
from pixelbrain.stores.vectors import COLLECTION_COLUMNS, VectorBatch, VectorField, landed_vectors

logger = logging.getLogger(__name__)

#: Vectors a collection that are looked for after a load; queries take 0.3 ms each (FACTS).
_SAMPLED = 200


class VectorLoad:
    """One load in progress.

    Args:
        landing: where the vectors come from, again if an index turns out to be damaged.
        fields: the vectors that landed, by their collection.
        owner: see `VectorStore.ensure`.
    """

    def __init__(self, landing: Landing, store: VectorStore, fields: dict[str, VectorField], *, owner: str) -> None:
        names = dict.fromkeys((*COLLECTION_COLUMNS, *fields))
        self.written = {name: WriteResult() for name in names}
        self.removed = 0
        self.rebuilt: list[str] = []  # what was damaged, one line each
        self._landing = landing
        self._store = store
        self._connection = store.connection
        self._where = store.connection.where
        self._fields = fields
        self._owner = owner
        self._empty: set[str] = set()  # collections of which none is asked what it has
        self._ledgers = {name: IdLedger() for name in names}
        self._kept = IdLedger()  # image_ids
        self._samples = {name: _Sampler() for name in names}

    def keep(self, image_ids: list[str]) -> None:
        """The vectors of these images, and of their faces, are there, as they landed."""
        self._kept.add(image_ids)

    def counts(self) -> dict[str, int]:
        """Vectors a collection, as Parquet has them."""
        return {name: self._count(name) for name in self._ledgers}

    def kept(self) -> int:
        """Vectors that were there, and were not compared."""
        return sum(self._count(name) - ledger.count() for name, ledger in self._ledgers.items())

    def loaded(self) -> dict[str, str | None]:
        """What each collection remembers."""
        return {name: self._store.loaded(name) for name in self._ledgers}

    def _count(self, name: str) -> int:
        # of kept images nobody knows how many there were: those that should not be there are gone
        return self._store.count(name) if self._kept.count() else self._ledgers[name].count()

    def prepare(self, *, rebuild: bool) -> None:
        """Make sure that these vectors belong here, and that writing to what is there does not crash.

        Raises:
            MixedModelsError: a collection holds another model's vectors, and not `rebuild`.
            StoreError: a collection has another space, or belongs to another OUT.
        """
        damaged: dict[str, Finding] = {}
        if not self._connection.remote:  # a server looks after itself, and may hold what is not ours
            damaged = damage_of(self._connection.examine())
        self._clear(damaged, list(self._ledgers) if rebuild else list(damaged))
        for name, field in self._fields.items():
            self._store.ensure(name, field.model, owner=self._owner)
            self._store.remember(name, "")  # a load that is cut short is not in step
            if not self._store.count(name):
                self._empty.add(name)

    def add(self, table: pa.Table) -> None:
        """Write a batch of landed rows."""
        for name, field in self._fields.items():
            if (batch := landed_vectors(field, table)) is not None:
                result = self._store.upsert(name, batch, rewrite=name in self._empty)
                self.written[name] += result
                refused = {one for one, _ in result.errors}
                self._ledgers[name].add(set(batch.ids) - refused)
                self._samples[name].add(batch, refused)

    def remove_stale(self) -> None:
        """Remove the vectors that Parquet does not have, where there may be any."""
        for name in self._store.others(self._ledgers, owner=self._owner):  # of modules that nothing is of any more
            self.removed += self._store.count(name)
            self._store.drop(name)
        for name in self._ledgers:
            self.remove_stale_of(name)

    def remove_stale_of(self, name: str) -> None:
        """The same, of one collection."""
        ledger = self._ledgers[name]
        if self._kept.count() or self._store.count(name) > ledger.count():
            self.removed += self._store.remove_where(name, functools.partial(self._stays, ledger))

    def _stays(self, ledger: IdLedger, ids: list[str]) -> np.ndarray:
        found = ledger.holds(ids)
        if self._kept.count():
            found |= self._kept.holds(ids) | self._kept.holds([one.rpartition("#")[0] for one in ids])
        return found

    def check(self) -> None:
        """See from outside that the vectors are there and find themselves; write a damaged collection again.

        Raises:
            StoreError: it is damaged again.
        """
        damaged = self._damaged()
        if not damaged:
            return
        for name in damaged:
            self._store.require_ensured(name)
        names = self._clear(damaged, list(damaged))
        for name in names:
            self._store.ensure(name, self._fields[name].model, owner=self._owner)
        for table in self._landing.iter_images(list({self._fields[name].module: None for name in names})):
            for name in names:
                if (batch := landed_vectors(self._fields[name], table)) is not None:
                    self.written[name] += WriteResult(written=self._store.upsert(name, batch, rewrite=True).written)
        for name, finding in self._damaged().items():
            raise StoreError(
                f"the index of {name} in {self._where} is damaged ({finding.reason}), also after it was written "
                "again: is the disk sound, or does another program write there?"
            )

    def finish(self) -> None:
        """Remember what was loaded, for `Database.behind`."""
        for name, field in self._fields.items():
            digest = self._landing.index.digest(field.module)
            self._store.remember(name, digest, self._store.count(name))

    def _damaged(self) -> dict[str, Finding]:
        samples = {name: self._samples[name].taken(self._count(name)) for name in self._fields}
        found = self._connection.examine(samples) if samples else {}
        for name, finding in found.items():
            if not finding.is_damage:
                logger.warning("the index of %s in %s is weak: %s", name, self._where, finding.reason)
        return damage_of(found)

    def _clear(self, damaged: dict[str, Finding], names: list[str]) -> list[str]:
        """Delete collections, or the folder if that cannot be; the names of those that are to be written again."""
        unreadable = next((finding for finding in damaged.values() if finding.kind == "folder"), None)
        if unreadable is None:
            try:
                for name in names:
                    self._store.drop(name)
            except StoreError as error:
                if self._connection.remote or not is_damage(str(error)):
                    raise
                unreadable = Finding(kind="folder", reason=str(error))
        if unreadable is not None:
            aside = self._connection.set_aside()
            self._tell(
                f"ChromaDB in {self._where} cannot be read ({unreadable.reason}): written again from Parquet, "
                f"and the old folder kept as {aside.name}"
            )
            return list(self._fields)
        for name, finding in damaged.items():
            self._tell(
                f"the index of {name} in {self._where} was damaged ({finding.reason}): written again from "
                "Parquet, into a new collection"
            )
        return [name for name in names if name in self._fields]

    def _tell(self, line: str) -> None:
        self.rebuilt.append(line)
        logger.warning("%s", line)


class _Sampler:
    """Some vectors of all that come by, each with the same chance."""

    def __init__(self) -> None:
        self._random = np.random.default_rng()
        self._best: list[tuple[float, str, np.ndarray]] = []  # those with the smallest random keys

    def add(self, batch: VectorBatch, refused: set[str]) -> None:
        """Take note of a batch, less the ids that were refused."""
        keyed = zip(self._random.random(len(batch)), batch.ids, batch.vectors, strict=True)
        # copied: a view would keep its whole batch in memory
        rows = [(key, one, vector.copy()) for key, one, vector in keyed if one not in refused]
        self._best = heapq.nsmallest(_SAMPLED, self._best + rows, key=operator.itemgetter(0))

    def taken(self, count: int) -> Sample:
        """The sample of a collection that should hold `count` vectors."""
        if not self._best:
            return Sample(count=count)
        _keys, ids, vectors = zip(*self._best, strict=True)
        return Sample(count=count, ids=ids, vectors=np.stack(vectors))

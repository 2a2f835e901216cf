"""Are MongoDB's documents what Parquet says? Each compared by the bytes of the fields that landed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bson
import pyarrow as pa

from pixelbrain.errors import StoreError
from pixelbrain.stores.ledger import IdLedger
from pixelbrain.stores.mongo.connection import MongoConnection
from pixelbrain.stores.mongo.derived import count_changes, group_changes, identity_changes
from pixelbrain.stores.mongo.documents import LANDED, column_order, documents, encode
from pixelbrain.stores.mongo.upsert import batches
from pixelbrain.stores.verify_report import DifferenceCounter


class DocumentCheck:
    """One comparison in progress; memory does not grow with the rows."""

    def __init__(self, connection: MongoConnection) -> None:
        self.refused = 0
        self._connection = connection
        self._documents = connection.database["images"]
        self._images = DifferenceCounter(where="MongoDB images")
        self._ledger = IdLedger()

    def add(self, table: pa.Table) -> None:
        """Compare a batch of landed rows."""
        wanted: dict[str, bytes] = {}
        for document in documents(table):
            try:
                wanted[document["_id"]] = encode(document).bson
            except StoreError:
                self.refused += 1  # an older version of it may be there
                self._ledger.add([document["_id"]])
        known = {name: table.schema.field(name).type for name in column_order(table)}
        fields = dict.fromkeys(known, 1)
        found = self._connection.patiently(
            lambda: {one["_id"]: one for one in self._documents.find({"_id": {"$in": list(wanted)}}, fields)}
        )
        self._ledger.add(wanted)
        self._images.add("missing", (one for one in wanted if one not in found))
        there = ((one, encoded) for one, encoded in wanted.items() if one in found)
        self._images.add("different", (one for one, encoded in there if not _same(encoded, found[one], known)))

    def finish(self, identities: pa.Table, groups: pa.Table, names: Mapping[str, str]) -> list[DifferenceCounter]:
        """Compare what needs all rows: documents without a row, people, and groups."""
        return self._connection.patiently(lambda: [self._with_extra(), *self._later_tables(identities, groups, names)])

    def _with_extra(self) -> DifferenceCounter:
        extra = DifferenceCounter(where=self._images.where)
        for ids in batches(document["_id"] for document in self._documents.find(LANDED, {"_id": 1})):
            extra.add("extra", self._ledger.unknown(ids))
        return DifferenceCounter(where=extra.where, found={**self._images.found, **extra.found})

    def _later_tables(
        self, identities: pa.Table, groups: pa.Table, names: Mapping[str, str]
    ) -> list[DifferenceCounter]:
        """What storing these tables would change."""
        people = DifferenceCounter(where="MongoDB people of images")
        for changes in identity_changes(self._documents, identities, everywhere=True):
            people.add("different", (one for one, _update in changes))
        counts = DifferenceCounter(where="MongoDB identities")
        collection = self._connection.database["identities"]
        current = IdLedger()
        for changes in count_changes(collection, identities, current, names):
            counts.add("different", (one for one, _update in changes))
        counts.add("extra", current.unknown([one["_id"] for one in collection.find({}, {"_id": 1})]))
        grouped = DifferenceCounter(where="MongoDB groups of images")
        for changes in group_changes(self._documents, groups):
            grouped.add("different", (one for one, _update in changes))
        return [people, counts, grouped]


def _same(wanted: bytes, found: dict[str, Any], known: dict[str, pa.DataType]) -> bool:
    """Whether the document's landed fields encode to the same bytes."""
    values = {name: _landed(found[name], kind) for name, kind in known.items() if name in found}
    return bson.encode(values) == wanted


def _landed(value: Any, kind: pa.DataType) -> Any:
    """The part of a stored value that a load writes: fields that the schema does not know are users' or people's."""
    if isinstance(value, dict) and pa.types.is_struct(kind):
        fields = (kind.field(i) for i in range(kind.num_fields))
        return {field.name: _landed(value[field.name], field.type) for field in fields if field.name in value}
    if isinstance(value, list) and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return [_landed(item, kind.value_type) for item in value]
    return value

"""Landed rows as MongoDB's documents, without vectors; and what MongoDB will have of a document, or why it cannot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import bson
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from pixelbrain import schema
from pixelbrain.errors import StoreError

#: Finds the documents that a load wrote, as opposed to those that a user added. The index on `status` answers it.
LANDED: dict[str, Any] = {"status": {"$in": [str(status) for status in schema.Status]}}

#: MongoDB's 16 MB, less room for the id and the hash.
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024 - 16 * 1024
#: https://www.mongodb.com/docs/manual/reference/limits/; mongod 6 refuses a whole batch for one beyond 200.
MAX_DEPTH = 100
_REASON_LENGTH = 200
_BASE_NAMES = tuple(field.name for field in schema.BASE_FIELDS)


def documents(table: pa.Table) -> Iterator[dict[str, Any]]:
    """One document a row: `_id` and the base fields, and one sub-document a module, embeddings left out.

    What is null in a base field or a whole module is None in the document (an upsert then removes the field); inside
    a module, null fields are left out.
    """
    names = column_order(table)[len(_BASE_NAMES) :]
    lean = pa.table({name: _without_embeddings(table[name].combine_chunks()) for name in names}) if names else None
    base_rows = table.select(_BASE_NAMES).to_pylist()
    module_rows = lean.to_pylist() if lean is not None else [{}] * len(base_rows)
    for base, modules in zip(base_rows, module_rows, strict=True):
        yield {"_id": base["image_id"], **base, **{name: _without_nulls(value) for name, value in modules.items()}}


def column_order(table: pa.Table) -> list[str]:
    """The columns in the order in which `documents` has them: the base fields, then the others."""
    return [*_BASE_NAMES, *(name for name in table.column_names if name not in _BASE_NAMES)]


class EncodedDocument(NamedTuple):  # which is made in a third of the time of a frozen dataclass
    """A document as MongoDB will have it, encoded once: what is hashed is what is sent."""

    bson: bytes  # without `_id`, and without what is None
    gone: tuple[str, ...]  # names of what is None, sorted: fields that the document is not to have

    def row_hash(self) -> str:
        """16 hex digits that change with any value, or with which are absent."""
        gone = repr(list(self.gone)).encode() if self.gone else b"[]"
        return hashlib.blake2b(self.bson + gone, digest_size=8).hexdigest()

    def update(self, *, row_hash: str | None = None) -> dict[str, Any]:
        """The update that makes the stored document this one; empty if it has nothing to say."""
        encoded = self.bson if row_hash is None else _with_hash(self.bson, row_hash)
        update: dict[str, Any] = {}
        if len(encoded) > _EMPTY_BYTES:
            update["$set"] = RawBSONDocument(encoded)
        if self.gone:
            update["$unset"] = dict.fromkeys(self.gone, "")
        return update


_EMPTY_BYTES = len(bson.encode({}))
_HASH_BYTES = len(bson.encode({"row_hash": "0" * 16})) - _EMPTY_BYTES
_ROW_HASH = bson.encode({"row_hash": "0" * 16})[4:-18]  # up to the digits, which two zeros end
#: Before the name of each dict and each list in BSON; as many are in a document, at least, as it is levels deep.
_DICT, _LIST = b"\x03", b"\x04"
_DEEP_BYTES = MAX_DEPTH * 7  # a level has one of these, the zero of a name, a length, and a zero
_PLAIN = frozenset({str, int, float, bool, type(None)})


def _with_hash(encoded: bytes, row_hash: str) -> bytes:
    """A BSON document, which is its length in 4 bytes, its fields, and a zero, with another field."""
    length = len(encoded) + _HASH_BYTES
    return b"".join((length.to_bytes(4, "little"), encoded[4:-1], _ROW_HASH, row_hash.encode(), b"\0\0"))


def encode(document: Mapping[str, Any]) -> EncodedDocument:
    """A document with `_id` as MongoDB will have it. numpy's scalars and arrays are taken.

    Raises:
        StoreError: MongoDB cannot have it; the message says why, in few words.
    """
    values = dict(document)
    one = values.pop("_id")
    gone = [key for key, value in values.items() if value is None]
    for key in gone:
        del values[key]
    try:
        try:
            encoded = bson.encode(values)
            as_it_is = len(encoded) < _DEEP_BYTES or encoded.count(_DICT) + encoded.count(_LIST) < MAX_DEPTH
        except (BSONError, OverflowError, RecursionError, TypeError, ValueError):
            as_it_is = False
        if not as_it_is:  # has what is not Python's own, or may be too deep: looked at value by value, 4 times as slow
            encoded = bson.encode({key: plain(value) for key, value in values.items()})
        if type(one) is str:
            one.encode()
        else:
            bson.encode({"_id": one})
    except UnicodeEncodeError as error:
        raise StoreError(f"not text that UTF-8 can hold: {error.reason}") from None
    except (BSONError, OverflowError, TypeError, ValueError) as error:
        raise StoreError(" ".join(f"{type(error).__name__}: {error}".split())[:_REASON_LENGTH]) from None
    if len(encoded) > MAX_DOCUMENT_BYTES:
        raise StoreError(f"{len(encoded):,} bytes; MongoDB takes documents of 16 MB at most")
    if "" in values:
        raise StoreError("a field without a name")
    return EncodedDocument(encoded, tuple(sorted(gone)))


def plain(value: Any, *, depth: int = MAX_DEPTH) -> Any:
    """The value as Python's own types, which is what BSON takes: no numpy, no tuples or sets, no enums.

    Raises:
        ValueError: nested deeper than `depth`.
    """
    if type(value) in _PLAIN:  # nearly all of them
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), depth=depth)
    if isinstance(value, str):  # an enum that is a str too
        return str.__str__(value)
    if not isinstance(value, Mapping | list | tuple | set | frozenset):
        return value
    if depth <= 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth=depth - 1) for key, item in value.items()}
    items = sorted(value) if isinstance(value, set | frozenset) else value
    return [plain(item, depth=depth - 1) for item in items]


def shown(one: Any) -> str:
    """An id that any log and any JSON file can hold."""
    return str(one).encode("utf-8", "backslashreplace").decode()


def _without_embeddings(array: pa.Array) -> pa.Array:
    """The same structs, and structs in lists, without the fields named `embedding`."""
    kind = array.type
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        fields = [field for field in fields if field.name != "embedding"]
        children = [_without_embeddings(pc.struct_field(array, field.name)) for field in fields]
        if not children:
            return pa.nulls(len(array))
        return pa.StructArray.from_arrays(children, names=[field.name for field in fields], mask=array.is_null())
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        values = _without_embeddings(pc.list_flatten(array))
        return pa.ListArray.from_arrays(pa.array(offsets), values, mask=array.is_null())
    return array


def _without_nulls(value: Any) -> Any:
    """Without the fields of dicts that are None; lists keep their places."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value

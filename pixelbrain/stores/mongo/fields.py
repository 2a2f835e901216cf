"""Fields of the images in MongoDB: store, read, find, count, and write them to a CSV file."""

from __future__ import annotations

import itertools
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pymongo import ASCENDING, DESCENDING
from pymongo.collection import Collection

from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.storage.tables import write_csv
from pixelbrain.stores.mongo.documents import plain, shown
from pixelbrain.stores.mongo.upsert import batches, upsert_batch
from pixelbrain.stores.results import WriteResult

logger = logging.getLogger(__name__)

#: What a document has for our own use, `image_id` being there, too.
_OUR_OWN = ("_id", "row_hash")

#: The columns of `export_csv` when none are named.
CSV_FIELDS = (
    "image_id",
    "status",
    "error_type",
    "error",
    "resnet.label",
    "resnet.label_score",
    "facenet.n_faces",
    "identities",
    "group_id",
)

_PART = re.compile(r"[^.$\0][^.\0]*")
_VECTOR = (
    "an array: vectors are searched in ChromaDB, where a module's embeddings are; store value.tolist() to keep it as a "
    "list of numbers"
)
# operators that run JavaScript inside the server
_REFUSED_OPERATORS = frozenset({"$where", "$function", "$accumulator"})


@dataclass(frozen=True, kw_only=True)
class FieldSummary:
    """A field over all images. Elements of lists count one by one."""

    field: str
    count: int  # values that are there and not null
    distinct: int
    numbers: int  # of them, numbers other than NaN
    min: float | None  # of the numbers
    max: float | None
    mean: float | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def check_field(field: str) -> str:
    """The field's name, if it is one: dots separate the levels, no part is empty or starts with `$`.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(field, str) or not all(_PART.fullmatch(part) for part in field.split(".")):
        raise ConfigError(f"{field!r} is not a field: names separated by dots, none empty or beginning with $")
    return field


def check_filter(query: Mapping[str, Any] | None, path: Callable[[str], str] = str) -> dict[str, Any]:
    """A MongoDB filter, if its fields are fields and it runs no JavaScript; otherwise `ConfigError` is raised.

    `path`: where documents have what users call so.
    """
    if query is None:
        return {}
    if not isinstance(query, Mapping):
        raise ConfigError(f"a filter is a mapping such as {{'status': 'ok'}}, not {query!r}")
    _check_keys(query)
    try:
        return _by_path(plain(query), path)
    except ValueError as error:
        raise ConfigError(f"this filter cannot be asked: {error}") from None


def _by_path(query: dict[str, Any], path: Callable[[str], str]) -> dict[str, Any]:
    """The filter over the documents as they are; inside a field's condition, names are of its own parts."""
    return {
        (key if key.startswith("$") else path(key)): (
            [_by_path(part, path) if isinstance(part, dict) else part for part in value]
            if key in ("$and", "$or", "$nor") and isinstance(value, list)
            else value
        )
        for key, value in query.items()
    }


def _check_keys(value: Any) -> None:
    if isinstance(value, list | tuple):
        for item in value:
            _check_keys(item)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key in _REFUSED_OPERATORS:
                raise ConfigError(f"{key} is refused in filters: it runs code inside the server")
            if not (isinstance(key, str) and re.fullmatch(r"\$[a-zA-Z]+", key)):
                check_field(key)
            _check_keys(item)


def sort_keys(sort: str | Sequence[str] | None, path: Callable[[str], str] = str) -> list[tuple[str, int]]:
    """`"field"` rising, `"-field"` falling, or several of them; by id without. For `path`, see `check_filter`."""
    names = [sort] if isinstance(sort, str) else list(sort or ["_id"])
    return [(path(check_field(n.removeprefix("-"))), DESCENDING if n.startswith("-") else ASCENDING) for n in names]


def store_field(images: Collection, field: str, values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> WriteResult:
    """See `Database.store_field`."""
    result = WriteResult()
    missing: list[tuple[str, str]] = []
    for batch in batches(values.items() if isinstance(values, Mapping) else values):
        ids = [image_id for image_id, _ in batch if shown(image_id) == image_id]  # others cannot be asked for
        there = {document["_id"] for document in images.find({"_id": {"$in": ids}}, {"_id": 1})}
        missing += [
            (shown(one), "not in the database") for one in dict.fromkeys(one for one, _ in batch) if one not in there
        ]
        arrays = {one for one, value in batch if isinstance(value, np.ndarray) and value.ndim}
        documents = [{"_id": one, field: value} for one, value in batch if one in there - arrays]
        result += upsert_batch(images, documents, landed=False, rewrite=False, make=False)
        result += WriteResult(errors=tuple((one, _VECTOR) for one in sorted(there & arrays)))
    if missing:
        logger.warning(
            "%s is not set of %d images that are not in the database, such as %s", field, len(missing), missing[0][0]
        )
    if result.errors:
        first, reason = result.errors[0]
        raise StoreError(f"{len(result.errors)} values of {field} were refused; of {first}: {reason}")
    return result + WriteResult(errors=tuple(missing))


def get_field(images: Collection, field: str, image_ids: Iterable[str] | None) -> dict[str, Any]:
    """image_id -> value, of the images that have it; all images without `image_ids`."""
    check_field(field)
    queries = [{}] if image_ids is None else ({"_id": {"$in": ids}} for ids in batches(image_ids))
    return {
        document["_id"]: value
        for query in queries
        for document in images.find({"$and": [query, {field: {"$exists": True}}]}, {field: 1})
        if (value := _value(document, field)) is not None
    }


def summarize(images: Collection, field: str, path: str) -> FieldSummary:
    """Counts of a field's values, and minimum, maximum and mean of its numbers; the documents have it at `path`."""
    number = {"$cond": [{"$and": [{"$isNumber": "$v"}, {"$ne": ["$v", float("nan")]}]}, "$v", None]}
    totals = [
        {"$project": {"number": number}},
        {
            "$group": {
                "_id": None,
                "count": {"$sum": 1},
                "numbers": {"$sum": {"$cond": [{"$eq": ["$number", None]}, 0, 1]}},
                "min": {"$min": "$number"},
                "max": {"$max": "$number"},
                "mean": {"$avg": "$number"},
            }
        },
        {"$project": {"_id": 0}},
    ]
    nothing = {"count": 0, "numbers": 0, "min": None, "max": None, "mean": None}
    values = _values(path)
    found = next(images.aggregate([*values, *totals], allowDiskUse=True), nothing)
    distinct = next(images.aggregate([*values, {"$group": {"_id": "$v"}}, {"$count": "n"}], allowDiskUse=True), {})
    return FieldSummary(field=field, distinct=distinct.get("n", 0), **found)


def most_common(images: Collection, field: str, n: int) -> list[tuple[Any, int]]:
    """The n most frequent values with their counts, most frequent first, then in MongoDB's order of values."""
    if n < 1:
        raise ConfigError(f"n is {n}: at least 1")
    steps = [
        *_values(field),
        {"$group": {"_id": "$v", "count": {"$sum": 1}}},
        {"$sort": {"count": DESCENDING, "_id": ASCENDING}},
        {"$limit": n},
    ]
    return [(found["_id"], found["count"]) for found in images.aggregate(steps, allowDiskUse=True)]


def export_csv(images: Collection, file: Path, fields: Mapping[str, str]) -> int:
    """Write one line an image, in the order of their ids; returns how many. Lists are joined with `;`.

    `fields`: by the name of a column, where the documents have it.
    """
    for field in fields:
        check_field(field)
    documents = images.find({}, _projection(fields.values())).sort("_id", ASCENDING)
    rows = ([_cell(_value(document, path)) for path in fields.values()] for document in documents)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return write_csv(file, list(fields), rows)
    except OSError as error:
        raise StoreError(f"cannot write {file}: {error.strerror or error}") from None


def all_fields(images: Collection) -> dict[str, str]:
    """All that documents have, the parts of structs each by itself, for `export_csv`; every document is read for it."""
    found = itertools.chain.from_iterable(_leaves(document) for document in images.find().sort("_id", ASCENDING))
    return {path: path for path in dict.fromkeys(found) if path not in _OUR_OWN}


def _leaves(value: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, inner in value.items():
        if isinstance(inner, Mapping) and inner and all(map(_PART.fullmatch, inner)):
            yield from _leaves(inner, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def _projection(paths: Iterable[str]) -> dict[str, int]:
    """What to fetch for these paths: MongoDB does not take both a field and a part of it."""
    chosen = set(paths)
    return {path: 1 for path in chosen if not any(path.startswith(f"{other}.") for other in chosen)}


def check_documents(documents: Iterable[Mapping[str, Any]], errors: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """The documents with their `_id`; those that can be none go to `errors`."""
    for number, document in enumerate(documents, start=1):
        image_id = document.get("image_id", document.get("_id"))
        if not isinstance(image_id, str) or not image_id:
            errors.append((f"document {number}", "it has no image_id (its URI, a string)"))
            continue
        bad = [name for name in document if name != "_id" and not (isinstance(name, str) and _PART.fullmatch(name))]
        if bad:
            why = f"the field {shown(bad[0])!r}: names have no dots, no leading $, and are not empty"
            errors.append((shown(image_id), why))
            continue
        yield {**document, "_id": image_id, "image_id": image_id}


def _values(field: str) -> list[dict[str, Any]]:
    """Aggregation steps that yield one {v} a value: lists are opened, and lists of them once more."""
    check_field(field)
    return [
        {"$project": {"_id": 0, "v": f"${field}"}},
        {"$unwind": "$v"},
        {"$unwind": "$v"},
        {"$match": {"v": {"$ne": None}}},
    ]


def _value(document: Any, field: str) -> Any:
    """The value at a dotted path; of a list of documents, the list of their values."""
    head, _, rest = field.partition(".")
    if isinstance(document, list):
        return [_value(item, field) for item in document]
    if not isinstance(document, Mapping):
        return None
    return _value(document.get(head), rest) if rest else document.get(head)


def _cell(value: Any) -> Any:
    if isinstance(value, list) and not any(isinstance(item, Mapping | list) for item in value):
        return ";".join("" if item is None else str(item) for item in value)
    return json.dumps(value, default=str) if isinstance(value, Mapping | list) else value

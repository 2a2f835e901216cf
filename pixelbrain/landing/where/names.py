"""What an expression over an OUT may name, as columns: what landed, answers, people, groups, fields of users."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.errors import ConfigError
from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.digests import DigestTable, digest_ids, sort_digests
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.registry import read_registry
from pixelbrain.landing.where.language import Condition, names_in, parse_where, same_name
from pixelbrain.storage.file_uri import shown_path

#: What later stages say of an image: its people, each once, by their ids; the group that it looks like; and its people
#: by their names or ids, as people say them: none where nobody is known.
_DERIVED = {
    "identities": pa.list_(pa.string()),
    "group_id": pa.string(),
    "people": pa.list_(pa.string()),
    "person": pa.list_(pa.string()),
}
_NAMED = ("people", "person")
_SHORT_TYPES = {"label": pa.string(), "label_score": pa.float32(), "n_faces": pa.int32()}
#: How a module may be called, too: by what it finds.
_ALIASES = {"faces": "facenet"}
_VERSIONED = ["image_id", "version"]


def read_where(
    landing: Landing,
    text: str | None,
    stored: Callable[[str], Mapping[str, Any]] = lambda _name: {},
    coming: Sequence[pa.Field] = (),
) -> Condition | None:
    """Check an expression over what has landed; None for none.

    Args:
        landing: what has landed.
        text: the expression.
        stored: image_id -> value of a field that users stored elsewhere; asked for the names that did not land.
        coming: columns that will have landed when the expression is asked for, though they have not yet.

    Raises:
        ConfigError: see `landing.where.language`; or a stored field has values of several types.
    """
    if text is None:
        return None
    wanted = names_in(text)
    empty = pa.schema(schema.BASE_FIELDS).empty_table()
    landed = next(landing.iter_images(vectors=False, images=np.arange(min(landing.count_images(), 1))), empty)
    for field in coming:
        landed = landed.drop_columns([field.name] if field.name in landed.column_names else [])
        landed = landed.append_column(field, pa.nulls(len(landed), field.type))
    known = _columns(landed)
    types = {name: column().type for name, column in known.items()}
    names = wanted - types.keys()
    beside = pa.table({"image_id": landing.index.image_id})
    values: dict[str, Collection[str]] = {}
    for name, kind in _DERIVED.items():
        if name not in types:
            found = _derived(landing, name) if name in names else {}
            beside = _append(beside, name, found, kind)
            if name in names and name in _NAMED:
                values[name] = {one for people in found.values() for one in people}
    for name in sorted(names - _DERIVED.keys()):
        if found := dict(stored(name)):
            beside = _append(beside, name, found)
    where = parse_where(text, types | {field.name: field.type for field in list(beside.schema)[1:]}, values)
    return dataclasses.replace(where, beside=beside.select(["image_id", *sorted(where.types.keys() & names)]))


def mask(where: Condition, table: pa.Table, start: int = 0) -> pa.BooleanArray:
    """Which rows of `Landing.iter_images` the expression is true for; no nulls. start: where they begin, as a rule."""
    known = _columns(table)
    flat = pa.table({"image_id": table["image_id"], **{n: known[n]() for n in where.types.keys() & known.keys()}})
    absent = where.types.keys() - {*flat.column_names, *where.beside.column_names}  # of a module that no row here has
    if len(names := where.beside.column_names[1:]):
        beside = where.beside.slice(start, len(table))
        if not beside["image_id"].equals(table["image_id"]):  # OUT was compacted meanwhile
            beside = where.beside.take(pc.index_in(table["image_id"], where.beside["image_id"].combine_chunks()))
        for name in names:
            flat = flat.append_column(name, beside[name])
    for name in absent:
        flat = flat.append_column(name, pa.nulls(len(table), where.types[name]))
    return where.mask(flat)


def choose_images(
    landing: Landing, where: Condition | None, also: Callable[[dict[str, Any]], Any] | None = None
) -> pa.Table:
    """The images, `image_id` and `version` of each, for which the expression is true; all without one.

    Args:
        also: of those, only the ones for whose row it returns what is true: a dict of what has landed, without vectors.

    Raises:
        LandingError: OUT cannot be read.
    """
    heads = {schema.SHORT_NAMES.get(name, name).partition(".")[0] for name in (where.types if where else ())}
    modules = sorted({_ALIASES.get(head, head) for head in heads}) if also is None else None
    found = [pa.schema([schema.MANIFEST_SCHEMA.field(name) for name in _VERSIONED]).empty_table()]
    start = 0
    for table in landing.iter_images(modules, vectors=False, batch_rows=10_000):
        end = start + len(table)
        if where is not None:
            table = table.filter(mask(where, table, start))
        start = end
        if also is not None:
            rows = [row | {"path": shown_path(row["image_id"])} for row in table.to_pylist()]
            table = table.filter(pa.array([bool(also(row)) for row in rows], pa.bool_()))
        found.append(table.select(_VERSIONED).cast(found[0].schema))
    return pa.concat_tables(found)


class Chosen:
    """Which rows of a listing are images that were chosen, in the state in which they were: 16 bytes each.

    Args:
        images: of `choose_images`.
    """

    def __init__(self, images: pa.Table) -> None:
        digests = _digests(images)
        order, first = sort_digests(digests)
        self._digests = DigestTable(digests[order[first]])

    def __call__(self, table: pa.Table) -> pa.BooleanArray:
        return pa.array(self._digests.find(_digests(table)) >= 0)


def _digests(table: pa.Table) -> np.ndarray:
    """uint64 (n, 2): of an image and the state of it."""
    return digest_ids(pc.binary_join_element_wise(table["image_id"], table["version"], "\0"))


def most_common_person(landing: Landing) -> str | None:
    """The id of whoever is in most images; nobody who is hidden. None: nobody is known."""
    people, hidden = IDENTITIES.read(landing).rows, read_registry(landing.storage).hidden
    if people is None:
        return None
    seen = people.filter(pc.is_valid(people["identity_id"])).group_by("identity_id")
    counts = seen.aggregate([("image_id", "count_distinct")])
    counts = counts.sort_by([("image_id_count_distinct", "descending"), ("identity_id", "ascending")])
    return next((one for one in counts["identity_id"].to_pylist() if one not in hidden), None)


def _columns(table: pa.Table) -> dict[str, Callable[[], pa.Array]]:
    """What rows say, by name, each made when it is called for: base columns, short names, answers, `module.field`."""
    found: dict[str, Callable[[], pa.Array]] = {}
    for field in schema.BASE_FIELDS:
        found[field.name] = lambda name=field.name: table[name].combine_chunks()  # type: ignore[misc]
    for name, kind in _SHORT_TYPES.items():
        found[name] = lambda kind=kind: pa.nulls(len(table), kind)  # type: ignore[misc]
    paths: dict[str, Callable[[], pa.Array]] = {}
    for field in table.schema:
        if pa.types.is_struct(field.type):
            paths |= _of_module(field, lambda name=field.name: table[name].combine_chunks())  # type: ignore[misc]
    found |= {name: paths[path] for name, path in schema.SHORT_NAMES.items() if path in paths}
    found |= {name: column for name, column in paths.items() if name not in found}
    found.setdefault("path", lambda: pa.array(map(shown_path, table["image_id"].to_pylist()), pa.string()))
    return found


def _of_module(field: pa.Field, column: Callable[[], pa.Array]) -> dict[str, Callable[[], pa.Array]]:
    """What a module says, or an answer."""
    inside = _inside(field.type, column)
    if "answer" in inside:  # an asked field goes by its own name
        answer = inside.pop("answer")
        return {field.name: answer, **{f"{field.name}.{path}": inner for path, inner in inside.items()}}
    found = {field.name: column, **{f"{field.name}.{path}": inner for path, inner in inside.items()}}
    for alias in (alias for alias, module in _ALIASES.items() if module == field.name):
        short = {path: inner for path, inner in inside.items() if not path.startswith(f"{alias}.")}
        found |= {alias: column, **{f"{alias}.{path}": inner for path, inner in short.items()}}
    return found


def _inside(kind: pa.DataType, column: Callable[[], pa.Array]) -> dict[str, Callable[[], pa.Array]]:
    """The fields of a struct, by their path, and those of structs in it; of a list of structs, lists of their fields.

    These go by their own names, too, where the struct has no other field that is called so.
    """
    found: dict[str, Callable[[], pa.Array]] = {}
    in_lists: dict[str, Callable[[], pa.Array]] = {}
    for field in kind:
        found[field.name] = here = _field(column, field.name)
        if pa.types.is_struct(field.type):
            found |= {f"{field.name}.{path}": inner for path, inner in _inside(field.type, here).items()}
        elif pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type):
            each = {inner.name: _each(here, inner.name) for inner in field.type.value_type}
            in_lists |= each
            found |= {f"{field.name}.{name}": inner for name, inner in each.items()}
    return in_lists | found


def _field(column: Callable[[], pa.Array], name: str) -> Callable[[], pa.Array]:
    return lambda: pc.struct_field(column(), name)


def _each(column: Callable[[], pa.Array], name: str) -> Callable[[], pa.ListArray]:
    """Of lists of structs, lists of one of their fields."""

    def made() -> pa.ListArray:
        lists = column()
        ends = np.cumsum([0, *pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)])
        values = pc.struct_field(pc.list_flatten(lists), name)
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values, mask=pc.is_null(lists))

    return made


def _derived(landing: Landing, name: str) -> dict[str, Any]:
    """image_id -> what a later stage says of it."""
    column = "group_id" if name == "group_id" else "identity_id"
    table = GROUPS.read(landing).rows if name == "group_id" else IDENTITIES.read(landing).rows
    if table is None and name in _NAMED:
        raise ConfigError(f"where: {name} is not known before people are found: `pixelbrain identify` finds them")
    if table is None:
        return {}
    seen = table.filter(pc.is_valid(table[column])).group_by("image_id").aggregate([(column, "distinct")])
    found = dict(zip(seen["image_id"].to_pylist(), seen[f"{column}_distinct"].to_pylist(), strict=True))
    if name == "group_id":
        return {one: group for one, (group,) in found.items()}
    return found if name == "identities" else dict(_named(landing, found))


def _named(landing: Landing, people: Mapping[str, list[str]]) -> Iterator[tuple[str, list[str]]]:
    """People by their names and ids, of every image that landed."""
    names = read_registry(landing.storage).names
    for image_id in landing.index.image_id.to_pylist():
        found = people.get(image_id, ())
        yield image_id, [same_name(one) for who in found for one in (who, names.get(who)) if one]


def _append(beside: pa.Table, name: str, values: Mapping[str, Any], kind: pa.DataType | None = None) -> pa.Table:
    if not values:
        return beside.append_column(name, pa.nulls(len(beside), kind))
    try:
        column = pa.array([values.get(one) for one in beside["image_id"].to_pylist()], kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        why = f"where: the stored field {name} has values of several types, and cannot be compared"
        raise ConfigError(why) from None
    return beside.append_column(name, column)

"""The tables that are exported, images, faces, people and so on, in columns that any format can hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from pixelbrain import schema
from pixelbrain.identity.lookalikes.alike import found_alike
from pixelbrain.landing.derived import GROUPS, IDENTITIES, landed_maps
from pixelbrain.landing.duplicates.choices import ChoiceLog
from pixelbrain.landing.duplicates.read import read_duplicates, with_choices
from pixelbrain.landing.faces import face_results, join_results
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.registry import Registry, read_registry
from pixelbrain.report.labels import shown_from
from pixelbrain.storage.file_uri import shown_path

_OWN_MODULES = frozenset({"resnet", "facenet"})  # their fields have columns with names of their own
_WHERE = [("image_id", pa.string()), ("path", pa.string())]  # on disk; elsewhere it is the URI
_BOX = ("face_id", "x1", "y1", "x2", "y2", "score")
_WHOSE = ("identity_id", "distance", "assigned")

# what later versions add comes behind what was there: some programs count columns
_IMAGES = pa.schema(
    [
        *((name, pa.string()) for name in ("image_id", "status", "error", "label")),
        ("label_score", pa.float32()),
        ("n_faces", pa.int32()),
        ("identities", pa.string()),  # joined with ;
        ("path", pa.string()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("taken_at", pa.string()),
        ("labels", pa.string()),  # the best, likeliest first, joined with ;
        ("group_id", pa.string()),
    ]
)
_FACES = pa.schema(
    [
        ("image_id", pa.string()),
        *(schema.FACE_SCHEMA.field(name) for name in (*_BOX, "identity_id")),
        ("path", pa.string()),
        *(schema.FACE_SCHEMA.field(name) for name in ("sharpness", *_WHOSE[1:])),
    ]
)
_PEOPLE = pa.schema(
    [
        ("identity_id", pa.string()),
        ("n_faces", pa.int64()),
        ("n_images", pa.int64()),
        ("face_id", pa.string()),  # the one that is most like all of them
        *_WHERE,  # of that face's image
    ]
)
_GROUPS = pa.schema([("group_id", pa.string()), *_WHERE, ("distance", pa.float32())])
_DUPLICATES = pa.schema(
    [
        ("duplicate_id", pa.string()),
        ("propose", pa.string()),  # keep or drop
        *_WHERE,
        *(schema.DUPLICATE_SCHEMA.field(name) for name in ("kind", "why", "copy_of", "bits", "similarity")),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes", pa.int64()),
        ("chosen", pa.string()),  # best, keep or drop, by somebody; null: as it was found
    ]
)
_LOOKALIKES = pa.schema(
    [
        ("group_id", pa.string()),
        *(
            _DUPLICATES.field(name)
            for name in ("propose", "image_id", "path", "why", "width", "height", "bytes", "chosen")
        ),
    ]
)
_MAPS = pa.schema([("by", pa.string()), ("face_id", pa.string()), *_WHERE, ("x", pa.float32()), ("y", pa.float32())])
_ANSWERS = pa.schema(
    [*_WHERE, *((name, pa.string()) for name in ("field", "answer", "status", "model", "error_type", "error"))]
)


@dataclass(frozen=True, kw_only=True)
class ExportTable:
    """What is written: rows of these columns."""

    columns: pa.Schema
    rows: Iterator[pa.Table]


def images_table(landing: Landing, min_label_score: float | None = None) -> ExportTable:
    """A row an image, with the label where it is likely enough; see `report.labels.shown_from`."""
    columns, least = _images_schema(landing), shown_from(landing, min_label_score)
    return ExportTable(columns=columns, rows=_images(landing, columns, least))


def faces_table(landing: Landing) -> ExportTable:
    """A row a face, in the order of the images; what modules say of each face is in columns `module.field`."""
    known = read_registry(landing.storage)
    columns = _with(_FACES, "name", known)
    kinds = face_results(landing.index)
    said = [(f"{name}.{field.name}", field.type) for name, kind in kinds.items() for field in kind]
    columns = pa.schema([*columns, *((name, kind) for name, kind in said if _is_scalar(kind))])
    return ExportTable(columns=columns, rows=_faces(landing, columns, known, kinds))


def people_table(landing: Landing) -> ExportTable:
    """A row a person; those with the most faces first."""
    table = IDENTITIES.read(landing).rows
    if table is None:
        return ExportTable(columns=_PEOPLE, rows=iter(()))
    table = table.filter(pc.is_valid(table["identity_id"])).sort_by(
        [("distance", "ascending"), ("face_id", "ascending")]
    )
    people = table.group_by("identity_id", use_threads=False).aggregate(
        [("face_id", "count"), ("image_id", "count_distinct"), ("face_id", "first"), ("image_id", "first")]
    )
    people = people.sort_by([("face_id_count", "descending"), ("identity_id", "ascending")])
    values = [people[name] for name in ("identity_id", "face_id_count", "image_id_count_distinct", "face_id_first")]
    rows = pa.table([*values, people["image_id_first"], _paths(people["image_id_first"])], names=_PEOPLE.names)
    known, ids = read_registry(landing.storage), people["identity_id"].to_pylist()
    columns = _with(_PEOPLE, "name", known)
    if "name" in columns.names:
        rows = rows.append_column("name", pa.array(known.called(ids), pa.string()))
    if known.hidden:
        columns = columns.append(pa.field("hidden", pa.bool_()))
        rows = rows.append_column("hidden", pa.array([one in known.hidden for one in ids], pa.bool_()))
    return ExportTable(columns=columns, rows=iter([rows.cast(columns)]))


def _with(columns: pa.Schema, name: str, known: Registry) -> pa.Schema:
    """And names, where anybody has one."""
    return columns.append(pa.field(name, pa.string())) if known.names else columns


def groups_table(landing: Landing) -> ExportTable:
    """A row an image that looks like others, group by group; the nearest to its group's mean first."""
    table = GROUPS.read(landing).rows
    if table is None:
        return ExportTable(columns=_GROUPS, rows=iter(()))
    table = table.filter(pc.is_valid(table["group_id"])).sort_by([("group_id", "ascending"), ("distance", "ascending")])
    table = table.append_column("path", _paths(table["image_id"]))
    return ExportTable(columns=_GROUPS, rows=iter([table.select(_GROUPS.names).cast(_GROUPS)]))


def duplicates_table(landing: Landing) -> ExportTable:
    """A row an image that is there more than once, group by group; the one to keep first."""
    return _alike_table(landing, read_duplicates(landing), _DUPLICATES)


def lookalikes_table(landing: Landing) -> ExportTable:
    """A row an image that looks like others, group by group; the best first. Dropped are those that somebody chose."""
    found = found_alike(landing)
    chosen = None if found is None else with_choices(found, ChoiceLog(landing.storage).read(), drops=False)
    return _alike_table(landing, chosen, _LOOKALIKES)


def _alike_table(landing: Landing, table: pa.Table | None, schema_: pa.Schema) -> ExportTable:
    if table is None or not len(table):
        return ExportTable(columns=schema_, rows=iter(()))
    order = [("duplicate_id", "ascending"), ("keep", "descending"), ("image_id", "ascending")]
    table = table.sort_by(order)
    sizes = pa.concat_tables(
        one.select(["image_id", "width", "height", "size_bytes"]).filter(pc.is_in(one["image_id"], table["image_id"]))
        for one in landing.iter_images([])
    )
    sizes = sizes.take(pc.index_in(table["image_id"], sizes["image_id"].combine_chunks()))
    columns = {name: table[name] for name in table.column_names} | {"group_id": table["duplicate_id"]}
    columns |= {"width": sizes["width"], "height": sizes["height"], "bytes": sizes["size_bytes"]}
    columns |= {"path": _paths(table["image_id"]), "propose": pc.if_else(table["keep"], "keep", "drop")}
    rows = pa.table({name: columns[name].cast(schema_.field(name).type) for name in schema_.names})
    return ExportTable(columns=schema_, rows=iter([rows]))


def maps_table(landing: Landing) -> ExportTable:
    """A row a place on a map, map by map, in the order of the ids."""

    def rows() -> Iterator[pa.Table]:
        for by, one in landed_maps(landing).items():
            table = one.rows(landing).sort_by(one.key)
            columns = {name: table[name] for name in _MAPS.names if name in table.column_names}
            columns |= {"by": pa.array([by] * len(table), pa.string()), "path": _paths(table["image_id"])}
            columns.setdefault("face_id", pa.nulls(len(table), pa.string()))
            yield pa.table({name: columns[name] for name in _MAPS.names}).cast(_MAPS)

    return ExportTable(columns=_MAPS, rows=rows())


def answers_table(landing: Landing) -> ExportTable:
    """A row an image and field that was asked about."""
    return ExportTable(columns=_ANSWERS, rows=_answers(landing))


#: What can be exported, by its name: of what landed, and the least probability of a label.
EXPORT_TABLES: Mapping[str, Callable[[Landing, float | None], ExportTable]] = {
    "images": images_table,
    "faces": lambda landing, _min_label_score: faces_table(landing),
    "people": lambda landing, _min_label_score: people_table(landing),
    "groups": lambda landing, _min_label_score: groups_table(landing),
    "answers": lambda landing, _min_label_score: answers_table(landing),
    "duplicates": lambda landing, _min_label_score: duplicates_table(landing),
    "lookalikes": lambda landing, _min_label_score: lookalikes_table(landing),
    "maps": lambda landing, _min_label_score: maps_table(landing),
}


def of_images(table: str, landing: Landing, images: pa.ChunkedArray | None, least: float | None) -> ExportTable:
    """One of `EXPORT_TABLES`, of the images with these ids; people are those in them, with all their photos."""
    found = EXPORT_TABLES[table](landing, least)
    if images is None:
        return found
    key, wanted = "image_id", images
    if table == "people":
        people = IDENTITIES.read(landing).rows
        people = schema.IDENTITY_SCHEMA.empty_table() if people is None else people
        key, wanted = "identity_id", people.filter(pc.is_in(people["image_id"], images.combine_chunks()))["identity_id"]
    values = wanted.drop_null().combine_chunks()
    rows = (rows.filter(pc.is_in(rows[key], values)) for rows in found.rows)
    return ExportTable(columns=found.columns, rows=rows)


# --- images ----------------------------------------------------------------------------------------------------------


def _images_schema(landing: Landing) -> pa.Schema:
    """The columns of images; users' fields as the newest run that has them wrote them."""
    fields = {field.name: field for field in _IMAGES}
    for part in sorted(landing.parts, key=lambda part: -part.generation):
        for name in sorted(part.modules.keys() - _OWN_MODULES):
            for field in part.columns.field(name).type:
                if _is_scalar(field.type) or _is_texts(field.type):
                    kind = field.type if _is_scalar(field.type) else pa.string()
                    fields.setdefault(f"{name}.{field.name}", pa.field(f"{name}.{field.name}", kind))
    for name, question in _asked(landing).items():
        kind = landing.answers[question].kind
        fields[name] = pa.field(name, kind if _is_scalar(kind) else pa.string())
    return _with(pa.schema(list(fields.values())), "names", read_registry(landing.storage))


def _asked(landing: Landing) -> dict[str, str]:
    """The column of each question: its own name, where no other column is called so."""
    ours = {*_IMAGES.names, "names"}
    return {f"{name}.answer" if name in ours else name: name for name in landing.answers}


def _is_scalar(kind: pa.DataType) -> bool:
    """Whether all three formats can hold it."""
    number = types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)
    return number or types.is_string(kind) or types.is_large_string(kind) or types.is_temporal(kind)


def _is_texts(kind: pa.DataType) -> bool:
    """Whether it is a list of texts, such as keywords: they are joined."""
    return types.is_list(kind) and (types.is_string(kind.value_type) or types.is_large_string(kind.value_type))


def _images(landing: Landing, columns: pa.Schema, least: float) -> Iterator[pa.Table]:
    identities = _by_key(IDENTITIES.read(landing).rows, "face_id", "identity_id")
    groups = _by_key(GROUPS.read(landing).rows, "image_id", "group_id")
    called = read_registry(landing.storage).names
    names = {face: called[who] for face, who in identities.items() if who in called}
    asked = _asked(landing)
    for table in landing.iter_images(vectors=False):
        ids = table["image_id"].to_pylist()
        score = _field(table, "resnet", "label_score").cast(pa.float32())
        sure = pc.fill_null(pc.greater_equal(score, least), False)
        arrays: dict[str, Any] = {
            "path": _paths(table["image_id"]),
            "bytes": table["size_bytes"],
            "label": pc.if_else(sure, _field(table, "resnet", "label"), None),
            "label_score": score,
            "labels": _joined_labels(table),
            "n_faces": _field(table, "facenet", "n_faces"),
            "identities": _joined_identities(table, identities),
            "group_id": pa.array([groups.get(one) for one in ids], pa.string()),
            "names": _joined_identities(table, names),
        }
        for name in columns.names:
            if name in asked:
                arrays[name] = _answer(table, asked[name])
            elif name not in arrays:
                module, dot, field = name.partition(".")
                arrays[name] = _field(table, module, field) if dot else table[name]
                if _is_texts(arrays[name].type):
                    arrays[name] = _as_text(arrays[name])
        yield pa.table({name: arrays[name].cast(columns.field(name).type) for name in columns.names}, schema=columns)


def _by_key(table: pa.Table | None, key: str, value: str) -> Mapping[str, str]:
    """A column by another one, where it is not null."""
    if table is None:
        return {}
    table = table.filter(pc.is_valid(table[value]))
    return dict(zip(table[key].to_pylist(), table[value].to_pylist(), strict=True))


def _paths(ids: pa.ChunkedArray) -> pa.Array:
    return pa.array(map(shown_path, ids.to_pylist()), pa.string())


def _field(table: pa.Table, module: str, field: str) -> pa.ChunkedArray:
    """One field of a module's struct; nulls if there is none."""
    if module in table.column_names:
        struct = table[module]
        if types.is_struct(struct.type) and struct.type.get_field_index(field) >= 0:
            return pc.struct_field(struct, field)
    return pa.chunked_array([pa.nulls(len(table))])


def _joined_labels(table: pa.Table) -> pa.Array:
    best = _field(table, "resnet", "top_k").to_pylist()
    return pa.array(
        [None if one is None else ";".join(label["label"] or "" for label in one) for one in best], pa.string()
    )


def _joined_identities(table: pa.Table, identities: Mapping[str, str]) -> pa.Array:
    """Who is in each image, each once, in the order of the faces; null where nobody is."""
    joined = []
    for faces in _field(table, "facenet", "faces").to_pylist():
        found = (identities.get(face["face_id"]) for face in faces or ())
        joined.append(";".join(dict.fromkeys(name for name in found if name is not None)) or None)
    return pa.array(joined, pa.string())


def _answer(table: pa.Table, name: str) -> pa.ChunkedArray:
    """An asked field's answers; what not every format can hold as text."""
    answers = _field(table, name, "answer")
    return answers if _is_scalar(answers.type) else _as_text(answers)


def _as_text(answers: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray:
    """Lists of tags joined with ;, objects as JSON, other values as they are written."""
    if _is_scalar(answers.type):
        return answers.cast(pa.string())
    texts = [
        None if value is None else ";".join(value) if isinstance(value, list) else json.dumps(value)
        for value in answers.to_pylist()
    ]
    return pa.chunked_array([pa.array(texts, pa.string())])


# --- faces and answers -----------------------------------------------------------------------------------------------


def _faces(
    landing: Landing, wanted: pa.Schema, registry: Registry, kinds: Mapping[str, pa.StructType]
) -> Iterator[pa.Table]:
    people = IDENTITIES.read(landing).rows
    people = schema.IDENTITY_SCHEMA.empty_table() if people is None else people
    known = people["face_id"].combine_chunks()
    for table in landing.iter_images(["facenet", *kinds], vectors=False):
        lists = _field(table, "facenet", "faces").combine_chunks()
        if types.is_null(lists.type):
            continue
        faces = pc.list_flatten(lists)
        columns = {name: pc.struct_field(faces, name) for name in (*_BOX, "sharpness")}
        columns["image_id"] = table["image_id"].take(pc.list_parent_indices(lists))
        columns["path"] = _paths(columns["image_id"])
        found = people.take(pc.index_in(columns["face_id"], known))
        columns |= {name: found[name] for name in _WHOSE}
        columns["name"] = pa.array(registry.called(found["identity_id"].to_pylist()), pa.string())
        for name, said in join_results(table, faces, kinds).items():
            columns |= {f"{name}.{field.name}": pc.struct_field(said, field.name) for field in said.type}
        yield pa.table({name: columns[name] for name in wanted.names}).cast(wanted)


def _answers(landing: Landing) -> Iterator[pa.Table]:
    for field in landing.answers:
        for table in landing.iter_images([field]):
            asked = table.filter(pc.is_valid(table[field]))
            found, of = asked[field], asked["image_id"]
            columns = {name: pc.struct_field(found, name) for name in _ANSWERS.names[4:]}
            columns |= {"image_id": of, "path": _paths(of), "answer": _as_text(pc.struct_field(found, "answer"))}
            columns["field"] = pa.array([field] * len(of), pa.string())
            yield pa.table({name: columns[name] for name in _ANSWERS.names}).cast(_ANSWERS)

"""The tables as one file for other programs: CSV, JSON lines or Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.landing.landing import Landing
from pixelbrain.report.labels import shown_from
from pixelbrain.storage.tables import TABLE_SUFFIXES, write_table

EXPORT_TABLES = ("images", "faces")

_OWN_MODULES = frozenset({"resnet", "facenet"})  # their fields have columns with names of their own
_IMAGES = [
    *(pa.field(name, pa.string()) for name in ("image_id", "status", "error", "label")),
    pa.field("label_score", pa.float32()),
    pa.field("n_faces", pa.int32()),
    pa.field("identities", pa.string()),  # joined with ;
]
_FACES = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("face_id", pa.string()),
        *(pa.field(name, pa.float32()) for name in ("x1", "y1", "x2", "y2", "score")),
        pa.field("identity_id", pa.string()),
    ]
)


def export(
    landing: Landing,
    file: Path,
    table: Literal["images", "faces"] = "images",
    *,
    min_label_score: float | None = None,
) -> int:
    """Write the landed images or faces to one file, which is complete or absent.

    images: image_id, status, error, label, label_score, n_faces, identities (joined with ;), and the scalar fields of
    users' own modules as `<module>.<field>`, answers by their field (tags joined with ;, objects as JSON). faces:
    image_id, face_id, x1, y1, x2, y2 (pixels of the upright original), score, identity_id.

    A label of less probability than `min_label_score` is null; its `label_score` stays, and tells it from one that was
    not asked for. With 0 every image has its likeliest label.

    In CSV null is an empty field and an empty text is `""`; in the other two null is null. Data is written as it is: a
    file name that starts with `=` or `@` is not defused, and a spreadsheet may take it for a formula. Import such a
    CSV as text.

    Args:
        landing: the landed tables.
        file: its ending is .csv, .jsonl or .parquet, in any case of letters. Replaced if it is there.
        table: "images" (one row an image) or "faces" (one row a face).
        min_label_score: the least probability of a label; the classifier's own by default, see `report.labels`.

    Returns:
        Rows written.

    Raises:
        ConfigError: another ending, another table, no such folder, or a `min_label_score` that is no probability.
        LandingError: the landed tables cannot be read, or the file cannot be written.
    """
    file = Path(file)
    if file.suffix.lower() not in TABLE_SUFFIXES:
        raise ConfigError(f"cannot export to {file.name!r}: its name must end in {', '.join(TABLE_SUFFIXES)}")
    if table not in EXPORT_TABLES:
        raise ConfigError(f"no table {table!r}: choose one of {', '.join(EXPORT_TABLES)}")
    if not file.absolute().parent.is_dir():
        raise ConfigError(f"no folder {file.absolute().parent} to write {file.name} to: make it first")
    columns = _images_schema(landing) if table == "images" else _FACES
    identities = _identities(landing)
    least = shown_from(landing, min_label_score)
    images = _image_tables(landing, columns, identities, least)
    rows = images if table == "images" else _face_tables(landing, identities)
    try:
        return write_table(file, columns, rows)
    except OSError as error:
        raise LandingError(f"cannot write {file}: {error.strerror or error}") from None


def _identities(landing: Landing) -> Mapping[str, str]:
    """face_id to identity_id, of the assigned faces."""
    table = landing.read_identities()
    if table is None:
        return {}
    table = table.filter(pc.is_valid(table["identity_id"]))
    return dict(zip(table["face_id"].to_pylist(), table["identity_id"].to_pylist(), strict=True))


def _images_schema(landing: Landing) -> pa.Schema:
    """The columns of images; users' fields as the newest run that has them wrote them."""
    fields = {field.name: field for field in _IMAGES}
    seen: set[tuple[int, str]] = set()
    for part in sorted(landing.parts, key=lambda part: -part.generation):
        new = {(part.generation, name) for name in part.modules if name not in _OWN_MODULES} - seen
        if not new:
            continue  # the parts of one run have the same columns
        seen |= new
        with part.open() as file:
            columns = file.schema_arrow
        for _, name in sorted(new):
            for field in columns.field(name).type:
                if _is_scalar(field.type):
                    fields.setdefault(f"{name}.{field.name}", pa.field(f"{name}.{field.name}", field.type))
    for name, answers in landing.answers.items():
        kind = answers.type.field("answer").type
        fields[name] = pa.field(name, kind if _is_scalar(kind) else pa.string())
    return pa.schema(list(fields.values()))


def _is_scalar(kind: pa.DataType) -> bool:
    """Whether all three formats can hold it."""
    number = types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)
    return number or types.is_string(kind) or types.is_large_string(kind) or types.is_temporal(kind)


def _image_tables(
    landing: Landing, columns: pa.Schema, identities: Mapping[str, str], least: float
) -> Iterator[pa.Table]:
    for table in landing.iter_images(vectors=False):
        arrays = {name: table[name] for name in ("image_id", "status", "error")}
        score = _field(table, "resnet", "label_score").cast(pa.float32())
        sure = pc.fill_null(pc.greater_equal(score, least), False)
        arrays["label"] = pc.if_else(sure, _field(table, "resnet", "label"), None)
        arrays["label_score"] = score
        arrays["n_faces"] = _field(table, "facenet", "n_faces")
        arrays["identities"] = _joined_identities(table, identities)
        for name in columns.names[len(arrays) :]:
            module, dot, field = name.partition(".")
            arrays[name] = _field(table, module, field) if dot else _answer(table, name)
        yield pa.table({name: arrays[name].cast(columns.field(name).type) for name in columns.names}, schema=columns)


def _field(table: pa.Table, module: str, field: str) -> pa.ChunkedArray:
    """One field of a module's struct; nulls if there is none."""
    if module in table.column_names:
        struct = table[module]
        if types.is_struct(struct.type) and struct.type.get_field_index(field) >= 0:
            return pc.struct_field(struct, field)
    return pa.chunked_array([pa.nulls(len(table))])


def _answer(table: pa.Table, name: str) -> pa.ChunkedArray:
    """An asked field's answers; lists of tags joined with ;, and objects as JSON."""
    answers = _field(table, name, "answer")
    if _is_scalar(answers.type):
        return answers
    texts = [
        None if value is None else ";".join(value) if isinstance(value, list) else json.dumps(value)
        for value in answers.to_pylist()
    ]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _joined_identities(table: pa.Table, identities: Mapping[str, str]) -> pa.ChunkedArray:
    """Who is in each image, each once, in the order of the faces; null where nobody is."""
    joined = []
    for faces in _field(table, "facenet", "faces").to_pylist():
        found = (identities.get(face["face_id"]) for face in faces or ())
        joined.append(";".join(dict.fromkeys(name for name in found if name is not None)) or None)
    return pa.chunked_array([pa.array(joined, pa.string())])


def _face_tables(landing: Landing, identities: Mapping[str, str]) -> Iterator[pa.Table]:
    for table in landing.iter_images(["facenet"], vectors=False):
        lists = _field(table, "facenet", "faces").combine_chunks()
        if types.is_null(lists.type):
            continue
        faces = pa.table({name: pc.struct_field(pc.list_flatten(lists), name) for name in _FACES.names[1:-1]})
        image_ids = table["image_id"].take(pc.list_parent_indices(lists))
        assigned = pa.array([identities.get(face) for face in faces["face_id"].to_pylist()], pa.string())
        yield pa.table([image_ids, *faces.columns, assigned], names=_FACES.names).cast(_FACES)

"""Small pictures of images and faces, for the gallery: made where the pixels are, beside the rows until they land."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.images.decode import DecodedImage
from pixelbrain.images.thumbnail import Box, encode_faces, encode_thumbnail

#: How the columns of pictures are called that travel with the rows, until these land.
_PICTURES = "pictures."
_TYPE = pa.list_(pa.struct(list(schema.PICTURE_SCHEMA)[2:]))

#: The whole image's, one a row; null where it could not be opened.
THUMBNAIL = pa.field(f"{_PICTURES}image", _TYPE)


def thumbnail_of(image: DecodedImage) -> list[dict[str, Any]]:
    """The value of `THUMBNAIL`."""
    return [{"box": None, "picture": encode_thumbnail(image)}]


def add_faces(rows: pa.Table, module: str, good: Sequence[int], inputs: Sequence[Any]) -> pa.Table:
    """The rows with crops of the faces in a module's column beside them.

    Nothing is added where the column has none, or the module's inputs, those of the good rows, are no decoded images.
    """
    column = rows[module].combine_chunks()
    images = [(row, one) for row, one in zip(good, inputs, strict=True) if isinstance(one, DecodedImage)]
    if not images or column.type.get_field_index("faces") < 0:
        return rows
    faces = pc.struct_field(column, "faces")
    corners = [pc.struct_field(pc.list_flatten(faces), name).to_pylist() for name in ("x1", "y1", "x2", "y2")]
    boxes: list[list[Box]] = [[] for _ in range(len(rows))]
    for row, *box in zip(pc.list_parent_indices(faces).to_pylist(), *corners, strict=True):
        boxes[row].append(tuple(box))
    turned = column.type.get_field_index("turn") >= 0
    turns = pc.struct_field(column, "turn").cast(pa.int32()).fill_null(0).to_pylist() if turned else [0] * len(rows)
    found: list[list[dict[str, Any]] | None] = [None] * len(rows)
    for row, image in images:
        crops = zip(boxes[row], encode_faces(image, boxes[row], turns[row]), strict=True)
        found[row] = [{"box": box, "picture": picture} for box, picture in crops]
    return rows.append_column(_PICTURES + module, pa.array(found, _TYPE))


def take_pictures(rows: pa.Table) -> tuple[pa.Table, pa.Table | None]:
    """The rows without their pictures, and these as rows of `schema.PICTURE_SCHEMA`; None: none were asked for."""
    columns = [name for name in rows.column_names if name.startswith(_PICTURES)]
    if not columns:
        return rows, None
    tables = []
    for name in columns:
        lists = rows[name].combine_chunks()
        ids = rows.select(["image_id", "version"]).take(pc.list_parent_indices(lists))
        box, picture = pc.list_flatten(lists).flatten()
        tables.append(pa.table([*ids.columns, box, picture], schema=schema.PICTURE_SCHEMA))
    return rows.drop_columns(columns), pa.concat_tables(tables)

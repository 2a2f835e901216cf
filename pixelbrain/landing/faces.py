"""What modules say of faces that another one found, see `modules.faces.module`, joined to these as they are now."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.errors import MixedModelsError
from pixelbrain.landing.index import LandedIndex

#: The module that finds them.
FINDER = "facenet"
_WHOSE = frozenset(field.name for field in schema.WHOSE_FIELDS)


def face_results(index: LandedIndex) -> dict[str, pa.StructType]:
    """By module, what it says of each face: the own fields of its faces, without vectors.

    Of modules whose column is of two kinds, see `LandedIndex.columns`, none.
    """
    try:
        columns = index.columns
    except MixedModelsError:
        return {}
    vectors = {f"{name}.{path}" for part in index.parts for name, s in part.modules.items() for path in s.vectors or ()}
    found = {}
    for name in index.modules:
        fields = own_fields(columns.field(name).type) if name in columns.names else []
        if fields := [field for field in fields if f"{name}.faces.{field.name}" not in vectors]:
            found[name] = pa.struct(fields)
    return {name: kind for name, kind in found.items() if name != FINDER}


def own_fields(kind: pa.DataType) -> list[pa.Field]:
    """What a module's struct says of faces, beyond whose they are; nothing where it is not of faces."""
    at = kind.get_field_index("faces") if pa.types.is_struct(kind) else -1
    face = kind.field(at).type.value_type if at >= 0 and pa.types.is_list(kind.field(at).type) else pa.null()
    if not pa.types.is_struct(face) or not {field.name for field in face} >= _WHOSE:
        return []
    return [field for field in face if field.name not in _WHOSE]


def join_results(table: pa.Table, faces: pa.StructArray, kinds: Mapping[str, pa.StructType]) -> dict[str, pa.Array]:
    """What the modules of a table of images say of these faces: a struct a face; null: nothing of this one.

    Args:
        table: of `Landing.iter_images`, or with the columns of these modules alone.
        faces: of `FINDER`, in any order.
        kinds: of `face_results`.
    """
    found = {}
    for name, kind in kinds.items():
        if name not in table.column_names or pa.types.is_null(table[name].type):
            found[name] = pa.nulls(len(faces), kind)
            continue
        said = pc.list_flatten(pc.struct_field(table[name].combine_chunks(), "faces"))
        at = pc.index_in(pc.struct_field(faces, "face_id"), pc.struct_field(said, "face_id"))
        said = said.take(at)
        # an id alone says little: after another detection it may be another face's
        same = [pc.equal(*(pc.struct_field(of, box.name) for of in (said, faces))) for box in schema.BOX_FIELDS]
        fits = pc.fill_null(functools.reduce(pc.and_, same), False)
        values = [
            pc.struct_field(said, field.name).cast(field.type) if said.type.get_field_index(field.name) >= 0
            else pa.nulls(len(said), field.type)
            for field in kind
        ]  # fmt: skip
        found[name] = pa.StructArray.from_arrays(values, fields=list(kind), mask=pc.invert(fits))
    return found

"""Column names, Arrow types, ids and statuses: what lands in Parquet, and its meaning.

`OUT/images/*.parquet` has one row an image: `BASE_FIELDS`, and one struct column a module. Every module's struct
holds the module's own fields and then `error_type` and `error` (both null when it succeeded).
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow as pa

from pixelbrain.errors import ConfigError


class Status(str, enum.Enum):
    """What became of an image."""

    OK = "ok"
    FAILED = "failed"
    PRUNED = "pruned"  # it is gone from its source, and so are its rows: readers never see it

    def __str__(self) -> str:
        return self.value


#: The columns of every image's row, whatever happened to it.
BASE_FIELDS: tuple[pa.Field, ...] = (
    pa.field("image_id", pa.string(), nullable=False),  # its URI
    pa.field("version", pa.string(), nullable=False),  # ETag, or "mtime_ns-size"
    pa.field("size_bytes", pa.int64()),
    pa.field("sha256", pa.string()),  # of the encoded bytes, hex
    pa.field("format", pa.string()),  # Pillow's name of it: JPEG, PNG, ...
    pa.field("width", pa.int32()),  # pixels of the upright original
    pa.field("height", pa.int32()),
    pa.field("taken_at", pa.string()),  # as the camera wrote it: ISO 8601, with the offset from UTC where it knew it
    pa.field("status", pa.string(), nullable=False),
    pa.field("error_type", pa.string()),
    pa.field("error", pa.string()),
)

#: What a source yields: an image that is there, before a byte of it is read.
MANIFEST_SCHEMA = pa.schema(BASE_FIELDS[:3])

#: The version of what was not asked for its version, or did not say it: an image that landed counts as unchanged.
UNKNOWN_VERSION = "listed"

#: How a module's struct ends; both are null when it succeeded.
ERROR_FIELDS = BASE_FIELDS[-2:]

_Kind = Literal["module", "question", "field"]

#: What the classifier and the faces say has short names: in exports, in `where`, and as fields of the images.
SHORT_NAMES = {"label": "resnet.label", "label_score": "resnet.label_score", "n_faces": "facenet.n_faces"}

#: Names that are taken in every OUT: what they are there, the kinds of thing that may not be called so, and the names.
RESERVED_NAMES: dict[str, tuple[tuple[_Kind, ...], tuple[str, ...]]] = {
    "columns of every image": (("module", "question", "field"), tuple(field.name for field in BASE_FIELDS)),
    "fields of every document in MongoDB": (
        ("module", "question", "field"),
        ("_id", "row_hash", "identities", "group_id", "group_distance"),
    ),
    # also before they have landed anything
    "modules that come along": (("question",), ("clip", "clip_labels", "exif", "facenet", "quality", "resnet")),
    "columns of every export": (("question", "field"), tuple(SHORT_NAMES)),
    "words of filters": (
        ("module", "question", "field"),
        ("and", "contains", "false", "in", "is", "not", "null", "or", "true"),
    ),
    "folder of answers on their way": (("question",), ("journal",)),
    "vectors of all faces": (("module",), ("faces",)),  # a module's vectors are called as it is
    "steps of every run": (("module",), ("decode", "images", "land", "list")),  # its actor pools are called so, or were
}


def embedding_type(dim: int) -> pa.DataType:
    """A vector of `dim` float32."""
    return pa.list_(pa.float32(), dim)


def vector_fields(kind: pa.DataType) -> dict[str, int]:
    """The vectors of a module's struct, as it is declared, and how many numbers each has.

    One is a list of float32 with a size: in the struct itself ("embedding"), or in each struct of a list in it
    ("faces.embedding"). Whatever is one can be searched and grouped by, whichever module it is of.
    """
    found: dict[str, int] = {}
    for field in (kind.field(i) for i in range(kind.num_fields)) if pa.types.is_struct(kind) else ():
        if pa.types.is_fixed_size_list(field.type) and field.type.value_type == pa.float32():
            found[field.name] = field.type.list_size
        elif _is_list(field.type):  # a list in a list of structs is no list of an image's things
            inner = vector_fields(field.type.value_type).items()
            found |= {f"{field.name}.{name}": dim for name, dim in inner if "." not in name}
    return {name: dim for name, dim in found.items() if dim}


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)


def as_landed(kind: pa.DataType) -> pa.DataType:
    """A type as it is written: lists without a size. pyarrow before 26 cannot read one with a size where any is null.

    So pandas, Ray and Daft could not read a table with an image that failed.
    """
    if pa.types.is_struct(kind):
        return pa.struct([f.with_type(as_landed(f.type)) for f in map(kind.field, range(kind.num_fields))])
    if _is_list(kind):
        return pa.list_(as_landed(kind.value_type))
    return kind


def common_type(kinds: Sequence[pa.DataType]) -> pa.DataType:
    """A type for the values of all: structs with the fields of all.

    Raises:
        pa.ArrowInvalid, pa.ArrowTypeError: there is none, as for a text and a number.
    """
    return pa.unify_schemas([pa.schema([("", kind)]) for kind in kinds], promote_options="permissive").field(0).type


def classifier_fields(dim: int) -> list[pa.Field]:
    """A classifier's struct: its best label, the `top_k` best with probabilities, and a pooled embedding."""
    return [
        pa.field("label", pa.string()),
        pa.field("label_score", pa.float32()),  # probability, 0 to 1
        pa.field("top_k", pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32())]))),
        pa.field("embedding", embedding_type(dim)),  # not normalised
    ]


#: Of a face: pixels of the upright original, x to the right, y down.
BOX_FIELDS = tuple(pa.field(name, pa.float32()) for name in ("x1", "y1", "x2", "y2"))

#: By what a result about a face says whose it is: after another detection its id may be another face's.
WHOSE_FIELDS = (pa.field("face_id", pa.string()), *BOX_FIELDS)


def faces_fields(dim: int) -> list[pa.Field]:
    """A face module's struct: all faces of the image, ordered by position (top to bottom, left to right)."""
    face = pa.struct(
        [
            pa.field("face_id", pa.string()),  # image_id + "#" + index by position
            *BOX_FIELDS,
            # left eye, right eye, nose, left and right corner of the mouth: x, y each; with a size it were a vector
            pa.field("landmarks", pa.list_(pa.float32())),
            pa.field("score", pa.float32()),  # detection probability, 0 to 1
            pa.field("sharpness", pa.float32()),  # variance of the Laplacian of the 160 px grey crop
            pa.field("upright", pa.float32()),  # below 0: the detector is surer of it turned; see modules.faces.looks
            pa.field("visible", pa.float32()),  # below 1: an eye or the mouth is covered; see modules.faces.looks
            pa.field("embedding", embedding_type(dim)),  # L2-normalised
        ]
    )
    return [
        pa.field("n_faces", pa.int32()),
        pa.field("turn", pa.int32()),  # 0, 90, 180 or 270: clockwise degrees to turn the photo by, for its faces
        pa.field("faces", pa.list_(face)),
    ]


def module_struct(fields: list[pa.Field]) -> pa.StructType:
    """The struct column of a module with these fields of its own."""
    return pa.struct([*fields, *ERROR_FIELDS])


#: What a row of a later stage was derived from; all null in tables of older versions. Readers drop what no longer fits.
ORIGIN_FIELDS = (
    pa.field("image_version", pa.string()),
    pa.field("computed_by", pa.string()),  # hash of the module's settings and model
)

#: `OUT/identities/identities.parquet`: one row a face.
IDENTITY_SCHEMA = pa.schema(
    [
        pa.field("face_id", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("identity_id", pa.string()),  # null: unassigned
        pa.field("distance", pa.float32()),  # cosine distance to the identity's mean, 0 to 2; null: unassigned
        # how: clustered, late, single, gated, see identity.people; by_hand, removed, rejected, see identity.corrections
        pa.field("assigned", pa.string(), nullable=False),
        *ORIGIN_FIELDS,
        *BOX_FIELDS,  # of the face that was looked at: after another detection its id may be another face's
        # what the clustering alone says of it, so that any correction can be taken back; null: as the columns above
        pa.field("found_as", pa.string()),
        pa.field("found_how", pa.string()),
    ]
)

#: `OUT/people/people.parquet`: one row a person that ever was, for life.
PERSON_SCHEMA = pa.schema(
    [
        pa.field("identity_id", pa.string(), nullable=False),
        pa.field("name", pa.string()),  # null: nobody ever said; "": none any more
        pa.field("hidden", pa.bool_(), nullable=False),
        pa.field("n_faces", pa.int64(), nullable=False),  # 0: all of them are gone, or somebody else's
        pa.field("redirected_to", pa.string()),  # who has its faces since two people turned out to be one
        # its most typical faces, nearest to its mean first, of different photos
        pa.field(
            "exemplars",
            pa.list_(
                pa.struct(
                    [*((name, pa.string()) for name in ("face_id", "image_id", "image_version")), *BOX_FIELDS],
                )
            ),
        ),
        pa.field("sum", pa.list_(pa.float32())),  # of its faces' unit vectors; null: they are not known
        pa.field("settings", pa.string()),  # JSON: model, strategy and threshold by which it was last found
    ]
)

#: `OUT/faces/*.parquet`: one row a face, for other people's programs; it can be written again from the other tables.
FACE_SCHEMA = pa.schema(
    [
        pa.field("face_id", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        # pixels of the upright original, x to the right, y down
        *(pa.field(name, pa.float32()) for name in ("x1", "y1", "x2", "y2", "score", "sharpness")),
        pa.field(
            "identity_id", pa.string()
        ),  # the rest as in `IDENTITY_SCHEMA`; null before `pixelbrain identify`, too
        pa.field("distance", pa.float32()),
        pa.field("assigned", pa.string()),
    ]
)

#: `OUT/groups/groups.parquet`: one row an image that has a vector.
GROUP_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("group_id", pa.string()),  # null: like no other image
        pa.field("distance", pa.float32()),  # cosine distance to the group's mean; null: ungrouped
        *ORIGIN_FIELDS,
    ]
)

#: `OUT/duplicates/duplicates.parquet`: one row an image that could be read.
DUPLICATE_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("duplicate_id", pa.string()),  # of its group; null: there is no other one like it
        pa.field("keep", pa.bool_(), nullable=False),  # the best of its group, or without one
        pa.field("kind", pa.string()),  # exact, near or burst; null: it is kept
        pa.field("copy_of", pa.string()),  # the better image_id; null: it is kept
        pa.field("why", pa.string()),  # for people: why it is the best, or what it has in common with the better one
        pa.field("bits", pa.int16()),  # of the 64 of the perceptual hashes, how many differ; null: not by them
        pa.field("similarity", pa.float32()),  # cosine of the vectors; null: not by them
        *ORIGIN_FIELDS,
    ]
)

_PLACE_FIELDS = (
    pa.field("x", pa.float32(), nullable=False),  # of no unit: only what is near to what counts
    pa.field("y", pa.float32(), nullable=False),
    pa.field(
        "settings", pa.string(), nullable=False
    ),  # JSON, the same in all rows: how they were laid out, and the map's id
)

#: `OUT/maps/NAME.parquet`, of vectors of images: one row an image that has one.
MAP_SCHEMA = pa.schema([pa.field("image_id", pa.string(), nullable=False), *_PLACE_FIELDS, *ORIGIN_FIELDS])

#: The same of faces.
FACE_MAP_SCHEMA = pa.schema([pa.field("face_id", pa.string(), nullable=False), *MAP_SCHEMA, *BOX_FIELDS])

#: The folder of OUT that holds small pictures of the images, and the columns of its files: one row a picture.
PICTURES = "thumbnails"
PICTURE_SCHEMA = pa.schema(
    [
        *MANIFEST_SCHEMA.remove(2),  # image_id and version
        # x1, y1, x2, y2 in pixels of the upright original; null: the whole image
        pa.field("box", pa.list_(pa.float32())),
        pa.field("picture", pa.binary(), nullable=False),  # JPEG, see images.thumbnail
    ]
)


def check_name(kind: _Kind, name: str, **of_this_out: Iterable[str]) -> None:
    """Refuse a name under which a module's column, an answer or a user's field would meet something else.

    Args:
        kind: what is to be called so.
        name: the name; of a dotted field, the part before the first dot.
        of_this_out: the names that OUT has, by their kind, such as `modules=` and `questions=`.

    Raises:
        ConfigError: it is taken; the message says by what, and which names are.
    """
    taken = {what: names for what, (kinds, names) in RESERVED_NAMES.items() if kind in kinds}
    taken |= {f"{kinds} of this OUT": tuple(names) for kinds, names in of_this_out.items()}
    for what, names in taken.items():
        if name in names:
            raise ConfigError(
                f"the {kind} {name!r} needs another name: this one is kept by Pixelbrain itself, for the {what} "
                f"({', '.join(sorted(names))})"
            )


def field_path(name: str, questions: Container[str]) -> str:
    """Where a document of an image has what users call so: the short names, and an answer by its question's field.

    Other names, and those with dots, stand for themselves.
    """
    return f"{name}.answer" if name in questions else SHORT_NAMES.get(name, name)


def face_id(image_id: str, index: int) -> str:
    """The id of an image's index-th face (faces ordered by position)."""
    return f"{image_id}#{index}"


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Which model computed a column. Vectors of two models never meet in one index."""

    model: str  # such as "facenet-vggface2", "resnet50"
    weights_sha256: str
    dim: int = 0  # of its embedding; 0: it has none

    def as_dict(self) -> dict[str, Any]:
        """For JSON and for metadata."""
        return asdict(self)


def settings_hash(settings: dict[str, Any]) -> str:
    """12 hex digits that change when a module's settings do."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]

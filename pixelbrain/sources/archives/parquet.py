"""Images in a column of Parquet: Hugging Face's struct {bytes, path}, or plain bytes; read a row group at a time."""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources.archives.ranged import open_ranged
from pixelbrain.sources.base import ImageBytes, check_image_size

if TYPE_CHECKING:
    import pyarrow.parquet as pq

#: Of row groups that stay in memory: the images of a block are of one or two.
_KEPT_GROUPS = 2
#: Columns, in small letters, by which a file is a list, where no struct is there.
LIST_COLUMNS = ("uri", "url", "path")
_GROUP_BYTES = 1 << 30  # larger ones are not read: an image would take seconds and gigabytes

_guard = threading.Lock()  # many threads want images of one group: one reads it
_kept: collections.OrderedDict[tuple[str, str, str | None], tuple[int, pa.Array]] = collections.OrderedDict()


def image_columns(schema: pa.Schema) -> list[str]:
    """The columns that hold images: structs with `bytes`; only where there is none, those of bytes."""
    structs = [field.name for field in schema if pa.types.is_struct(field.type) and _bytes_type(field.type)]
    return structs or [field.name for field in schema if _is_binary(field.type)]


def choose_column(schema: pa.Schema, column: str | None) -> str:
    """The column that holds the images.

    Raises `SourceError`: there is none, or several and `column` is none of them.
    """
    found = image_columns(schema)
    if column is not None:
        found = [name for name in _called(schema, column) if _bytes_type(_of(schema, name))]
    if len(found) == 1:
        return found[0]
    if found:
        every = " and ".join(f"`{name}`" for name in found)
        raise SourceError(f"it has images in the columns {every}: --column says which one")
    lists = [name for name in schema.names if _is_list_of_images(_of(schema, name))]
    raise SourceError(
        f"it has no column {f'`{column}` ' if column else ''}of images; its columns are: {', '.join(schema.names)}"
        + (f"; `{lists[0]}` has lists of images: write the file with an image a row" if lists else "")
    )


def has_images(path: str, column: str | None = None, *, broken: bool = False) -> bool:
    """Whether a Parquet file on disk holds images, and is no list of them.

    Args:
        path: of the file.
        column: that a user named: where it is there, it says it.
        broken: what is said of a file that cannot be read.
    """
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException):
        return broken  # who reads it says why
    named = [] if column is None else _called(schema, column)
    if any(_is_text(_of(schema, name)) for name in named):
        return False
    is_list = any(plain_column(name) in LIST_COLUMNS for name in named or schema.names)
    types = [_of(schema, name) for name in named or schema.names]
    if any(pa.types.is_struct(kind) and _bytes_type(kind) for kind in types):
        return True
    return not is_list and any(_is_binary(kind) or _is_list_of_images(kind) for kind in schema.types)


def parquet_members(file: BinaryIO, column: str | None) -> Iterator[str]:
    """`column/row` of each row. Raises `ReadError` and `SourceError`."""
    opened = _open(file)
    name = choose_column(opened.schema_arrow, column)
    return (f"{name}/{row}" for row in range(opened.metadata.num_rows))


def count_rows(file: BinaryIO, column: str) -> int:
    """How many rows the column has; 0 of none. Raises `ReadError`."""
    opened = _open(file)
    return opened.metadata.num_rows if column in opened.schema_arrow.names else 0


def read_row(archive: str, name: str, version: str, *, s3_endpoint: str | None = None) -> ImageBytes:
    """The bytes of a row's image, and the version of the file that they are of. Raises `ReadError`.

    Args:
        archive: URI of the file.
        name: `column/row`.
        version: of the file, where it was listed; bytes of this version that are in memory are taken.
    """
    column, _, number = name.rpartition("/")
    if not number.isdecimal():
        raise ReadError(_why_damaged(archive, s3_endpoint))
    row = int(number)
    with _guard:
        groups = _groups(archive, column, version, s3_endpoint)
        found = next((group for group in groups if group[0] <= row < group[0] + len(group[1])), None)
        if found is None:
            version, start, images = _read_group(archive, column, row, s3_endpoint)
            _kept[f"{archive}#{column}", f"{version} {start}", s3_endpoint] = start, images
            while len(_kept) > _KEPT_GROUPS:
                _kept.popitem(last=False)
        else:
            start, images = found
    data, named = images[row - start].as_py(), None
    if isinstance(data, dict):
        data, named = data["bytes"], data.get("path")
    if data is None:
        only = f", only the path {named[:200]!r}: name that file, or a list of such paths, as SOURCE" if named else ""
        raise ReadError(f"row {row:,} has no bytes in the column `{column}`{only}")
    check_image_size(len(data))
    return ImageBytes(data, version)


def _groups(archive: str, column: str, version: str, endpoint: str | None) -> Iterator[tuple[int, pa.Array]]:
    """The row groups of the file, of this version, that are in memory: where each starts, and its images."""
    for (name, which, server), found in _kept.items():
        if name == f"{archive}#{column}" and which.rpartition(" ")[0] == version and server == endpoint:
            yield found


def _read_group(archive: str, column: str, row: int, endpoint: str | None) -> tuple[str, int, pa.Array]:
    """The file's version, the first row of the group that a row is in, and the images of that group."""
    with open_ranged(archive, s3_endpoint=endpoint) as (file, version):
        opened = _open(file)
        start = 0
        for group in range(opened.num_row_groups):
            found = opened.metadata.row_group(group)
            if row < start + found.num_rows:
                break
            start += found.num_rows
        else:
            raise ReadError(f"the file has {start:,} rows (now), and the image was in row {row:,}")
        if column not in opened.schema_arrow.names:
            raise ReadError(f"the file has no column `{column}` (any more)")
        nested = pa.types.is_struct(opened.schema_arrow.field(column).type)
        path = f"{column}.bytes" if nested else column
        chunks = [found.column(at) for at in range(found.num_columns)]
        size = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema == path)
        if size > _GROUP_BYTES:
            raise ReadError(
                f"its row group {group} has {size / 1e9:.1f} GB of images: write the file with row groups of a few "
                "hundred rows (row_group_size=)"
            )
        try:
            # by this thread: one of Arrow's own that still holds the file when Python ends would end it with an abort
            wanted = [path, f"{column}.path"] if nested else [path]
            images = opened.read_row_group(group, columns=wanted, use_threads=False)[column].combine_chunks()
        except (OSError, pa.ArrowException) as error:
            raise ReadError(f"its row group {group} cannot be read: {' '.join(str(error).split())}") from None
        return version, start, images


def _open(file: BinaryIO) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise ReadError(f"it is no Parquet file, or not a whole one: {' '.join(str(error).split())}") from None


def _why_damaged(archive: str, endpoint: str | None) -> str:
    try:
        with open_ranged(archive, s3_endpoint=endpoint) as (file, _version):
            _open(file)
    except ReadError as error:
        return str(error)
    return "the file is whole now"


def _bytes_type(kind: pa.DataType) -> pa.DataType | None:
    """The type itself, or that of a struct's field `bytes`, if it is of bytes."""
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    return kind if _is_binary(kind) else None


def _is_binary(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):  # as writers say that values stand many times
        kind = kind.value_type
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_list_of_images(kind: pa.DataType) -> bool:
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return lists and _bytes_type(kind.value_type) is not None


def _of(schema: pa.Schema, name: str) -> pa.DataType:
    return schema.types[schema.names.index(name)]  # a name may stand twice


def _called(schema: pa.Schema, column: str) -> list[str]:
    """The columns of this name, each once: as it is written, or else as people write it."""
    names = dict.fromkeys(schema.names)
    return [column] if column in names else [name for name in names if plain_column(name) == plain_column(column)]


def plain_column(name: str) -> str:
    """As spreadsheets and people write a column's name."""
    return name.strip().lower()
